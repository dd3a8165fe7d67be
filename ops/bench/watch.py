"""Watching a list in Redis fill: when the first and the last message came, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

import redis

from ops.bench.contenders.common import QUEUE
from runtime.clock import clock

_POLL_S = 0.002
_STILL_S = 0.5


@dataclass
class Seen:
    """What came: Unix seconds of the first and the last message, and how many schedules they named."""

    first: float | None = None
    last: float | None = None
    schedules: int = 0
    complete: bool = False
    series: list[tuple[float, int]] = field(default_factory=list)


def queue_of(contender: ModuleType) -> str:
    """The list a contender fills."""
    return str(getattr(contender, "QUEUE", QUEUE))


def watch(
    client: redis.Redis, contender: ModuleType, count: int, until: float, alive: Callable[[], bool]
) -> Seen:
    """Until ``count`` schedules were named, or Unix second ``until``; the list is looked at every 2 ms."""
    queue, seen, length, changed = queue_of(contender), Seen(), 0, clock().monotonic()
    while (now := clock().now().timestamp()) < until and alive():
        found = int(client.llen(queue))
        if found != length:
            seen.first = seen.first or now
            seen.last, length, changed = now, found, clock().monotonic()
            seen.series.append((now, found))
        elif length >= count or (length and clock().monotonic() - changed > _STILL_S):
            seen.schedules = named(client, contender)
            if seen.schedules >= count:
                seen.complete = True
                return seen
            changed = clock().monotonic()
        clock().wait(_POLL_S)
    seen.schedules = named(client, contender)
    return seen


def named(client: redis.Redis, contender: ModuleType) -> int:
    """How many different schedules the list names."""
    raws: list[bytes] = client.lrange(queue_of(contender), 0, -1)  # type: ignore[assignment]
    return len({number for raw in raws for number in contender.told(raw)})
