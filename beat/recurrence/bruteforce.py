"""The same question answered the slow and obvious way, to hold the fast one against.

It walks UTC minute by minute and reads the wall clock. A wall time is due when the clock first shows
it or jumps over it: a gap is jumped at its end, and the second pass of a fold shows nothing new. It
shares only the parsed rules with the fast path; cron fields are read here a second time.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from beat.recurrence.rules import At, Cron, Daily, Once, Peak, Regular, Rule, Rules, Weekly

_MINUTE = timedelta(minutes=1)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_WARM_UP = timedelta(hours=50)  # longer than any clock was ever turned back


def scan(rules: Rules, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Every instant in [start, end), sorted and unique, in UTC. Costs some µs per minute walked.

    `start` and `end` are aware and on a whole minute. Zones must keep whole-minute offsets over the
    range (all do since 1972).
    """
    exact = {
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=r.ms) for r in rules if isinstance(r, At)
    }
    utc = start.astimezone(UTC) - _WARM_UP
    shown = utc.astimezone(zone).replace(tzinfo=None)
    last = end.astimezone(UTC)
    while utc < last:
        wall = utc.astimezone(zone).replace(tzinfo=None, fold=0)
        due = {moment for moment in exact if utc <= moment < utc + _MINUTE}
        while shown <= wall:
            late = shown < wall  # the clock jumped over it
            due |= {utc if late else utc + timedelta(seconds=s) for s in _seconds(rules, shown)}
            shown += _MINUTE
        yield from (moment for moment in sorted(due) if start <= moment < end)
        utc += _MINUTE


def _seconds(rules: Rules, wall: datetime) -> set[float]:
    """The seconds within the wall minute `wall` at which a rule fires."""
    return {second for rule in rules if (second := _second(rule, wall)) is not None}


def _second(rule: Rule, wall: datetime) -> float | None:
    minute = wall.hour * 60 + wall.minute
    match rule:
        case Once():
            second = rule.seconds % 60 + rule.ms / 1000
            return _if(rule.seconds // 60 == minute and rule.day == wall.date(), second)
        case Daily():
            return _if(rule.seconds // 60 == minute, rule.seconds % 60)
        case Weekly():
            return _if(rule.seconds // 60 == minute and wall.weekday() in rule.weekdays, rule.seconds % 60)
        case Regular():
            return _if(wall.minute in (0, 30), 0)
        case Peak():
            return _if(wall.hour in rule.hours and wall.minute in (0, 15, 30, 45), 0)
        case Cron():
            return _if(cron_matches(rule.expr, wall), 0)
        case At():
            return None


def _if(condition: bool, second: float) -> float | None:
    return second if condition else None


def cron_matches(expr: str, wall: datetime) -> bool:
    """Whether a five-field expression covers a wall minute, by Debian cron's rules."""
    minute, hour, day, month, weekday = expr.upper().split()
    if not (_covers(minute, wall.minute, 0, 59) and _covers(hour, wall.hour, 0, 23)):
        return False
    if not _covers(month, wall.month, 1, 12, _MONTHS):
        return False
    by_day, by_weekday = _day_covers(day, wall), _weekday_covers(weekday, wall)
    if day.startswith("*") or weekday.startswith("*"):
        return by_day and by_weekday
    return by_day or by_weekday


def _day_covers(field: str, wall: datetime) -> bool:
    last = calendar.monthrange(wall.year, wall.month)[1]
    for term in field.split(","):
        if term == "L" and wall.day == last:
            return True
        if term == "LW" and wall.day == max(
            d for d in range(1, last + 1) if wall.replace(day=d).weekday() < 5
        ):
            return True
        if not term.startswith("L") and _covers(term, wall.day, 1, 31):
            return True
    return False


def _weekday_covers(field: str, wall: datetime) -> bool:
    for term in field.split(","):
        base, hash_sign, nth = term.partition("#")
        if hash_sign and (wall.day - 1) // 7 + 1 != int(nth):
            continue
        if base.endswith("L"):
            base = base[:-1]
            if (wall + timedelta(days=7)).month == wall.month:
                continue
        sunday_first = (wall.weekday() + 1) % 7
        if any(_covers(base, number, 0, 7, _DAYS) for number in {sunday_first, sunday_first or 7}):
            return True
    return False


@lru_cache(maxsize=65_536)
def _covers(field: str, value: int, low: int, high: int, names: tuple[str, ...] = ()) -> bool:
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, dash, final = span.partition("-")
        if first == "*":
            start, stop = low, high
        else:
            start = _number(first, low, names)
            stop = _number(final, low, names) if dash else (high if step else start)
        if start <= value <= stop and (value - start) % int(step or 1) == 0:
            return True
    return False


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    return names.index(text) + low if text in names else int(text)
