"""Laying promised slots down ahead of their time: take clocks, walk them, write, move their cursors.

One chunk is one transaction that holds its clocks' rows. The session ends a transaction that idles for
2 s, so a chunk is cut by time as well as by number. What cannot be read is marked after the commit,
because an edit locks kb_schedule first and its clock second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
from psycopg import errors

from beat.promises import View, Walk, promises_of
from models.ledger import beat as ledger
from models.ledger.beat import ClockRow, Connection, Promise, Version
from runtime.clock import clock as host_clock
from runtime.database import is_transient
from runtime.events import Event, emit
from runtime.failpoints import hit
from runtime.ids import SlotId
from runtime.settings import Settings

_FIRST_GUESS_S = 100e-6  # one clock, walked and written; measured from then on
_WALK_S = 0.5  # of one transaction, far below the session's idle limit
_WALK_SLOTS = 20_000
_STUCK_S = 60.0  # how long a clock that the database refuses is left alone


@dataclass(slots=True)
class PlanReport:
    """What one call of `plan` did. ``more``: the budget ended before the work did."""

    slots: int = 0
    schedules: int = 0
    unreadable: int = 0
    more: bool = False
    planned: list[SlotId] = field(default_factory=list)


def plan(db: Connection, settings: Settings, now: datetime) -> PlanReport:
    """Lay down every slot promised up to ``now`` + horizon, within plan_budget_ms.

    ``now`` is the ledger's. Any number of planners may run at once. Raises psycopg.Error when the
    database is gone; a schedule that cannot be read or written never stops the others.
    """
    return Planner(settings).plan(db, now)


@dataclass(slots=True)
class _Chunk:
    """One transaction's work."""

    clocks: list[ClockRow] = field(default_factory=list)
    walked: list[tuple[int, datetime | None]] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    nexts: list[tuple[int, datetime]] = field(
        default_factory=list
    )  # of edited ones: what older slots yield to
    walks: list[tuple[ClockRow, Walk]] = field(default_factory=list)  # those with gaps
    unreadable: list[tuple[ClockRow, str]] = field(default_factory=list)
    never: list[tuple[ClockRow, str]] = field(default_factory=list)
    cut: bool = False


class Planner:
    """Plans tick after tick; remembers what a clock costs and which ones the database refuses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cost_s = _FIRST_GUESS_S
        self._stuck: dict[int, float] = {}

    def plan(self, db: Connection, now: datetime) -> PlanReport:
        """See `plan`."""
        report, view = PlanReport(), self._view(now)
        started = host_clock().monotonic()
        self._stuck = {number: until for number, until in self._stuck.items() if until > started}
        skip = set(self._stuck)
        left = self._settings.plan_budget_ms / 1000
        while left > 0:
            limit = max(50, min(self._settings.plan_chunk, int(left / self._cost_s)))
            chunk = self._chunk_or_singles(db, view, limit, skip, report)
            skip.update(found.schedule_id for found, _ in chunk.unreadable)
            spent = host_clock().monotonic() - started
            left = self._settings.plan_budget_ms / 1000 - spent
            if len(chunk.clocks) < limit and not chunk.cut:
                return report
        report.more = True
        return report

    def _view(self, now: datetime) -> View:
        known = self._settings
        return View(
            now=now,
            until=now + timedelta(seconds=known.horizon_s),
            oldest=now - timedelta(days=known.ledger_days),
            validity_max_s=known.validity_max_s,
            validity_min_s=known.validity_min_s,
            catch_up_max=known.catch_up_max,
        )

    def _chunk_or_singles(
        self, db: Connection, view: View, limit: int, skip: set[int], report: PlanReport
    ) -> _Chunk:
        """A chunk; if the database refuses it, its clocks one by one, so that one row fails alone."""
        chunk = _Chunk()
        started = host_clock().monotonic()
        try:
            self._write(db, view, chunk, limit, skip, None)
        except psycopg.Error as error:
            if isinstance(error, errors.QueryCanceled):
                self._cost_s *= 4  # too much for one statement here: the next chunk is smaller
            if is_transient(error) or isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
                raise
            self._singly(db, view, chunk.clocks, skip, report)
            return chunk
        if len(chunk.walked) >= 50:
            each = (host_clock().monotonic() - started) / len(chunk.walked)
            self._cost_s = 0.5 * self._cost_s + 0.5 * each
        self._close(db, chunk, report)
        return chunk

    def _singly(
        self, db: Connection, view: View, clocks: Sequence[ClockRow], skip: set[int], report: PlanReport
    ) -> None:
        until = host_clock().monotonic() + self._settings.plan_budget_ms / 1000
        for found in clocks:
            if host_clock().monotonic() > until:
                return  # the next call goes on: those that were refused are left out then
            chunk = _Chunk()
            try:
                self._write(db, view, chunk, 1, set(), [found.schedule_id])
            except psycopg.Error as error:
                if is_transient(error):
                    raise
                skip.add(found.schedule_id)
                self._stuck[found.schedule_id] = host_clock().monotonic() + _STUCK_S
                emit(Event.SCHEDULE_UNREADABLE, schedule_id=found.schedule_id, reason=str(error)[:300])
            else:
                self._close(db, chunk, report)

    def _write(
        self,
        db: Connection,
        view: View,
        chunk: _Chunk,
        limit: int,
        skip: set[int],
        only: list[int] | None,
    ) -> None:
        """One transaction: take, walk, lay down, move."""
        with db.transaction():
            chunk.clocks = ledger.take_clocks(db, view.until, limit, sorted(skip), only)
            if not chunk.clocks:
                return
            _walk(chunk, _histories(db, chunk.clocks), view)
            hit("beat.planning")
            ledger.lay_down(db, chunk.promises)
            ledger.yield_to_next(db, chunk.nexts, view.validity_min_s)
            ledger.move_cursors(db, chunk.walked)
            for found, walk in chunk.walks:
                for gap in walk.gaps:
                    ledger.record_gap(db, found.schedule_id, gap.start, gap.end, gap.why)
        hit("beat.planned")

    def _close(self, db: Connection, chunk: _Chunk, report: PlanReport) -> None:
        """After the commit: mark what cannot be read, tell what was found."""
        report.slots += len(chunk.promises)
        report.schedules += len(chunk.walked)
        report.planned += [found.slot for found in chunk.promises if not found.expired]
        for found, why in chunk.unreadable:
            report.unreadable += 1
            if ledger.mark_unreadable(db, found.schedule_id, found.version, why):
                emit(Event.SCHEDULE_UNREADABLE, schedule_id=found.schedule_id, reason=why)
        for found, why in chunk.never:
            if ledger.mark_unreadable(db, found.schedule_id, found.version, why, had_none=True):
                emit(Event.SCHEDULE_UNREADABLE, schedule_id=found.schedule_id, reason=why)
        _tell_missed(chunk)


def _histories(db: Connection, clocks: Sequence[ClockRow]) -> dict[int, list[Version]]:
    """The versions of those whose walk starts before their newest one."""
    edited = [
        found.schedule_id for found in clocks if found.version > 1 and found.due_at <= found.version_from
    ]
    histories: dict[int, list[Version]] = {}
    for version in ledger.versions(db, edited) if edited else ():
        histories.setdefault(version.schedule_id, []).append(version)
    return histories


def _walk(chunk: _Chunk, histories: dict[int, list[Version]], view: View) -> None:
    """Walk the clocks until time or slots are up; those not reached keep their cursor."""
    end = host_clock().monotonic() + _WALK_S
    for number, found in enumerate(chunk.clocks):
        if (number % 64 == 63 and host_clock().monotonic() > end) or len(chunk.promises) > _WALK_SLOTS:
            chunk.cut = True
            return
        try:
            walk = promises_of(found, histories.get(found.schedule_id, ()), view)
        except (ValueError, OverflowError, ArithmeticError) as error:  # RuleError is a ValueError
            chunk.unreadable.append((found, str(error)))
            continue
        chunk.promises += walk.promises
        chunk.walked.append((found.schedule_id, walk.cursor))
        following = _next_after_edit(found, walk)
        if following is not None:
            chunk.nexts.append((found.schedule_id, following))
        if walk.gaps:
            chunk.walks.append((found, walk))
        if walk.never is not None:
            chunk.never.append((found, walk.never))


def _next_after_edit(found: ClockRow, walk: Walk) -> datetime | None:
    """The first instant after an edit, if older slots yield to it: a validity in seconds overrides that."""
    edited = found.replan_from
    if edited is None or found.validity_s is not None:
        return None
    ahead = (promise.slot.slot_at for promise in walk.promises if promise.slot.slot_at > edited)
    return min(ahead, default=walk.cursor)


def _tell_missed(chunk: _Chunk) -> None:
    for found, walk in chunk.walks:
        for gap in walk.gaps:
            emit(Event.SLOTS_MISSED, schedule_id=found.schedule_id, count="uncounted",
                 start=gap.start.isoformat(), end=gap.end.isoformat(), reason=gap.why)  # fmt: skip
    late: dict[int, list[datetime]] = {}
    for promise in chunk.promises:
        if promise.expired:
            late.setdefault(promise.slot.schedule_id, []).append(promise.slot.slot_at)
    for number, slots in late.items():
        emit(Event.SLOTS_MISSED, schedule_id=number, count=len(slots), start=slots[0].isoformat(),
             end=slots[-1].isoformat(), reason="scheduler_down")  # fmt: skip
