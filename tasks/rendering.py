"""Fills the few placeholders that a message text may have (A33)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from beat.recurrence import zone_of

WEEKDAYS: Final = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")
_PLACEHOLDER: Final = re.compile(r"\{(time|date|weekday|datetime)\}")


def render(text: str, *, slot_at: datetime, tz: str) -> str:
    """The text with `{time}`, `{date}`, `{weekday}` and `{datetime}` of the slot's own instant in `tz`.

    The slot's time, not the moment of sending: a late message still says which slot it is for. Every
    other brace stays as it is, so a text may hold JSON. RuleError for an unknown zone, ValueError for a
    naive `slot_at`.
    """
    if slot_at.tzinfo is None:
        raise ValueError(f"slot_at {slot_at.isoformat()} has no zone")
    local = slot_at.astimezone(zone_of(tz))
    filled = {
        "time": f"{local:%H:%M}",
        "date": f"{local:%Y-%m-%d}",
        "weekday": WEEKDAYS[local.weekday()],
        "datetime": f"{local:%Y-%m-%d %H:%M}",
    }
    return _PLACEHOLDER.sub(lambda found: filled[found[1]], text)
