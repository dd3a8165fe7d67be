"""Cron expressions on the wall clock, parsed by cronsim.

cronsim, not croniter: it follows Debian's cron (day-of-month and day-of-week rules included), is typed
and small, and croniter has had wrong answers on naive times and around clock changes. We ask it about
naive days only; what a clock change does is decided by `beat.recurrence.zones`, as for every other rule.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from beat.recurrence.errors import RuleError

_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_ONE_LONG = re.compile(r"\b(\w+)-\1/\d+\b")  # 5-5/2 is 5 to cron, but 5/2 to cronsim
_PLAIN = datetime(2024, 1, 1)  # noqa: DTZ001 - cronsim is asked about wall clocks only
SEARCH_YEARS = 50
_HINT = "five fields: minute hour day-of-month month day-of-week, such as */15 8-19 * * 1-5"


def check(expr: object) -> str:
    """The expression in its plain form, if it can be read; RuleError on field `expr` if not.

    One that can be read but never comes (30 February) passes here: it simply has no instants.
    """
    if not isinstance(expr, str) or not expr.strip():
        raise RuleError("expr", "the cron expression is empty", _HINT)
    if len(expr) > 255 or not expr.isascii():
        raise RuleError("expr", "the cron expression is too long or has foreign characters", _HINT)
    fields = expr.split()
    if expr.lstrip().startswith("@"):
        raise RuleError("expr", f"{fields[0]} is a name, not an expression", _HINT)
    if len(fields) == 6:
        raise RuleError("expr", "six fields: seconds are not supported", _HINT)
    if len(fields) != 5:
        raise RuleError("expr", f"{len(fields)} fields instead of 5", _HINT)
    for position, field in enumerate(fields):
        alone = ["*"] * 5
        alone[position] = field
        try:
            CronSim(" ".join(alone), _PLAIN)
        except (CronSimError, AssertionError, ValueError):
            raise RuleError(
                "expr", f"the {_FIELDS[position]} field {field!r} cannot be read", _HINT
            ) from None
    return _ONE_LONG.sub(r"\1", " ".join(fields))


@lru_cache(maxsize=1024)
def _matcher(expr: str) -> CronSim | None:
    """cronsim's sets for an expression that `check` passed; None if no month has the day it wants."""
    try:
        return CronSim(expr, _PLAIN)
    except CronSimError:
        return None


@lru_cache(maxsize=1024)
def _seconds(expr: str) -> tuple[int, ...]:
    matcher = _matcher(expr)
    if matcher is None:
        return ()
    return tuple(h * 3_600 + m * 60 for h in sorted(matcher.hours) for m in sorted(matcher.minutes))


def seconds_on(expr: str, day: date) -> tuple[int, ...]:
    """Seconds after midnight of every wall time on `day`, in order."""
    matcher = _matcher(expr)
    if matcher is None or day.month not in matcher.months or not matcher.match_day(day):
        return ()
    return _seconds(expr)


@lru_cache(maxsize=65_536)
def next_day(expr: str, day: date) -> date | None:
    """The first day from `day` on that has a wall time; None if none comes within 50 years."""
    matcher = _matcher(expr)
    if matcher is None:
        return None
    last = min(day.year + SEARCH_YEARS, 9990)  # datetime ends at 9999
    while day.year <= last:
        if day.month not in matcher.months:
            day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        elif matcher.match_day(day):
            return day
        else:
            day += timedelta(days=1)
    return None
