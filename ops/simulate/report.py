"""Outcomes counted: by room and reason, the fullest minute, the first of each kind that stays away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from beat.simulation import Outcome
from runtime.ids import SlotId

_WAITED_S = 1.0  # from here on a start counts as one that waited


@dataclass(slots=True)
class RoomCount:
    """What one room gets. ``away``: reason -> messages that do not go out."""

    promised: int = 0
    goes_out: int = 0
    waited: int = 0
    longest_s: float = 0.0
    away: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Report:
    """Fed by `add`; memory grows with rooms and days that a minute is fullest in, not with slots."""

    promised: int = 0
    states: Counter[str] = field(default_factory=Counter)
    rooms: dict[int | None, RoomCount] = field(default_factory=dict)
    firsts: dict[str, Outcome] = field(default_factory=dict)
    fullest: tuple[int, datetime] | None = None
    _minute: datetime | None = None
    _in_minute: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        promise, state, reason, start = outcome
        self.promised += 1
        self.states[state] += 1
        room = self.rooms.get(promise.room_ref)
        if room is None:
            room = self.rooms[promise.room_ref] = RoomCount()
        room.promised += 1
        if start is None:
            room.away[f"{state}: {reason}"] += 1
            self._first(f"{state}: {reason}", outcome)
            return
        room.goes_out += 1
        if start is not promise.slot.slot_at:
            waited = (start - promise.slot.slot_at).total_seconds()
            room.waited += waited >= _WAITED_S
            room.longest_s = max(room.longest_s, waited)

    def due(self, at: datetime) -> None:
        """Count a due instant, in time order, towards the fullest minute."""
        if self._minute is None or not 0 <= (at - self._minute).total_seconds() < 60:
            self._minute, self._in_minute = at.replace(second=0, microsecond=0), 0
        self._in_minute += 1
        if self.fullest is None or self._in_minute > self.fullest[0]:
            self.fullest = self._in_minute, self._minute

    def _first(self, what: str, outcome: Outcome) -> None:
        held = self.firsts.get(what)
        if held is None or outcome.promise.slot.slot_at < held.promise.slot.slot_at:
            self.firsts[what] = outcome


def reported(chunks: Iterable[list[Outcome]], report: Report) -> Iterator[list[Outcome]]:
    """Count what passes by."""
    for chunk in chunks:
        for outcome in chunk:
            report.add(outcome)
        for at in sorted(outcome.promise.slot[1] for outcome in chunk):
            report.due(at)
        yield chunk


def line(outcome: Outcome) -> dict[str, Any]:
    """One outcome for programs."""
    promise = outcome.promise
    return {
        "slot": str(SlotId(*promise.slot)), "at": promise.slot.slot_at, "state": outcome.state,
        "reason": outcome.reason, "start": outcome.start, "finish_by": promise.finish_by,
    }  # fmt: skip
