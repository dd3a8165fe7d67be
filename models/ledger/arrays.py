"""PostgreSQL array literals, written by hand: the driver takes several times as long, element by element.

For parameters with a cast (`%s::bigint[]`), where the server reads the text. Each function takes the whole
column of a set; None becomes NULL.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from runtime.ids import SlotId


def plain(values: Iterable[int | float | bool | UUID | None]) -> str:
    """Numbers, truth values or UUIDs: nothing in them needs quoting."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Texts of any content. Raises UnicodeError for half a surrogate pair and DataError for NUL when sent."""
    return "{" + ",".join([_quoted(value) for value in values]) + "}"


def jsons(values: Iterable[Any]) -> str:
    """Anything that JSON can carry; None is NULL, not JSON's null."""
    return texts([None if value is None else json.dumps(value, ensure_ascii=False) for value in values])


def seconds(values: Iterable[float | None]) -> str:
    """Intervals, from seconds."""
    return "{" + ",".join(["NULL" if value is None else f'"{value:.6f} s"' for value in values]) + "}"


def keys(slots: Sequence[SlotId]) -> tuple[str, str]:
    """The two columns of slots: schedule ids, and instants."""
    return plain([slot.schedule_id for slot in slots]), _instants([slot.slot_at for slot in slots])


def _instants(values: Sequence[dt.datetime]) -> str:
    """A burst shares its instant, so its text is made once."""
    known: dict[dt.datetime, str] = {}
    return "{" + ",".join([known.get(v) or known.setdefault(v, f'"{v.isoformat()}"') for v in values]) + "}"


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
