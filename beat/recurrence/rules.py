"""Rules as values: each knows its wall times on a day and the next day on which it has any."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Final

from beat.recurrence import cron
from beat.recurrence.errors import RuleError

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
KINDS: Final = ("once", "daily", "weekly", "regular", "peak", "cron", "at")
LAST_DAY: Final = date(9990, 12, 31)  # a few years of room before datetime overflows
FIRST_DAY: Final = date(1970, 1, 1)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_FRACTION = re.compile(r"(\d\d:\d\d:\d\d)\.(\d{1,3})")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Once:
    """One date and time on the wall clock, to the millisecond: an immediate message is due now."""

    kind: ClassVar[str] = "once"
    day: date
    seconds: int
    ms: int = 0

    def seconds_on(self, day: date, /) -> tuple[int, ...]:
        return (self.seconds,) if day == self.day else ()

    def next_day(self, day: date, /) -> date | None:
        return self.day if self.day >= day else None


@dataclass(frozen=True, slots=True)
class Daily:
    """Every day at one time."""

    kind: ClassVar[str] = "daily"
    ms: ClassVar[int] = 0
    seconds: int

    def seconds_on(self, _day: date, /) -> tuple[int, ...]:
        return (self.seconds,)

    def next_day(self, day: date, /) -> date | None:
        return day


@dataclass(frozen=True, slots=True)
class Weekly:
    """On listed weekdays (0 = Monday) at one time."""

    kind: ClassVar[str] = "weekly"
    ms: ClassVar[int] = 0
    seconds: int
    weekdays: tuple[int, ...]

    def seconds_on(self, day: date, /) -> tuple[int, ...]:
        return (self.seconds,) if day.weekday() in self.weekdays else ()

    def next_day(self, day: date, /) -> date | None:
        return day + timedelta(days=min((weekday - day.weekday()) % 7 for weekday in self.weekdays))


@dataclass(frozen=True, slots=True)
class Regular:
    """Every hour at :00 and :30 (acceptance A01)."""

    kind: ClassVar[str] = "regular"
    ms: ClassVar[int] = 0

    def seconds_on(self, _day: date, /) -> tuple[int, ...]:
        return tuple(range(0, 86_400, 1_800))

    def next_day(self, day: date, /) -> date | None:
        return day


@dataclass(frozen=True, slots=True)
class Peak:
    """Every 15 minutes in [h:00, h+1:00) of each listed hour (acceptance A02, ruling 1)."""

    kind: ClassVar[str] = "peak"
    ms: ClassVar[int] = 0
    hours: tuple[int, ...]

    def seconds_on(self, _day: date, /) -> tuple[int, ...]:
        return tuple(h * 3_600 + quarter for h in self.hours for quarter in range(0, 3_600, 900))

    def next_day(self, day: date, /) -> date | None:
        return day


@dataclass(frozen=True, slots=True)
class Cron:
    """A five-field cron expression on the wall clock."""

    kind: ClassVar[str] = "cron"
    ms: ClassVar[int] = 0
    expr: str

    def seconds_on(self, day: date, /) -> tuple[int, ...]:
        return cron.seconds_on(self.expr, day)

    def next_day(self, day: date, /) -> date | None:
        return cron.next_day(self.expr, day)


@dataclass(frozen=True, slots=True)
class At:
    """One exact instant, whatever the zone: an immediate message."""

    kind: ClassVar[str] = "at"
    ms: int


WallRule = Once | Daily | Weekly | Regular | Peak | Cron
Rule = WallRule | At
Rules = tuple[Rule, ...]


def parse_rules(objects: Sequence[Mapping[str, Any]]) -> Rules:
    """Rules from their JSON objects, as `schedule_clock.rules` keeps them.

    Equal lists give the very same tuple, so that what was computed for it is found again at once.
    Raises RuleError for the first thing that cannot be read; unknown keys are errors too.
    """
    try:
        return parse_rules_text(json.dumps(objects))
    except TypeError:
        raise _not_a_list() from None


@lru_cache(maxsize=16_384)
def parse_rules_text(text: str) -> Rules:
    """The same from the list's JSON text, about ten times cheaper when the text was seen before."""
    try:
        objects = json.loads(text)
    except ValueError:
        raise _not_a_list() from None
    if not isinstance(objects, list) or not all(isinstance(found, dict) for found in objects):
        raise _not_a_list()
    if not objects:
        raise RuleError("rules", "there is no rule", 'give at least one, such as {"kind": "regular"}')
    return tuple(dict.fromkeys(_parse(found) for found in objects))


def _not_a_list() -> RuleError:
    return RuleError("rules", "the rules are not a list of objects", 'write [{"kind": "regular"}]')


def _parse(found: dict[str, Any]) -> Rule:
    kind = found.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise RuleError("kind", f"there is no rule kind {kind!r}", f"one of {', '.join(KINDS)}")
    rule = _build(kind, found)
    if found:
        raise RuleError(next(iter(found)), f"a {kind} rule has no such key", "leave it out")
    return rule


def _build(kind: str, found: dict[str, Any]) -> Rule:
    match kind:
        case "once":
            return Once(parse_date(found.pop("date", None)), *parse_time_ms(found.pop("time", None)))
        case "daily":
            return Daily(parse_time(found.pop("time", None)))
        case "weekly":
            return Weekly(parse_time(found.pop("time", None)), parse_weekdays(found.pop("weekdays", None)))
        case "regular":
            return Regular()
        case "peak":
            return Peak(parse_hours(found.pop("hours", None)))
        case "cron":
            return Cron(cron.check(found.pop("expr", None)))
        case _:
            return At(parse_ms(found.pop("ms", None)))


def parse_date(text: object) -> date:
    """A date from `2026-11-21`; RuleError on field `date`."""
    try:
        if not isinstance(text, str) or not _DATE.fullmatch(text):
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        raise RuleError("date", f"{text!r} is not a date", "write it as 2026-11-21") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise RuleError("date", f"{text} is out of range", f"between {FIRST_DAY} and {LAST_DAY}")
    return day


def parse_time(text: object) -> int:
    """Seconds after midnight from `09:00` or `09:00:00`; RuleError on field `time`."""
    found = _TIME.fullmatch(text) if isinstance(text, str) and text.isascii() else None
    if found is None:
        raise RuleError("time", f"{text!r} is not a time of day", "write it as 09:00, up to 23:59:59")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3_600 + minutes * 60 + seconds


def parse_time_ms(text: object) -> tuple[int, int]:
    """Seconds after midnight and milliseconds, `09:00`, `09:00:00` or `09:00:00.123`; RuleError on `time`."""
    found = _FRACTION.fullmatch(text) if isinstance(text, str) and text.isascii() else None
    if found is None:
        if isinstance(text, str) and "." in text:
            raise RuleError("time", f"{text!r} is not a time of day", "write it as 09:00, up to 23:59:59.999")
        return parse_time(text), 0
    return parse_time(found[1]), int(found[2].ljust(3, "0"))


def parse_weekdays(names: object) -> tuple[int, ...]:
    """Weekday numbers, Monday = 0, in week order; RuleError on field `weekdays`."""
    hint = "give each day once, of " + ", ".join(WEEKDAYS)
    if not isinstance(names, list | tuple) or not names:
        raise RuleError("weekdays", "there is no weekday", hint)
    wrong = [name for name in names if name not in WEEKDAYS]
    if wrong:
        raise RuleError("weekdays", f"{wrong[0]!r} is not a weekday", hint)
    if len(set(names)) < len(names):
        raise RuleError("weekdays", "a weekday is given twice", hint)
    return tuple(sorted(WEEKDAYS.index(name) for name in names))


def parse_hours(hours: object) -> tuple[int, ...]:
    """Peak hours in order; RuleError on field `hours`."""
    hint = "give whole hours from 0 to 23, each once, such as 8,9,10"
    if not isinstance(hours, list | tuple) or not hours:
        raise RuleError("hours", "there is no peak hour", hint)
    wrong = [hour for hour in hours if type(hour) is not int or not 0 <= hour <= 23]
    if wrong:
        raise RuleError("hours", f"{wrong[0]!r} is not an hour", hint)
    if len(set(hours)) < len(hours):
        raise RuleError("hours", "an hour is given twice", hint)
    return tuple(sorted(hours))


def parse_ms(ms: object) -> int:
    """Unix milliseconds; RuleError on field `ms`."""
    if type(ms) is not int or not 0 <= ms < 253_000_000_000_000:
        raise RuleError("ms", f"{ms!r} is not an instant", "Unix time in whole milliseconds")
    return ms


def clock_text(seconds: int, ms: int = 0) -> str:
    """`09:00`, `09:00:30` where the seconds are not zero, `09:00:00.123` where the milliseconds are not."""
    shown = time(seconds // 3_600, seconds // 60 % 60, seconds % 60, ms * 1000)
    return shown.isoformat("milliseconds" if ms else "seconds" if seconds % 60 else "minutes")
