"""Every Redis key that is ours, with its purpose and lifetime.

Losing any of them costs time, never a message: the ledger decides. Celery's own keys (the queues' plain
list names, `_kombu.binding.*`, `celery-task-meta-*`) are not listed; they keep the names that foreign
Celery clients expect, so no global prefix is set.
"""

from __future__ import annotations

from runtime.ids import SlotId

PREFIX = "jeongsi:"


def slot_lock(slot_id: SlotId) -> str:
    """Who carries this slot now: a random token. Lives lock_ttl_s, renewed while the slot runs."""
    return f"{PREFIX}lock:slot:{slot_id}"


def device_lock(device: str) -> str:
    """Who talks to this one-at-a-time device; spares attempts the ledger would refuse. Lives lock_ttl_s."""
    return f"{PREFIX}lock:device:{device}"


def room_busy(room_id: int) -> str:
    """Set while a room's gap runs, so that a worker need not ask the ledger. Lives the room's gap."""
    return f"{PREFIX}room:{room_id}:busy"


def workers(queue: str) -> str:
    """Living workers of a queue: a hash, node -> JSON {at, threads, free, service_ms}, written every second.

    An entry whose `at` (epoch seconds) is older than 5 s belongs to a dead worker. The hash lives one hour.
    """
    return f"{PREFIX}workers:{queue}"


def beat_heartbeat(node: str) -> str:
    """A living beat: JSON with pid and last tick. Written at each tick, lives 5 s."""
    return f"{PREFIX}beat:{node}"


def breaker(channel: str) -> str:
    """The circuit breaker of a channel: a hash with its rolling window. Lives one window."""
    return f"{PREFIX}breaker:{channel}"


def in_flight(channel: str) -> str:
    """How many sends of a channel are in flight, for its in-flight limit. Lives ponr_lease_s."""
    return f"{PREFIX}inflight:{channel}"


def progress(run: str) -> str:
    """Live progress of a long run, for those who watch. Lives one hour after the last write."""
    return f"{PREFIX}progress:{run}"
