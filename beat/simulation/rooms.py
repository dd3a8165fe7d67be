"""What rooms and devices let through: gap, day quota, one at a time, in the ledger's own order.

The rules are those of the point of no return (models/sql/40_worker.sql): a busy room makes a slot wait
until its `finish_by`, a full day ends it at once, who waits is served by priority, slot time and id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from beat.simulation.replay import Outage, Tick
from models.ledger.beat import Promise

State = Literal["goes_out", "skipped", "expired", "cancelled", "failed"]
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_NOTHING = timedelta()
_KST = timedelta(hours=9)  # Korea's clock since 1988; quotas count by its day


class Outcome(NamedTuple):
    """One promise and what would become of it. ``start``: when it leaves, for one that goes out."""

    promise: Promise
    state: State
    reason: str | None = None
    start: datetime | None = None


@dataclass(frozen=True, slots=True)
class RoomRules:
    """A room's limits. ``device``: rooms of one device are served one at a time."""

    gap_s: float = 30.0
    quota: int = 50
    device: str | None = None


@dataclass(slots=True)
class _Lane:
    """A device with its rooms, or a room of its own: at most one send at a time."""

    free: datetime = _EVER
    waiting: list[tuple[datetime, Promise, _Room]] = field(default_factory=list)


@dataclass(slots=True)
class _Room:
    """A room under way: until when it is busy, and how many messages each Korean day took."""

    rules: RoomRules
    gap: timedelta
    quota: int
    lane: _Lane
    free: datetime = _EVER
    day_ends: datetime = _EVER
    used: int = 0

    def full(self, at: datetime) -> bool:
        """Whether the Korean day of ``at`` has taken all it may."""
        if at >= self.day_ends:
            midnight = (at + _KST).replace(hour=0, minute=0, second=0, microsecond=0)
            self.day_ends, self.used = midnight + _DAY - _KST, 0
        return self.used >= self.quota


class RoomsInTurn:
    """Takes promises in time order and answers outcomes. ``took``: seconds by schedule."""

    def __init__(
        self, rooms: Mapping[int, RoomRules], took: Mapping[int, float], outages: Sequence[Outage] = ()
    ) -> None:
        devices = {rules.device: _Lane() for rules in rooms.values() if rules.device}
        self._rooms: dict[int | None, _Room] = {
            ref: _Room(
                rules, timedelta(seconds=rules.gap_s), rules.quota, devices.get(rules.device or "") or _Lane()
            )
            for ref, rules in rooms.items()
        }
        self._took = {number: timedelta(seconds=seconds) for number, seconds in took.items()}
        self._outages = sorted(outages, key=lambda outage: outage.start)
        self._busy: dict[int, _Lane] = {}

    def take(self, tick: Tick, promises: Sequence[Promise]) -> list[Outcome]:
        """What is decided by now; the rest comes with a later call or `rest`."""
        done: list[Outcome] = []
        if self._outages:
            for promise, arrival in self._after_outages(tick, promises, done):
                self._arrive(promise, arrival, done)
            return done
        rooms, took, tell = self._rooms, self._took, done.append
        for promise in promises:  # a million times and more: what nearly all do is told out here
            room, at = rooms.get(promise.room_ref), promise.slot[1]
            if room is None or promise.cancelled or promise.expired or at >= room.day_ends:
                self._arrive(promise, at, done)
                continue
            lane = room.lane
            if lane.waiting or lane.free > at or room.free > at or room.used >= room.quota:
                self._arrive(promise, at, done)
                continue
            room.used += 1
            lane.free = free = at + took.get(promise.slot[0], _NOTHING)
            room.free = free + room.gap
            tell(Outcome(promise, "goes_out", None, at))
        return done

    def rest(self) -> list[Outcome]:
        """What still waited when the last promise was taken."""
        done: list[Outcome] = []
        for lane in self._busy.values():
            self._serve(lane, None, done)
        self._busy.clear()
        return done

    def _after_outages(
        self, tick: Tick, promises: Sequence[Promise], done: list[Outcome]
    ) -> Iterator[tuple[Promise, datetime]]:
        """Each promise with the instant at which a worker first sees it; outages close or delay some."""
        late: list[tuple[Promise, datetime]] = []
        for promise in promises:
            back = self._back(promise, tick)
            if promise.start_by < back and not (promise.expired or promise.cancelled):
                done.append(Outcome(promise, "expired", "not_dispatched"))
            else:
                late.append((promise, max(back, promise.slot.slot_at)))
        yield from sorted(_coalesced(late, done), key=_by_arrival)

    def _back(self, promise: Promise, tick: Tick) -> datetime:
        """When beats are there for it: its own time, or the end of the outage that it falls into."""
        at = promise.slot.slot_at
        back = max(at, tick.now) if at < tick.now else at
        return next((o.end for o in self._outages if o.start <= at < o.end), back)

    def _arrive(self, promise: Promise, arrival: datetime, done: list[Outcome]) -> None:
        room = self._rooms.get(promise.room_ref)
        if promise.cancelled:
            done.append(Outcome(promise, "cancelled", promise.cancelled))
            return
        if promise.expired or room is None:
            done.append(
                Outcome(promise, "expired", "scheduler_down")
                if promise.expired
                else Outcome(promise, "failed", "no_gate")
            )
            return
        lane = room.lane
        if lane.waiting:
            self._serve(lane, arrival, done)
        if lane.free <= arrival and room.free <= arrival and not lane.waiting:
            self._start(lane, promise, arrival, room, done)
            return
        lane.waiting.append((arrival, promise, room))
        self._busy[id(lane)] = lane

    def _serve(self, lane: _Lane, until: datetime | None, done: list[Outcome]) -> None:
        """Everything that waits and can start before ``until`` (None: all of it)."""
        while lane.waiting:
            start, _, place = min(
                (_earliest(lane, arrival, room), _rank(promise), place)
                for place, (arrival, promise, room) in enumerate(lane.waiting)
            )
            if until is not None and start >= until:
                return
            _, promise, room = lane.waiting.pop(place)
            if start > promise.finish_by:
                why = "device_busy" if room.rules.device and lane.free > room.free else "room_busy"
                done.append(Outcome(promise, "expired", why))
            else:
                self._start(lane, promise, start, room, done)

    def _start(self, lane: _Lane, promise: Promise, at: datetime, room: _Room, done: list[Outcome]) -> None:
        if room.full(at):
            done.append(Outcome(promise, "skipped", "quota"))
            return
        room.used += 1
        lane.free = at + self._took.get(promise.slot.schedule_id, _NOTHING)
        room.free = lane.free + room.gap
        done.append(Outcome(promise, "goes_out", None, at))


def _earliest(lane: _Lane, arrival: datetime, room: _Room) -> datetime:
    return max(arrival, lane.free, room.free)


def _rank(promise: Promise) -> tuple[int, datetime, int]:
    return promise.priority, promise.slot.slot_at, promise.slot.schedule_id


def _by_arrival(late: tuple[Promise, datetime]) -> tuple[datetime, int, datetime, int]:
    return late[1], *_rank(late[0])


def _coalesced(
    late: Sequence[tuple[Promise, datetime]], done: list[Outcome]
) -> Iterator[tuple[Promise, datetime]]:
    """misfire = latest: of several that became due at once only the newest goes out."""
    newest: dict[tuple[int, datetime], datetime] = {}
    for promise, arrival in late:
        key = promise.slot.schedule_id, arrival
        newest[key] = max(newest.get(key, promise.slot.slot_at), promise.slot.slot_at)
    for promise, arrival in late:
        if promise.keep_latest and newest[promise.slot.schedule_id, arrival] > promise.slot.slot_at:
            done.append(Outcome(promise, "skipped", "coalesced"))
        else:
            yield promise, arrival
