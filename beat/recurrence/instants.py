"""From rules and a zone to instants. Pure; what a day holds is computed once and remembered.

All arithmetic is on whole Unix milliseconds. Within one rule list the instants of a later day never
come before those of an earlier one (see `zones.instant_ms`), so a search stops at the first day that
has one in range. `at` rules stand outside: they are instants already.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from beat.recurrence.rules import LAST_DAY, At, Cron, Once, Rules, WallRule
from beat.recurrence.zones import ceil_ms, floor_ms, instant_ms, local_date, to_datetime, zone_of

_ONE_DAY = timedelta(days=1)
_FOREVER_MS = 1 << 62
_HOUR_MS = 3_600_000
_LONG_MS = 6 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Window:
    """A validity period, both ends inclusive; None is open. Naive ends raise ValueError on use."""

    valid_from: datetime | None = None
    valid_until: datetime | None = None


ALWAYS = Window()


def next_after(
    rules: Rules, tz: str, after: datetime, *, inclusive: bool = False, window: Window = ALWAYS
) -> datetime | None:
    """The first instant strictly after `after` (at or after it with `inclusive`), in UTC.

    None when none is left inside the window, or, for a cron expression, none comes within 50 years.
    Raises RuleError for an unknown zone and ValueError for a naive `after`. Rulings 1, 6 and 7: the
    answer comes from the instant handed in, never from the host's clock, and includes today.
    """
    first, last = _bounds(after, window, inclusive=inclusive)
    found = _first_from(rules, tz, first)
    return None if found is None or found > last else to_datetime(found)


def between(
    rules: Rules,
    tz: str,
    start: datetime,
    end: datetime,
    *,
    include_start: bool = True,
    include_end: bool = False,
    window: Window = ALWAYS,
) -> Iterator[datetime]:
    """Every instant from `start` to `end`, sorted and unique, in UTC; lazily, one at a time.

    A union gives one instant where several of its rules meet (ruling 1).
    """
    first, last = _bounds(start, window, inclusive=include_start)
    last = min(last, floor_ms(end) if include_end else ceil_ms(end) - 1)
    if last - first > _LONG_MS and not any(isinstance(rule, At) for rule in rules):
        yield from _by_days(rules, tz, first, last)
        return
    found = _first_from(rules, tz, first)
    while found is not None and found <= last:
        yield to_datetime(found)
        found = _first_from(rules, tz, found + 1)


def _by_days(rules: Rules, tz: str, first: int, last: int) -> Iterator[datetime]:
    """A long span day by day: three times cheaper for rules with few times, whose hours are seldom shared."""
    day = _next_day(rules, local_date(first, zone_of(tz)) - _ONE_DAY)
    while day is not None:
        for ms in _on_day(rules, tz, day):
            if ms > last:
                return
            if ms >= first:
                yield to_datetime(ms)
                first = ms + 1  # a day that the date line skipped falls onto the next one's instants
        day = _next_day(rules, day + _ONE_DAY)


def next_instants(
    rules: Rules, tz: str, after: datetime, count: int, window: Window = ALWAYS, *, inclusive: bool = False
) -> list[datetime]:
    """The next `count` instants after `after`, fewer if fewer are left: the preview."""
    found: list[datetime] = []
    moment = next_after(rules, tz, after, inclusive=inclusive, window=window)
    while moment is not None and len(found) < count:
        found.append(moment)
        moment = next_after(rules, tz, moment, window=window)
    return found


def daily_instants(rules: Rules, tz: str, day: date) -> tuple[datetime, ...]:
    """The instants that belong to one local day, in UTC.

    A wall time that a clock change pushes past midnight belongs to the day it was written for.
    """
    zone = zone_of(tz)
    exact = (rule.ms for rule in rules if isinstance(rule, At) and local_date(rule.ms, zone) == day)
    return tuple(to_datetime(ms) for ms in sorted({*_on_day(rules, tz, day), *exact}))


@lru_cache(maxsize=4096)
def max_per_day(rules: Rules, tz: str) -> int:
    """The most slots that one local day can have.

    Calendars repeat after 28 years (1901 to 2099), so cron days are tried over 28 years.
    """
    walls = _walls(rules)
    zone = zone_of(tz)
    exact = {rule.ms for rule in rules if isinstance(rule, At)}
    days = {local_date(ms, zone) for ms in exact} | {rule.day for rule in walls if isinstance(rule, Once)}
    span = 10_228 if any(isinstance(rule, Cron) for rule in walls) else 7
    days.update(date(2024, 1, 1) + timedelta(days=number) for number in range(span))
    own = Counter(local_date(ms, zone) for ms in exact)
    return max(wall_times_on(rules, day) + own[day] for day in days)


def wall_times_on(rules: Rules, day: date) -> int:
    """How many different wall times one day has; cheap, and never less than its instants."""
    return _distinct(tuple((rule.ms, rule.seconds_on(day)) for rule in _walls(rules)))


@lru_cache(maxsize=4096)
def _distinct(times: tuple[tuple[int, tuple[int, ...]], ...]) -> int:
    return len({(second, ms) for ms, seconds in times for second in seconds})


def _bounds(start: datetime, window: Window, *, inclusive: bool) -> tuple[int, int]:
    """The first and the last millisecond in range, both inclusive."""
    first = ceil_ms(start) if inclusive else floor_ms(start) + 1
    if window.valid_from is not None:
        first = max(first, ceil_ms(window.valid_from))
    last = _FOREVER_MS if window.valid_until is None else floor_ms(window.valid_until)
    return first, last


def _first_from(rules: Rules, tz: str, first: int) -> int | None:
    """The first instant at or after `first`."""
    ahead = _of_hour(rules, tz, first // _HOUR_MS)
    place = bisect_left(ahead, first)
    return ahead[place] if place < len(ahead) else None


@lru_cache(maxsize=65_536)
def _of_hour(rules: Rules, tz: str, hour: int) -> tuple[int, ...]:
    """The instants of one hour since 1970 and the first one after it.

    Cursors differ by schedule, but in a burst they stand in the same hour and share this answer.
    """
    found: list[int] = []
    moment = _search(rules, tz, hour * _HOUR_MS)
    while moment is not None:
        found.append(moment)
        if moment >= (hour + 1) * _HOUR_MS:
            break
        moment = _search(rules, tz, moment + 1)
    return tuple(found)


def _search(rules: Rules, tz: str, first: int) -> int | None:
    """The first instant at or after `first`, day by day."""
    found = [rule.ms for rule in rules if isinstance(rule, At) and rule.ms >= first]
    # A gap can carry a wall time into the next day, and the date line once skipped a whole one,
    # so the search begins a day early.
    day = _next_day(rules, local_date(first, zone_of(tz)) - _ONE_DAY)
    while day is not None:
        instants = _on_day(rules, tz, day)
        place = bisect_left(instants, first)
        if place < len(instants):
            found.append(instants[place])
            break
        day = _next_day(rules, day + _ONE_DAY)
    return min(found, default=None)


def _next_day(rules: Rules, day: date) -> date | None:
    if day > LAST_DAY:
        return None
    return min((found for rule in _walls(rules) if (found := rule.next_day(day))), default=None)


@lru_cache(maxsize=16_384)
def _on_day(rules: Rules, tz: str, day: date) -> tuple[int, ...]:
    """The instants of one local day in order: every hop over a zone's rules is paid for here, once."""
    zone = zone_of(tz)
    walls = {second * 1000 + rule.ms for rule in _walls(rules) for second in rule.seconds_on(day)}
    return tuple(sorted({instant_ms(day, wall, zone) for wall in walls}))


@lru_cache(maxsize=16_384)
def _walls(rules: Rules) -> tuple[WallRule, ...]:
    return tuple(rule for rule in rules if not isinstance(rule, At))
