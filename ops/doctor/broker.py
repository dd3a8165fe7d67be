"""What Redis says: version, settings that would lose hints, queues without a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import redis

from ops.doctor.finding import Finding, fail, ok, warn
from runtime import redis_keys
from runtime.clock import clock

QUEUES: Final = ("send", "confirm")
DEAD_S: Final = 5.0


def findings(client: redis.Redis) -> Iterator[Finding]:
    """Everything that can be asked of a Redis that answers. Raises redis.RedisError."""
    info: dict[str, Any] = client.info()
    yield _version(info)
    yield _eviction(info)
    yield _persistence(info)
    for queue in QUEUES:
        yield _queue(client, queue)


def notices(client: redis.Redis, targets: int) -> Finding:
    """Whether somebody watches and tells, if anybody is to be told."""
    watching = len(list(_alive(client, "notify")))
    if watching:
        return ok("watch", f"{watching} worker{'s' * (watching > 1)} on notify")
    if not targets:
        return warn(
            "watch", "nobody is told when something stands still",
            "add a target (`jeongsi notice add --help`) and start `celery -A workers worker -Q notify`",
        )  # fmt: skip
    todo = "start one: `make up`, or `celery -A workers worker -Q notify`; until then no notice is sent"
    return fail(
        "watch",
        f"no worker takes from notify, and nobody tells the {targets} target{'s' * (targets > 1)} anything",
        todo,
    )


def uploads(client: redis.Redis, accounts: int) -> Iterator[Finding]:
    """Whether somebody uploads tracking numbers, if an account is switched on."""
    if accounts:
        yield _queue(client, "tracking")


def _version(info: dict[str, Any]) -> Finding:
    server = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version"))
    if int(version.split(".", maxsplit=1)[0]) < 7:
        return fail("redis", f"{server} {version}", "use Redis 7 or newer, or Valkey")
    return ok("redis", f"{server} {version}, {info.get('used_memory_human', '?')} used")


def _eviction(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or not info.get("maxmemory"):
        return ok("redis memory", f"policy {policy}")
    return fail("redis memory", f"policy {policy} may throw queues away", "set maxmemory-policy noeviction")


def _persistence(info: dict[str, Any]) -> Finding:
    if info.get("aof_enabled"):
        return ok("redis disk", "append-only file is on")
    todo = (
        "set appendonly yes: without it a restart forgets hints, and they come again only after some seconds"
    )
    return warn("redis disk", "append-only file is off", todo)


def _queue(client: redis.Redis, queue: str) -> Finding:
    waiting = int(client.llen(queue))
    threads = list(_alive(client, queue))
    if not threads:
        found = f"no worker takes from it, {waiting} hints wait"
        return fail(
            f"queue {queue}", found, f"start one: `make up`, or `celery -A workers worker -Q {queue}`"
        )
    found = (
        f"{len(threads)} worker{'s' * (len(threads) > 1)} with {sum(threads)} threads, {waiting} hints wait"
    )
    return ok(f"queue {queue}", found)


def _alive(client: redis.Redis, queue: str) -> Iterator[int]:
    """The threads of each worker that was heard of within the last seconds."""
    now = clock().now().timestamp()
    noted: dict[bytes, bytes] = client.hgetall(redis_keys.workers(queue))  # type: ignore[assignment]
    for raw in noted.values():
        try:
            beat = json.loads(raw)
            if now - float(beat["at"]) <= DEAD_S:
                yield int(beat.get("threads", 0))
        except (ValueError, KeyError, TypeError):
            continue
