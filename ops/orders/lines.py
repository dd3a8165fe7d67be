"""The lines of a file, whatever it is: CSV in any encoding and with any delimiter, or an Excel workbook.

Every cell is text here. A workbook's numbers are written out as a person saw them, leading zeros of a
number format included; what a spreadsheet has lost for good is said beside the cell.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import islice
from typing import IO, Any, Final

from ops.exchange.source import as_text, binary
from ops.exchange.values import BadFile
from ops.orders.columns import column_of, columns_of, is_heading

_DELIMITERS: Final = ",;\t|"
_TITLES: Final = 20  # lines above the heading: titles, dates, an empty one
_EXACT: Final = 10**15  # a spreadsheet's numbers are exact below it
_ZEROS: Final = re.compile(r'"?(0{2,})"?(?:;.*)?')
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number in the file from 1, its cells, and by place what a spreadsheet did to one."""

    number: int
    cells: Sequence[str]
    spoilt: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read again and again. ``columns``: place -> column; ``heading``: as it stands."""

    kind: str
    heading: Sequence[str]
    columns: Mapping[int, str]
    again: Any

    def lines(self) -> Iterator[Line]:
        """Every line below the heading that holds anything. Raises BadFile where it cannot be read."""
        found: Iterator[Line] = self.again()
        return (line for line in found if any(cell.strip() for cell in line.cells))

    @property
    def left_aside(self) -> list[str]:
        """Headings that mean nothing here."""
        return [name for place, name in enumerate(self.heading) if place not in self.columns and name.strip()]


@contextmanager
def source(name: str, encoding: str = "auto") -> Iterator[Source]:
    """A file, or `-` for standard input. Raises BadFile if it is none that holds orders."""
    with binary(name) as raw:
        head = raw.read(512)
        raw.seek(0)
        if head.startswith(_OLD_EXCEL):
            raise BadFile(f"{name} is a workbook of old Excel (.xls).", "Save it as .xlsx or CSV.")
        if head.lstrip()[:1] == b"<":
            raise BadFile(f"{name} is a web page, whatever its name says.", "Open and save it as .xlsx.")
        if head.startswith(b"PK\x03\x04"):
            with _workbook(raw, name) as found:
                yield found
            return
        with as_text(raw, name, encoding) as (text, of):
            yield _headed(f"CSV, {of}", lambda: _csv_lines(text))


def _headed(kind: str, again: Any) -> Source:
    """Find the heading among the first lines; what follows it are orders."""
    lines: list[Line] = list(islice(again(), _TITLES))
    heading = next((line for line in lines if is_heading(line.cells)), None)
    if heading is None:
        heading = next((line for line in lines if any(cell.strip() for cell in line.cells)), None)
    if heading is None:
        raise BadFile("the file holds no line.", "It needs a heading and at least one order.")
    columns, number = columns_of(heading.cells, heading.number), heading.number
    return Source(kind, heading.cells, columns, lambda: (line for line in again() if line.number > number))


# -- CSV ------------------------------------------------------------------------------------------


def _csv_lines(text: IO[str]) -> Iterator[Line]:
    csv.field_size_limit(1024 * 1024)
    text.seek(0)
    sign = _delimiter(list(islice(text, _TITLES)))
    text.seek(0)
    # Strict: a quote that is never closed would swallow all orders that follow it.
    reader = csv.reader(text, delimiter=sign, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BadFile(f"line {number} cannot be read: {error}.", "Look at the quotes in it.") from None
        if cells is None:
            return
        yield Line(number, cells)


def _delimiter(head: Sequence[str]) -> str:
    """The sign that parts one of the first lines into most known columns; the comma if none does."""
    return max(
        _DELIMITERS,
        key=lambda sign: max(
            sum(column_of(name.strip('"\r\n ')) is not None for name in line.split(sign)) for line in head
        ),
    )


# -- Excel ----------------------------------------------------------------------------------------


@contextmanager
def _workbook(raw: IO[bytes], name: str) -> Iterator[Source]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(raw, read_only=True, data_only=True, keep_links=False)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise BadFile(
            f"{name} is no workbook that can be read: {error}.", "Save it as .xlsx or CSV."
        ) from None
    try:
        yield _first_sheet(book)
    finally:
        book.close()


def _first_sheet(book: Any) -> Source:
    """The first sheet that has a heading; the first one, if none has."""
    for sheet in book.worksheets:
        head = (_sheet_line(number, row) for number, row in enumerate(_rows(sheet), 1))
        if any(is_heading(line.cells) for line in islice(head, _TITLES)):
            break
    else:
        sheet = book.worksheets[0]
    return _headed(
        f"Excel, sheet {sheet.title}",
        lambda: (_sheet_line(number, row) for number, row in enumerate(_rows(sheet), 1)),
    )


def _rows(sheet: Any) -> Iterator[Any]:
    sheet.reset_dimensions()  # many programs write a size that is wrong
    return iter(sheet.iter_rows())


def _sheet_line(number: int, row: Sequence[Any]) -> Line:
    cells, spoilt = list[str](), dict[int, str]()
    for place, cell in enumerate(row):
        value = cell.value
        if value is None:
            cells.append("")
        elif isinstance(value, str):
            cells.append(value)
            if cell.data_type == "e":
                spoilt[place] = f"its formula failed ({value})"
        else:
            text, trouble = _written_out(value, cell)
            cells.append(text)
            if trouble is not None:
                spoilt[place] = trouble
    return Line(number, cells, spoilt)


def _written_out(value: Any, cell: Any) -> tuple[str, str | None]:
    """A cell that is no text, as a text; and what the spreadsheet has lost of it, if anything."""
    if isinstance(value, bool):
        return str(int(value)), None
    if isinstance(value, int | float):
        return _digits(value, cell)
    if isinstance(value, datetime | date | time):
        return value.isoformat(), f"Excel took it for a date ({value.isoformat()})"
    return str(value), None


def _digits(value: float, cell: Any) -> tuple[str, str | None]:
    if value % 1:
        return repr(value), None
    whole = str(int(value))
    if abs(value) >= _EXACT:
        return whole, "Excel keeps 15 digits of a number, the others are lost"
    zeros = _ZEROS.fullmatch(cell.number_format or "")
    return whole.zfill(len(zeros[1])) if zeros else whole, None
