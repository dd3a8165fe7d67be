"""Which other schedules a row must be checked against, so that 100,000 rows can be.

The check walks every neighbour over 62 days. Most neighbours cannot matter: one that never comes on the
same day counts for no quota, one that comes at another time of day is in nobody's way. They are left out
here; whatever is left in is judged by the check alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from beat.recurrence import RuleError, Rules, Window, parse_rules
from beat.recurrence.rules import Daily, Once, Weekly
from beat.schedule_form import Planned, RoomFacts
from beat.schedule_form.limits import QUOTA_ZONE, most_a_day
from models.store import Neighbour
from models.tables import Room

MOST: Final = 500  # the highest quota a room may have: more neighbours on one day change no answer


@dataclass(slots=True)
class RoomBook:
    """A room and what sends to it: what was saved before, and the file's rows that were good so far."""

    facts: RoomFacts
    lasting: list[Planned] = field(default_factory=list)
    by_day: dict[date, list[Planned]] = field(default_factory=lambda: defaultdict(list))
    a_day: int = 0

    def add(self, one: Planned) -> None:
        """Count one more schedule in."""
        day = _only_day(one)
        if day is not None:
            self.by_day[day].append(one)
        else:
            self.lasting.append(one)
            self.a_day += _a_day(one)

    def near(self, own: Planned) -> list[Planned]:
        """The neighbours that may matter to `own`, at most 500."""
        day = _only_day(own)
        single = list(self._around(own, day))
        most = _a_day(own) + self.a_day + len(single)
        if most > self.facts.quota:
            return [*single, *self.lasting][:MOST]
        times = _times(own)
        return [one for one in (*single, *self.lasting) if _close(times, _times(one), self.facts.gap_s)]

    def _around(self, own: Planned, day: date | None) -> Iterator[Planned]:
        if day is not None:
            for number in (-1, 0, 1):
                yield from self.by_day.get(day + timedelta(days=number), ())
            return
        for there, held in self.by_day.items():
            if own.window.valid_until is None or there <= own.window.valid_until.date() + timedelta(days=1):
                yield from held


def book_of(room: Room, beside: list[Neighbour]) -> RoomBook:
    """A room's book with what is saved. A rule that cannot be read sends nothing."""
    book = RoomBook(RoomFacts(room.room_id, room.type, room.gap_ms / 1000, room.quota))
    for one in beside:
        try:
            book.add(
                Planned(one.title, parse_rules(one.rules), one.tz, Window(one.valid_from, one.valid_until))
            )
        except RuleError:
            continue
    return book


def _a_day(one: Planned) -> int:
    return most_a_day(one.rules, one.tz)


def _only_day(one: Planned) -> date | None:
    rule = one.rules[0]
    return rule.day if len(one.rules) == 1 and isinstance(rule, Once) and one.tz == QUOTA_ZONE else None


def _times(one: Planned) -> frozenset[int] | None:
    """Seconds after midnight at which it may come; None if that is not so easily said."""
    if one.tz != QUOTA_ZONE:
        return None
    return _seconds(one.rules)


@lru_cache(maxsize=16_384)
def _seconds(rules: Rules) -> frozenset[int] | None:
    if not all(isinstance(rule, Once | Daily | Weekly) for rule in rules):
        return None
    return frozenset(rule.seconds for rule in rules if isinstance(rule, Once | Daily | Weekly))


def _close(one: frozenset[int] | None, other: frozenset[int] | None, gap_s: float) -> bool:
    if one is None or other is None:
        return True
    day = 86_400
    return any(min((a - b) % day, (b - a) % day) < gap_s + 1 for a in one for b in other)
