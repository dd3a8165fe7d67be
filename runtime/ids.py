"""Public ids. A slot is named by what it is, so the id is derived and never stored."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_SHAPE = re.compile(r"([1-9]\d{0,17})-(\d{1,15})", re.ASCII)


class SlotId(NamedTuple):
    """One instant of one schedule. As text `S-T`: schedule id, slot time in Unix milliseconds.

    >>> str(SlotId.parse("812-1795222800000"))
    '812-1795222800000'
    """

    schedule_id: int
    slot_at: datetime

    def __str__(self) -> str:
        """The public text. Raises ValueError if `slot_at` is naive or not in whole milliseconds."""
        return f"{self.schedule_id}-{to_ms(self.slot_at)}"

    @classmethod
    def parse(cls, text: str) -> SlotId:
        """Read the public text back, `slot_at` in UTC. Raises ValueError with a sentence for a person."""
        found = _SHAPE.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                f"{text!r} is no slot id: it is the schedule's id, a hyphen and the slot's time in Unix "
                "milliseconds, like 812-1795222800000"
            )
        try:
            return cls(int(found[1]), from_ms(int(found[2])))
        except OverflowError:
            raise ValueError(f"{text!r} is no slot id: its time lies beyond the year 9999") from None


def to_ms(at: datetime) -> int:
    """Unix milliseconds of an aware instant, exactly (no float). Raises ValueError for anything finer."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone, so it is no instant")
    ms, rest = divmod(at - _EPOCH, _MS)
    if rest:
        raise ValueError(f"{at.isoformat()} is not in whole milliseconds, as slot times are")
    return ms


def from_ms(ms: int) -> datetime:
    """The aware UTC instant of Unix milliseconds."""
    return _EPOCH + ms * _MS
