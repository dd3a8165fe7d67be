"""CSV, as Excel and people write it: any column order, comma, semicolon or tab, Korean headings too.

A text that begins with = + - or @ is kept as it is, in and out. Marking it (as some exporters do against
spreadsheet formulas) would change the message that is sent; the guide says so.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final

from beat.schedule_form import Problem
from ops.exchange.columns import REQUIRED, WRITABLE, column_of, did_you_mean
from ops.exchange.values import BadFile, Place, Record, Writer

_MAX_CELL: Final = 64 * 1024 * 1024  # far above any text that the check lets pass; it then says how long
_DELIMITERS: Final = ",;\t"
COLUMNS: Final = ("id", *WRITABLE)


def read(text: IO[str], default_room: str | None = None) -> Iterator[Record]:
    """Every row of the file. Raises BadFile if its first line does not name the columns."""
    csv.field_size_limit(_MAX_CELL)
    first = text.readline()
    text.seek(0)
    reader = csv.reader(text, delimiter=_delimiter(first), strict=True)
    columns = _header(_next(reader) or [], default_room)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Record(Place(line), {}, [_unreadable(str(error))])
            return
        if cells is None:
            return
        if any(cells):
            yield _record(Place(line), columns, cells)


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise BadFile(f"line 1 cannot be read: {error}.", "The first line names the columns.") from None


def _delimiter(line: str) -> str:
    """The sign that parts the heading into most known columns; the comma if none does."""
    return max(
        _DELIMITERS,
        key=lambda sign: sum(column_of(name.strip('"\r\n ')) is not None for name in line.split(sign)),
    )


def _header(cells: list[str], default_room: str | None) -> list[str]:
    while cells and not cells[-1].strip():
        cells = cells[:-1]  # Excel leaves empty columns behind
    found = [column_of(cell) for cell in cells]
    if not any(found):
        raise BadFile("line 1 does not name the columns.", f"It needs at least {', '.join(REQUIRED)}.")
    unknown = [cell for cell, column in zip(cells, found, strict=True) if column is None]
    if unknown:
        hints = "\n".join(f"{cell!r}: {did_you_mean(cell)}" for cell in unknown)
        raise BadFile(f"line 1: there is no column {', '.join(map(repr, unknown))}.", hints)
    columns = [column for column in found if column]
    doubled = sorted({column for column in columns if columns.count(column) > 1})
    if doubled:
        raise BadFile(f"line 1 names {', '.join(doubled)} twice.", "Keep one of each.")
    needed = [name for name in REQUIRED if name != "target_room_id" or default_room is None]
    missing = [column for column in needed if column not in columns]
    if missing:
        raise BadFile(f"line 1 lacks the column {', '.join(missing)}.", f"It has {', '.join(columns)}.")
    return columns


def _record(place: Place, columns: list[str], cells: list[str]) -> Record:
    while len(cells) > len(columns) and not cells[-1]:
        cells = cells[:-1]
    problems = []
    if len(cells) != len(columns):
        reason = f"the row has {len(cells)} cells, the heading {len(columns)}"
        problems = [Problem("row", reason, "quote a text that holds a comma or a line break")]
        return Record(place, {}, problems)
    return Record(place, dict(zip(columns, cells, strict=True)))


def _unreadable(reason: str) -> Problem:
    if "unexpected end of data" in reason:
        return Problem(
            "row", "a quote is opened here and never closed", "close it, or double it inside a text"
        )
    if "expected after" in reason:
        return Problem("row", "something follows a closing quote", 'write a quote inside a text as ""')
    return Problem("row", f"it cannot be read: {reason}", "see docs/import-export.md")


def write(rows: Iterable[Mapping[str, Any]], text: Writer) -> Iterator[int]:
    """Write rows as CSV, each yielded by its id when it is written (for progress)."""
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
        yield int(row["id"])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and value and all("filename" in one for one in value):
        return ";".join(image["filename"] for image in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
