"""How many slots one message carries, and what Flower shows of it. Pure.

One slot a message in quiet times, so that Flower shows each send. In a burst more, because Celery costs
about 0.8 ms per message: as many as a worker process can start within a second, spread over all of them.
Look-ups share a message from the fifth on: nobody follows each, and there is one for every send.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from beat.envelope import Hint
from models.ledger.beat import Due
from models.states import Phase

_KST = timezone(timedelta(hours=9), "KST")
_SERVICE_MS = 250.0  # of a channel nobody has measured yet, as workers assume too
_QUIET_CONFIRMS = 4
_WAVES = 4  # messages per worker process in a burst, so that none idles while another has a heap


@dataclass(frozen=True, slots=True)
class Crew:
    """The living workers of a queue, by their heartbeats. Nobody known: one process as configured."""

    processes: int
    threads: int
    service_ms: Mapping[str, float]

    @property
    def known(self) -> bool:
        """Whether any heartbeat was heard."""
        return self.processes > 0


NOBODY = Crew(0, 0, {})


def size_for(queue: str, channel: str | None, count: int, crew: Crew, concurrency: int, most: int) -> int:
    """Slots per message for ``count`` slots of a channel, 1 to ``most``."""
    processes = max(1, crew.processes)
    threads = crew.threads or concurrency
    confirm = queue == Phase.CONFIRM
    if count <= (_QUIET_CONFIRMS if confirm else 2 * threads):
        return 1
    service_ms = max(1.0, crew.service_ms.get(channel or "", _SERVICE_MS))
    startable = int(threads / processes * 1000.0 / service_ms)
    return max(1, min(most, startable, -(-count // processes) if confirm else count // (processes * _WAVES)))


def hints_of(
    due: Sequence[Due],
    crews: Mapping[str, Crew],
    names: Mapping[int, tuple[str, str]],
    *,
    concurrency: int,
    most: int,
    one_device: Collection[str] = (),
) -> list[Hint]:
    """Messages for slots, in their order of urgency; a device takes one at a time, so its slots go singly,
    and an upload is a run of its own.

    ``names``: title and room by schedule, for single hints. ``one_device``: channels of one device each.
    """
    groups: dict[tuple[str, str | None, datetime | None], list[Due]] = {}
    counts: dict[tuple[str, str | None], int] = {}
    for found in due:
        counts[found.queue, found.channel] = counts.get((found.queue, found.channel), 0) + 1
    sizes = {
        (queue, channel): size_for(queue, channel, count, crews.get(queue, NOBODY), concurrency, most)
        for (queue, channel), count in counts.items()
    }
    made: list[Hint] = []
    for found in due:
        single = found.device is not None or found.channel in one_device or found.queue == "tracking"
        size = 1 if single else sizes[found.queue, found.channel]
        if size == 1:
            made.append(Hint(found.queue, (found.slot,), _told(found, names)))
            continue
        instant = None if found.queue == Phase.CONFIRM else found.sat
        group = groups.setdefault((found.queue, found.channel, instant), [])
        group.append(found)
        if len(group) == size:
            made.append(_batch(group))
            group.clear()
    made.extend(_batch(group) for group in groups.values() if group)
    return made


def _batch(group: Iterable[Due]) -> Hint:
    slots = list(group)
    told = f"{len(slots)} slots · {wall_time(slots[0].sat)}" if len(slots) > 1 else str(slots[0].slot)
    return Hint(slots[0].queue, tuple(found.slot for found in slots), told)


def _told(found: Due, names: Mapping[int, tuple[str, str]]) -> str:
    title, room = names.get(found.sid, (f"schedule {found.sid}", found.channel or "no room"))
    return f"{title[:60]} · {room[:40]} · {wall_time(found.sat)}"


@lru_cache(maxsize=1024)
def wall_time(at: datetime) -> str:
    """An instant as people in Korea read it on the clock: 11-21 09:00:00."""
    return at.astimezone(_KST).strftime("%m-%d %H:%M:%S")
