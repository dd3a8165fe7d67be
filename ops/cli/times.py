"""Instants as people type them."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

from ops.cli.errors import BadInput
from ops.cli.output import SEOUL


def instant(text: str, field: str) -> datetime:
    """An ISO 8601 instant with offset; a naive one is refused, not guessed. Raises BadInput."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"--{field}: {text!r} is not a time.", "Write it as 2026-12-31T09:00:00+09:00."
        ) from None
    if moment.tzinfo is None or moment.utcoffset() is None:
        shown = moment.replace(tzinfo=ZoneInfo(SEOUL)).isoformat()
        raise BadInput(f"--{field}: {text} has no offset, so it is no instant.", f"Write it as {shown}.")
    return moment


def slot_time(text: str, tz: str, now: datetime) -> datetime:
    """A slot's time: 09:00 (today), '2026-11-21 09:00' on the schedule's wall clock, or ISO with offset."""
    zone = ZoneInfo(tz)
    try:
        return datetime.combine(now.astimezone(zone).date(), time.fromisoformat(text.strip()), zone)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        hint = "Write 09:00 for today, '2026-11-21 09:00', or 2026-11-21T09:00:00+09:00."
        raise BadInput(f"{text!r} is not a time.", hint) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def moment(text: str, field: str) -> datetime:
    """A day or a time, Korean unless it names its offset: 2026-12-01, '2026-12-01 09:00', ISO 8601. Raises
    BadInput."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        hint = "Write 2026-12-01, '2026-12-01 09:00' (Korean time) or 2026-12-01T09:00:00+09:00."
        raise BadInput(f"--{field}: {text!r} is no time.", hint) from None
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(SEOUL))
