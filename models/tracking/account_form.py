"""What may stand in an account's row (C65, C66, C89): every bad value with what would be right. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from models.store.errors import Wrong

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERY_DAY: Final = frozenset({"", "daily", "every-day"})
NAME_MAX: Final = 50
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_NAME: Final = re.compile(r"[^\W_](?:[\w.-]*\w)?")
_BOUNDS: Final = {"retry_count": (0, 10), "grace_seconds": (60, 86_400), "batch_size": (1, 3_000)}
_MEANT: Final = {
    "retry_count": "0 to 10 retries after the first try",
    "grace_seconds": "60 to 86400 seconds",
    "batch_size": "1 to 3000 orders, as many as PlayAuto takes in one call",
}


def name_problem(name: str) -> Wrong | None:
    """What is wrong with an account's name; None: nothing."""
    if len(name) <= NAME_MAX and _NAME.fullmatch(name):
        return None
    hint = f"1 to {NAME_MAX} letters and digits, with . - _ inside, as in brand-2"
    return Wrong("account", f"{name[:80]!r} is no account's name", hint)


def weekdays_of(given: str) -> str | None:
    """Days as the column keeps them: in the week's order, each once; None: every day."""
    if given.strip().lower() in EVERY_DAY:
        return None
    named = [day.strip().lower() for day in given.split(",")]
    known = [day for day in DAYS if day in named]
    return ",".join([*known, *(day for day in named if day not in DAYS)]) or None


def problems(columns: Mapping[str, Any]) -> Iterator[Wrong]:
    """What is wrong with the columns that are given, all at once. ``weekdays``: as `weekdays_of` has it."""
    if "schedule_time" in columns and not _TIME.fullmatch(str(columns["schedule_time"])):
        hint = "HH:MM from 00:00 to 23:59 with two digits each, as in 09:00"
        yield Wrong("schedule_time", f"{columns['schedule_time']!r} is no time of day", hint)
    if columns.get("weekdays"):
        odd = [day for day in str(columns["weekdays"]).split(",") if day not in DAYS]
        if odd:
            hint = "monday to sunday, parted by commas, or daily"
            yield Wrong("weekdays", f"there is no day {', '.join(map(repr, odd))}", hint)
    if "tz" in columns and not _is_zone(str(columns["tz"])):
        yield Wrong("tz", f"there is no time zone {columns['tz']!r}", "one like Asia/Seoul")
    for name, (least, most) in _BOUNDS.items():
        if name in columns and not least <= int(columns[name]) <= most:
            yield Wrong(name, f"{columns[name]} is out of bounds", _MEANT[name])
    if columns.get("number_policy", "warn") not in ("warn", "hold"):
        hint = "warn uploads numbers that look wrong for their carrier, hold keeps them back"
        yield Wrong("number_policy", f"there is no policy {columns['number_policy']!r}", hint)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
