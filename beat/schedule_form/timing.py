"""When: the form's rules, zone and window, read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from beat.recurrence import RuleError, Rules, Window, next_after, parse_rules, zone_of
from beat.recurrence.rules import At, Once
from beat.schedule_form.content import whole
from beat.schedule_form.values import GRACE_S, MAX_GRACE_S, Problem, ScheduleForm

TYPES: Final = ("once", "daily", "weekly", "regular", "peak", "cron")
OPEN_END: Final = datetime(2999, 12, 30, 15, tzinfo=UTC)
_TAKES: Final[dict[str, tuple[str, ...]]] = {
    "once": ("date", "time"),
    "daily": ("time",),
    "weekly": ("time", "weekdays"),
    "regular": (),
    "peak": ("peak_hours",),
    "cron": ("cron",),
}
_KEY_OF_FIELD: Final = {"peak_hours": "hours", "cron": "expr"}
_FIELD_OF_KEY: Final = {"hours": "peak_hours", "expr": "cron", "kind": "type"}


@dataclass(frozen=True, slots=True)
class Timing:
    """Rules that fire at least once in the window: their objects, their values and their first instant."""

    objects: list[dict[str, Any]]
    rules: Rules
    window: Window
    first: datetime


def read_timing(form: ScheduleForm, now: datetime) -> tuple[Timing | None, list[Problem]]:
    """The timing, or the problems that stand in its way."""
    problems = _unused(form)
    objects, rules = _rules(form, problems)
    try:
        zone_of(form.tz)
    except RuleError as wrong:
        problems.append(Problem(wrong.field, wrong.reason, wrong.hint))
        return None, problems
    since = _moment(form, "valid_from", problems)
    until = _moment(form, "valid_until", problems)
    if rules is None or problems:
        return None, problems
    start = _start(form, rules, now)
    window = Window(since or start, until or OPEN_END)
    first = next_after(rules, form.tz, start, inclusive=True, window=window)
    if first is None:
        return None, [_why_never(form, rules, window, now)]
    window = Window(since or min(now, first), window.valid_until)
    return Timing(objects, rules, window, first), []


def _start(form: ScheduleForm, rules: Rules, now: datetime) -> datetime:
    """Instants count from now on; a one-off may lie back as far as its grace."""
    if not all(isinstance(rule, Once | At) for rule in rules):
        return now
    return now - timedelta(seconds=form.grace if whole(form.grace, 0, MAX_GRACE_S) else GRACE_S)


def _rules(form: ScheduleForm, problems: list[Problem]) -> tuple[list[dict[str, Any]], Rules | None]:
    if form.rules is not None:
        given: Sequence[Any] = form.rules  # from outside: what is in it is not known yet
        objects = [dict(found) if isinstance(found, Mapping) else found for found in given]
    elif form.types:
        objects = [_object(form, kind) for kind in dict.fromkeys(form.types)]
    else:
        problems.append(Problem("type", "there is no type", f"give at least one of {', '.join(TYPES)}"))
        return [], None
    strange = [kind for kind in form.types if kind not in TYPES] if form.rules is None else []
    if strange:
        problems.append(Problem("type", f"there is no type {strange[0]!r}", f"one of {', '.join(TYPES)}"))
        return [], None
    before = len(problems)
    for found in objects:
        try:
            parse_rules([found])
        except RuleError as wrong:
            field = _FIELD_OF_KEY.get(wrong.field, wrong.field)
            problem = Problem(field, wrong.reason, wrong.hint)
            problems += [problem] if problem not in problems else []
    if len(problems) > before:
        return objects, None
    try:
        return objects, parse_rules(objects)
    except RuleError as wrong:
        problems.append(Problem(wrong.field, wrong.reason, wrong.hint))
        return objects, None


def _object(form: ScheduleForm, kind: str) -> dict[str, Any]:
    """One rule object from the fields that its type takes."""
    found: dict[str, Any] = {"kind": kind}
    for field in _TAKES.get(kind, ()):
        value = getattr(form, field)
        if isinstance(value, time) and value.microsecond and value.microsecond % 1000 == 0:
            value = value.isoformat("milliseconds")
        elif isinstance(value, date | time):
            value = value.isoformat()
        elif field in ("weekdays", "peak_hours"):
            value = list(value)
        found[_KEY_OF_FIELD.get(field, field)] = value
    return found


def _unused(form: ScheduleForm) -> list[Problem]:
    """Fields that no chosen type reads: saving them would promise what nobody keeps."""
    if form.rules is not None:
        taken: set[str] = set()
        given = ["types", "date", "time", "weekdays", "peak_hours", "cron"]
    else:
        taken = {field for kind in form.types for field in _TAKES.get(kind, ())}
        given = ["date", "time", "weekdays", "peak_hours", "cron"] if form.types else []
    chosen = "rules" if form.rules is not None else " and ".join(form.types)
    return [
        Problem("type" if field == "types" else field, f"{chosen} does not use it", "leave it out")
        for field in given
        if getattr(form, field) not in (None, (), []) and field not in taken
        if all(kind in TYPES for kind in form.types)
    ]


def _moment(form: ScheduleForm, field: str, problems: list[Problem]) -> datetime | None:
    """An aware instant from an ISO text or a datetime; a naive one is refused, not guessed."""
    given: str | datetime | None = getattr(form, field)
    if given is None or given == "":
        return None
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        problems.append(Problem(field, f"{given!r} is not a time", "write it as 2026-12-31T23:59:59+09:00"))
        return None
    if moment.tzinfo is None or moment.utcoffset() is None:
        local = moment.replace(tzinfo=zone_of(form.tz))
        hint = f"say of which zone, for instance {local.isoformat()}"
        problems.append(Problem(field, f"{given} has no offset", hint))
        return None
    if not 1970 <= moment.year <= 2999:
        problems.append(Problem(field, f"{given} is out of range", "between 1970 and 2999"))
        return None
    return moment.astimezone(UTC)


def _why_never(form: ScheduleForm, rules: Rules, window: Window, now: datetime) -> Problem:
    """The one sentence that explains why no instant is left."""
    since, until = _shown(window.valid_from, form.tz), _shown(window.valid_until, form.tz)
    backwards = window.valid_from and window.valid_until and window.valid_until < window.valid_from
    if form.valid_from and backwards:
        return Problem("valid_until", f"{until} is before valid_from {since}", "put it after valid_from")
    if window.valid_until and window.valid_until < now and form.valid_until:
        return Problem("valid_until", f"{until} is past", f"put it after {_shown(now, form.tz)}")
    alone = next_after(rules, form.tz, datetime(1970, 1, 2, tzinfo=UTC))
    if alone is None:
        field = "cron" if any(rule.kind == "cron" for rule in rules) else "date"
        return Problem(field, "that day never comes", "choose a day that exists")
    if all(isinstance(rule, Once | At) for rule in rules):
        latest = _latest(rules, form.tz)
        if latest < _start(form, rules, now):
            hint = f"choose a time after {_shown(now, form.tz)}"
            return Problem("date", f"{_shown(latest, form.tz)} is past", hint)
        hint = f"choose a time from {since} to {until}, or a wider window"
        return Problem("date", f"{_shown(latest, form.tz)} is outside the validity window", hint)
    upcoming = next_after(rules, form.tz, max(now, window.valid_from or now), inclusive=True)
    hint = f"the next would be {_shown(upcoming, form.tz)}" if upcoming else "choose another rule"
    return Problem("valid_until", f"no instant lies between {since} and {until}", hint)


def _latest(rules: Rules, tz: str) -> datetime:
    """The last of the one-offs; there is at least one."""
    moment = latest = datetime(1970, 1, 2, tzinfo=UTC)
    while (found := next_after(rules, tz, moment)) is not None:
        moment = latest = found
    return latest


def _shown(moment: datetime | None, tz: str) -> str:
    return "the end of time" if moment is None else moment.astimezone(zone_of(tz)).isoformat(" ", "seconds")
