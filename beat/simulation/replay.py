"""A planner under a virtual clock: tick after tick, every due schedule is walked by `promises_of`."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from beat.promises import View, promises_of
from beat.recurrence import RuleError
from models.ledger.beat import ClockRow, Promise, Version

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NO_LIMIT = 1 << 31
_in_turn = attrgetter("slot.slot_at", "priority", "slot.schedule_id")
_rank = attrgetter("priority", "schedule_id")
_at = attrgetter("slot.slot_at")


@dataclass(frozen=True, slots=True)
class Limits:
    """The planner's numbers, in seconds (design: Numbers). ``step_s``: how much one virtual tick lays down;
    the answer does not depend on it."""

    horizon_s: float = 900.0
    validity_max_s: int = 1800
    validity_min_s: int = 30
    catch_up_max: int = 10_000
    step_s: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Outage:
    """No beat runs from ``start`` until ``end``."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Tick:
    """A look of the planner: at ``now`` it lays down what is promised up to and with ``until``."""

    now: datetime
    until: datetime


def ticks(start: datetime, end: datetime, limits: Limits, outages: Sequence[Outage] = ()) -> Iterator[Tick]:
    """The looks that cover [start, end). Rows reach one horizon into an outage, as they would."""
    last = end - _MS
    step, horizon = timedelta(seconds=limits.step_s), timedelta(seconds=limits.horizon_s)
    now = start
    for outage in [*sorted(outages, key=lambda one: one.start), Outage(end, end)]:
        stop = min(outage.start, end)
        reach = min(stop + horizon, last)
        until = now
        while now < stop and until < reach:
            until = min(until + step, reach)
            yield Tick(now, until)
            now = min(until, stop)
        now = max(now, min(outage.end, end)) if outage.end > outage.start else now


def replay(
    clocks: Sequence[ClockRow],
    histories: Mapping[int, Sequence[Version]],
    start: datetime,
    end: datetime,
    limits: Limits,
    outages: Sequence[Outage] = (),
) -> Iterator[tuple[Tick, list[Promise]]]:
    """The promises of each tick, in the order in which rooms serve them: time, priority, schedule.

    ``histories``: all versions, oldest first, of the schedules that were changed or made after ``start``; the
    others may be left out. A schedule that nobody can read promises nothing.
    """
    waiting: list[tuple[datetime, int]] = []
    known: dict[int, ClockRow] = {}
    ahead: list[Promise] = []
    for clock in clocks:
        cursor = _cursor(clock, histories.get(clock.schedule_id, ()), start, end, limits, ahead)
        if cursor is not None:
            known[clock.schedule_id] = clock
            waiting.append((cursor, clock.schedule_id))
    heapq.heapify(waiting)
    ahead.sort(key=_in_turn, reverse=True)
    for tick in ticks(start, end, limits, outages):
        found: list[Promise] = []
        mixed = bool(ahead)
        while ahead and ahead[-1].slot.slot_at <= tick.until:
            found.append(ahead.pop())
        view = _view(tick, limits)
        due: list[ClockRow] = []
        while waiting and waiting[0][0] <= tick.until:
            cursor, number = heapq.heappop(waiting)
            due.append(replace(known[number], due_at=cursor))
        due.sort(key=_rank)  # with that a stable sort by time alone gives the order
        for clock in due:
            walk = promises_of(clock, (), view)
            found += walk.promises
            if walk.cursor is not None:
                heapq.heappush(waiting, (walk.cursor, clock.schedule_id))
        found.sort(key=_at if not mixed else _in_turn)
        yield tick, found


def _cursor(
    clock: ClockRow,
    history: Sequence[Version],
    start: datetime,
    end: datetime,
    limits: Limits,
    ahead: list[Promise],
) -> datetime | None:
    """Where the newest version begins to promise; what older versions did goes into ``ahead``.

    None: nothing is left, or nobody can read it.
    """
    begin = max(start, _born(clock, history))
    try:
        if clock.version > 1 and clock.version_from >= begin:
            until = min(clock.version_from, end - _MS)
            walk = promises_of(replace(clock, due_at=begin), history, _view(Tick(begin, until), limits))
            ahead += [found for found in walk.promises if found.slot.slot_at < end]
            begin = walk.cursor or clock.version_from + _MS
        if not clock.enabled:
            return None
        return promises_of(replace(clock, due_at=begin), (), _view(Tick(begin, begin - _MS), limits)).cursor
    except (RuleError, ValueError, OverflowError):
        return None


def _born(clock: ClockRow, history: Sequence[Version]) -> datetime:
    """The first instant that can be promised: a one-off may lie its grace before its making."""
    since = history[0].since if history else clock.version_from if clock.version == 1 else _EVER
    once = '"once"' in clock.rules or '"at"' in clock.rules
    return since - timedelta(seconds=clock.grace_s if once else 0)


def _view(tick: Tick, limits: Limits) -> View:
    return View(
        now=tick.now, until=tick.until, oldest=_EVER, validity_max_s=limits.validity_max_s,
        validity_min_s=limits.validity_min_s, catch_up_max=_NO_LIMIT,
    )  # fmt: skip
