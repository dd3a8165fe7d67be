"""A worker that takes from `tracking` carries uploads on threads of its own, until it stops."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import Any

import redis
from celery.signals import worker_init, worker_shutdown, worker_shutting_down

from runtime import redis_keys
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.redis_client import lock_redis
from runtime.settings import get_settings
from tasks.lifecycle import look_at_schema
from tasks.tracking.crew import Crew

QUEUE = "tracking"
_HEARTBEAT_S = 1.0
_HEARTBEAT_LIFE_S = 3600
_STOP_S = 12.0  # below the soft shutdown of Celery; a request may take longer, then its lease ends

_crew: Crew | None = None
_queues: set[str] = set()


def crew() -> Crew | None:
    """This process's crew, if it carries uploads."""
    return _crew


def show_life(one: Crew) -> None:
    """Tell Redis that this process lives; beats and people read it."""
    word = {
        "at": clock().now().timestamp(), "threads": one.settings.tracking_threads, "free": one.free_threads(),
        "service_ms": {},
    }  # fmt: skip
    with suppress(redis.RedisError):
        lock_redis().hset(redis_keys.workers(QUEUE), one.node, json.dumps(word))
        lock_redis().expire(redis_keys.workers(QUEUE), _HEARTBEAT_LIFE_S)


def _give_way(nice: int) -> None:
    """Uploads may take a minute longer, a message of 09:00 may not. Later threads inherit it."""
    with suppress(OSError):  # somebody gave it a lower place already, or forbids it
        os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))


def _beat(one: Crew) -> None:
    while not one.stopping.is_set():
        show_life(one)
        clock().wait(_HEARTBEAT_S, one.stopping)


@worker_init.connect
def _started(sender: Any = None, **_: Any) -> None:
    global _crew
    _queues.update(sender.app.amqp.queues.consume_from)
    if QUEUE not in _queues:
        return
    if _queues == {QUEUE}:
        _give_way(get_settings().tracking_nice)
    _crew = Crew(get_settings())
    if not _queues & {"send", "confirm"}:
        look_at_schema()
        emit(Event.WORKER_STARTED, node=_crew.node, queues=",".join(sorted(_queues)))
    _crew.start()
    threading.Thread(target=_beat, args=(_crew,), name="upload-heartbeat", daemon=True).start()


@worker_shutting_down.connect
def _stopping(**_: Any) -> None:
    if _crew is not None:
        _crew.ask_to_stop()


@worker_shutdown.connect
def _stopped(**_: Any) -> None:
    if _crew is None:
        return
    _crew.stop(_STOP_S)
    with suppress(redis.RedisError):
        lock_redis().hdel(redis_keys.workers(QUEUE), _crew.node)
