"""The beat's publisher: a thread and a connection of its own, so that a dead broker never stops a tick.

What is due goes out at once; what was prepared ahead goes out at its time, to the millisecond, whatever
the ticking thread is doing. Nothing is tried twice: a slot whose hint was lost is republished.
"""

from __future__ import annotations

import heapq
import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import redis

from beat.brokers import Broker, Parcel
from beat.envelope import Hint
from beat.hints import NOBODY, Crew
from runtime import redis_keys
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.failpoints import hit
from runtime.redis_client import lock_redis

QUEUES = ("send", "confirm", "tracking")
_MOST_MESSAGES = 100_000  # about 100 MB; more than that is left to republish
_ALIVE_S = 5.0  # a heartbeat older than this is a dead worker's
_CREW_S = 2.0


@dataclass(order=True, slots=True)
class Batch:
    """Messages for the broker. ``push_at``: monotonic seconds; ``kind``: due, ahead or again.

    Made ready ahead of their time (a `Parcel`), or hints: then the publisher makes them ready, while the
    ticking thread waits for the database to claim more.
    """

    push_at: float
    content: Parcel | Sequence[Hint] = field(compare=False)
    kind: str = field(compare=False, default="due")


@dataclass(frozen=True, slots=True)
class Sight:
    """What the publisher saw of the queues; ``at`` in monotonic seconds."""

    at: float
    depths: Mapping[str, int]
    crews: Mapping[str, Crew]


class Publisher:
    """Holds batches until their time and pushes them. Every method returns at once, broker or not."""

    def __init__(self, broker: Broker, stale_s: float) -> None:
        self._broker = broker
        self._stale_s = stale_s
        # A Condition on a re-entrant lock: `close` may come from a signal handler inside `put`.
        self._wake = threading.Condition(threading.RLock())
        self._due: deque[Batch] = deque()
        self._ahead: list[Batch] = []
        self._held = 0
        self._asked = False
        self._sight: Sight | None = None
        self._crews: Mapping[str, Crew] = {}
        self._crews_at = float("-inf")
        self._gone_since: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    @property
    def crews(self) -> Mapping[str, Crew]:
        """Living workers by queue, as last seen."""
        return self._crews

    def put(self, batch: Batch) -> bool:
        """Hand a batch over; False if too much waits already: it is left to republish."""
        with self._wake:
            if self._held + len(batch.content) > _MOST_MESSAGES or self._closing:
                return False
            self._held += len(batch.content)
            if batch.kind == "ahead":
                heapq.heappush(self._ahead, batch)
            else:
                self._due.append(batch)
            self._wake.notify_all()
            return True

    def look(self, wait_s: float) -> Sight | None:
        """The queues as they are now, None if the broker does not answer within ``wait_s``."""
        asked_at = clock().monotonic()
        with self._wake:
            self._asked = True
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._sight is not None and self._sight.at >= asked_at, wait_s)
            sight = self._sight
        return sight if sight is not None and sight.at >= asked_at else None

    def drop_ahead(self) -> int:
        """Throw away what was prepared ahead; answers how many messages. They are left to republish."""
        with self._wake:
            dropped = sum(len(batch.content) for batch in self._ahead)
            self._held -= dropped
            self._ahead.clear()
            return dropped

    def close(self, wait_s: float) -> None:
        """Push what is held, also what was prepared ahead if its time comes, and end; at most ``wait_s``."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(wait_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                batches = self._ready()
                asked, self._asked = self._asked, False
                looks = asked or clock().monotonic() - self._crews_at > _CREW_S
                if not batches and not looks:
                    if self._closing and not self._ahead:
                        break
                    self._wake.wait(self._pause())
                    continue
            if batches:
                self._push(batches)
            if looks:
                self._look(asked)
        self._broker.close()

    def _ready(self) -> list[Batch]:
        """Everything whose time has come, in order; needs the lock."""
        now = clock().monotonic()
        found = []
        while self._ahead and self._ahead[0].push_at <= now:
            found.append(heapq.heappop(self._ahead))
        found += self._due
        self._due.clear()
        return found

    def _pause(self) -> float:
        """Until the next batch ahead or the next look at the crews; needs the lock."""
        until = self._crews_at + _CREW_S
        if self._ahead:
            until = min(until, self._ahead[0].push_at)
        return max(0.0, until - clock().monotonic())

    def _push(self, batches: Sequence[Batch]) -> None:
        count = sum(len(batch.content) for batch in batches)
        fresh = [batch for batch in batches if not self._is_stale(batch)]
        try:
            if fresh:
                self._broker.push([self._made_ready(batch.content) for batch in fresh])
                self._came_back()
                hit("beat.pushed")
                if any(batch.kind == "again" for batch in fresh):
                    hit("beat.republished")
        except Exception as error:  # whatever a transport raises: the hints are left to republish
            self._went_away(error)
        with self._wake:
            self._held -= count

    def _made_ready(self, content: Parcel | Sequence[Hint]) -> Parcel:
        return content if isinstance(content, Parcel) else self._broker.prepare(content)

    def _is_stale(self, batch: Batch) -> bool:
        """Prepared long ago and not pushed in time (this process stood still): republish knows better."""
        late = clock().monotonic() - batch.push_at
        if batch.kind != "ahead" or late <= self._stale_s:
            return False
        emit(Event.PREPARED_DROPPED, count=len(batch.content), stale_ms=round(late * 1000))
        return True

    def _look(self, asked: bool) -> None:
        now = clock().monotonic()
        self._crews_at = now
        try:
            self._crews = {queue: _crew(queue) for queue in QUEUES}
        except redis.RedisError:
            self._crews = {}
        if not asked:
            return
        try:
            depths = self._broker.depths(QUEUES)
            self._came_back()
        except Exception as error:
            self._went_away(error)
            return
        with self._wake:
            self._sight = Sight(clock().monotonic(), depths, self._crews)
            self._wake.notify_all()

    def _went_away(self, error: Exception) -> None:
        if self._gone_since is None:
            self._gone_since = clock().monotonic()
            emit(Event.REDIS_GONE, error=repr(error))

    def _came_back(self) -> None:
        if self._gone_since is not None:
            emit(Event.REDIS_BACK, gone_s=round(clock().monotonic() - self._gone_since, 1))
            self._gone_since = None


def _crew(queue: str) -> Crew:
    """The workers of a queue that told of themselves within 5 s."""
    now = clock().now().timestamp()
    threads, service, alive = 0, dict[str, list[float]](), 0
    told: Mapping[str, str] = lock_redis().hgetall(redis_keys.workers(queue))  # type: ignore[assignment]
    for raw in told.values():
        try:
            word = json.loads(raw)
            if now - float(word["at"]) > _ALIVE_S:
                continue
            threads += int(word["threads"])
            for channel, ms in dict(word.get("service_ms") or {}).items():
                service.setdefault(str(channel), []).append(float(ms))
        except (ValueError, TypeError, KeyError):
            continue
        alive += 1
    if not alive:
        return NOBODY
    return Crew(alive, threads, {channel: max(times) for channel, times in service.items()})
