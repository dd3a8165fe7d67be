"""How answers look: tables for people, JSON for programs, times in the zone they are meant in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

SEOUL = "Asia/Seoul"


def say(sentence: str) -> None:
    """One answer on stdout, exactly as it is."""
    print(sentence)


def note(sentence: str) -> None:
    """What is worth knowing, on stderr, so that it never mixes with an answer."""
    if sentence:
        print(sentence, file=sys.stderr)


def print_json(value: object) -> None:
    """JSON with readable Korean; datetimes as ISO 8601 with offset."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table as wide as the terminal, or the sentence that says there is nothing."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    if not shown.row_count:
        say(empty)
        return
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide, highlight=False).print(shown)


def facts(values: Mapping[str, object]) -> None:
    """One thing, a line per fact; empty ones are left out."""
    wide = max((len(name) for name in values), default=0)
    for name, value in values.items():
        if value in (None, "", ()):
            continue
        first, *more = str(value).splitlines() or [""]
        print(f"{name:<{wide}}  {first}")
        for line in more:
            print(f"{'':<{wide}}  {line}")


def local(at: datetime | None, tz: str = SEOUL, *, ms: bool = False) -> str:
    """An instant on the wall clock of a zone: 2026-11-21 09:00:00, milliseconds where there are some."""
    if at is None:
        return ""
    shown = at.astimezone(_zone(tz))
    return shown.replace(tzinfo=None).isoformat(" ", "milliseconds" if ms or shown.microsecond else "seconds")


def iso(at: datetime | None, tz: str = SEOUL) -> str | None:
    """An instant for programs: 2026-11-21T09:00:00+09:00."""
    return None if at is None else at.astimezone(_zone(tz)).isoformat()


def short(text: str | None, width: int = 40) -> str:
    """The first words of a text, on one line."""
    line = " ".join((text or "").split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):  # raw SQL may have put anything there
        return ZoneInfo(SEOUL)


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else str(value)
