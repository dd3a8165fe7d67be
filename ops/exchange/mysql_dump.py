"""The customer's own table, from a MySQL dump (mysqldump, phpMyAdmin): INSERTs into `kb_schedule`.

What MySQL holds and Jeongsi does not is put right here and told as a note: a DATETIME without a zone is
Korean time, 0000-00-00 is no date, `text_first` without images is `text_only`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any, Final

from beat.schedule_form import Problem
from ops.exchange.columns import column_of, did_you_mean
from ops.exchange.mysql_tokens import NotSql, Token, statements, tokens
from ops.exchange.values import BadFile, Place, Record

TABLE: Final = "kb_schedule"
_MOMENTS: Final = ("valid_from", "valid_until")
_UNUSED: Final = {
    "once": ("schedule_weekdays",), "daily": ("schedule_date", "schedule_weekdays"),
    "weekly": ("schedule_date",),
}  # fmt: skip
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Dump:
    """One reading of a dump; `others` counts the rows' statements of other tables, which are left out."""

    def __init__(self, text: IO[str], table: str = TABLE) -> None:
        self._text, self._table = text, table
        self._columns: list[str] | None = None
        self.others: Counter[str] = Counter()
        self.found = 0

    def read(self) -> Iterator[Record]:
        """Every tuple of every INSERT into the table. Raises BadFile for what is no SQL."""
        try:
            for line, statement in statements(self._text):
                yield from self._statement(line, statement)
        except NotSql as wrong:
            raise BadFile(f"line {wrong.line}: {wrong}.", "Dump the table anew with mysqldump.") from None
        if not self.found:
            raise BadFile(
                f"There is no INSERT INTO `{self._table}` in the dump.", f"mysqldump DB {self._table}"
            )

    def _statement(self, line: int, statement: str) -> Iterator[Record]:
        if re.match(r"CREATE\s", statement, re.I):
            self._created(line, statement)
        elif re.match(r"(?:INSERT|REPLACE)\s", statement, re.I):
            reading = tokens(statement, line)
            name, after = _table_name(reading, line)
            if name == self._table:
                self.found += 1
                yield from self._inserted(_again(after, reading), line)
            else:
                self.others[name] += 1

    def _created(self, line: int, statement: str) -> None:
        """Remember the column order: an INSERT need not name its columns."""
        head = list(islice(tokens(statement, line), 8))
        if self._table not in [token.text for token in head] or head[1].text.upper() != "TABLE":
            return
        columns, depth, last = [], 0, ""
        for token in tokens(statement, line):
            depth += (token.text == "(") - (token.text == ")") if token.kind == "sign" else 0
            if token.kind == "name" and depth == 1 and last in ("(", ","):
                columns.append(token.text)
            last = token.text if token.kind == "sign" else ""
        self._columns = columns

    def _inserted(self, reading: Iterator[Token], line: int) -> Iterator[Record]:
        columns, token = self._columns, next(reading, None)
        if token is not None and token.text == "(" and token.kind == "sign":
            columns, token = _names(reading), next(reading, None)
        if columns is None:
            raise BadFile(
                f"line {line}: the INSERT names no columns and the dump has no CREATE TABLE before it.",
                "Dump with --complete-insert, or with the table's structure.",
            )
        if token is None or token.text.upper() not in ("VALUES", "VALUE"):
            raise NotSql(line, "the INSERT has no VALUES")
        known = _known(columns, line)
        for number, (start, values) in enumerate(_tuples(reading), 1):
            yield _record(Place(start, number), known, values)


def _table_name(reading: Iterator[Token], line: int) -> tuple[str, Token | None]:
    """The table's own name (without its database) and the token behind it."""
    name = None
    for token in reading:
        if token.kind == "word" and token.text.upper() in ("INSERT", "REPLACE", "INTO", "IGNORE", "DELAYED",
                                                           "LOW_PRIORITY", "HIGH_PRIORITY"):  # fmt: skip
            continue
        if token.kind in ("name", "word") and (name is None or name == ""):
            name = token.text
        elif token.text == "." and name is not None:
            name = ""
        else:
            return name or "", token
    raise NotSql(line, "the INSERT has no VALUES")


def _again(first: Token | None, rest: Iterator[Token]) -> Iterator[Token]:
    if first is not None:
        yield first
    yield from rest


def _names(reading: Iterator[Token]) -> list[str]:
    found: list[str] = []
    for token in reading:
        if token.text == ")" and token.kind == "sign":
            return found
        if token.kind in ("name", "word"):
            found.append(token.text)
    return found


def _known(columns: list[str], line: int) -> list[str]:
    found = [column_of(name) for name in columns]
    unknown = [name for name, column in zip(columns, found, strict=True) if column is None]
    if unknown:
        hints = "\n".join(f"{name!r}: {did_you_mean(name)}" for name in unknown)
        raise BadFile(f"line {line}: there is no column {', '.join(map(repr, unknown))}.", hints)
    return [column for column in found if column]


def _tuples(reading: Iterator[Token]) -> Iterator[tuple[int, list[Any]]]:
    """Each `( … )` behind VALUES, with its line. Ends at ON DUPLICATE KEY and the like."""
    for token in reading:
        if token.text == "," and token.kind == "sign":
            continue
        if token.text != "(" or token.kind != "sign":
            return
        yield token.line, _values(reading, token.line)


def _values(reading: Iterator[Token], line: int) -> list[Any]:
    values: list[Any] = []
    held: Any = _Nothing
    for token in reading:
        if token.kind == "sign" and token.text in ",)":
            values.append(held)
            held = _Nothing
            if token.text == ")":
                return values
        elif token.kind == "sign":
            held = Problem("row", f"{token.text!r} stands where a value must stand", "dump it anew")
            if token.text == "(":
                _through(reading)
        elif not (token.kind == "word" and token.text.startswith("_")):  # _binary, _utf8mb4
            held = _value(token) if held is _Nothing else held
    raise NotSql(line, "a row is opened here and never closed")


def _through(reading: Iterator[Token]) -> None:
    depth = 1
    for token in reading:
        depth += (token.text == "(") - (token.text == ")") if token.kind == "sign" else 0
        if not depth:
            return


class _Nothing:
    """No value yet."""


def _value(token: Token) -> Any:
    if token.kind == "word":
        word = token.text.upper()
        if word in ("NULL", "DEFAULT"):
            return None
        if word in ("TRUE", "FALSE"):
            return word.lower()
        return Problem("row", f"{token.text} is an expression", "a dump holds plain values only")
    if token.kind == "hex":
        try:
            return bytes.fromhex(token.text.zfill(len(token.text) + len(token.text) % 2)).decode()
        except UnicodeDecodeError:
            return Problem("row", "a hexadecimal value is not UTF-8 text", "dump without --hex-blob")
    return token.text


def _record(place: Place, columns: list[str], cells: list[Any]) -> Record:
    if len(cells) != len(columns):
        reason = f"the tuple has {len(cells)} values, the column list {len(columns)}"
        return Record(place, {}, [Problem("row", reason, "dump it anew")])
    problems, values = [], {}
    for column, cell in zip(columns, cells, strict=True):
        if isinstance(cell, Problem):
            problems.append(Problem(column, cell.reason, cell.hint))
        elif cell is not None and cell is not _Nothing:
            values[column] = cell
    notes = _put_right(values)
    return Record(place, values, problems, notes)


def _put_right(values: dict[str, Any]) -> list[str]:
    """MySQL's ways as ours; what changed is told."""
    notes = []
    for column in ("schedule_date", *_MOMENTS):
        if str(values.get(column)).startswith("0000-00-00"):
            del values[column]
    for column in _MOMENTS:
        if re.fullmatch(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?)?", str(values.get(column, ""))):
            if values[column] > "2999":
                del values[column]
                notes.append(f"{column} after 2999 is taken as open")
            else:
                values[column] = f"{values[column].replace(' ', 'T')}+09:00"
    kind = str(values.get("schedule_type"))
    unused = [column for column in _UNUSED.get(kind, ()) if values.pop(column, None)]
    notes += [f"{column} is left out: {kind} does not use it" for column in unused]
    days = str(values.get("schedule_weekdays", ""))
    if re.fullmatch(r"[1-7](,[1-7])*", days):
        values["schedule_weekdays"] = ",".join(_DAYS[int(day) - 1] for day in days.split(","))
        notes.append("weekdays 1 to 7 are read as Monday to Sunday")
    images = re.sub(r"\s", "", str(values.get("message_images", "")))
    if images in ("", "null", "[]", "{}", '{"images":[]}', '{"images":null}'):
        values.pop("message_images", None)
    if (
        values.get("send_order", "text_first") in ("text_first", "images_first")
        and "message_images" not in values
    ):
        values.pop("send_order", None)
    return notes
