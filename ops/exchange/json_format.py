"""JSON: a list of objects with the table's column names, read one object at a time.

Also taken: one object with such a list as `schedules`, and objects on lines of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final, NoReturn

from beat.schedule_form import Problem
from ops.exchange.columns import column_of, did_you_mean
from ops.exchange.values import BadFile, Place, Record, Writer

_CHUNK: Final = 1 << 16
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_HEAD: Final = re.compile(r'\s*\{\s*"schedules"\s*:\s*(?=\[)')
_LIST: Final = 'a list: [{"title": …}, …]'


def read(text: IO[str]) -> Iterator[Record]:
    """Every object of the file. Raises BadFile for what is no JSON list of objects."""
    buffer = _Buffer(text)
    head = buffer.match(_HEAD)
    if buffer.peek() == "[":
        buffer.skip(1)
        yield from _listed(buffer)
        if head and buffer.peek() == "}":
            buffer.skip(1)
    elif buffer.peek() == "{":
        while buffer.peek():
            yield _record(*buffer.value())
    else:
        buffer.wrong("is not a list", _LIST)
    if buffer.peek():
        buffer.wrong("follows the end of the list", "nothing may follow it")


def _listed(buffer: _Buffer) -> Iterator[Record]:
    if buffer.peek() == "]":
        buffer.skip(1)
        return
    while True:
        if buffer.peek() == "]":
            buffer.wrong("stands behind a comma", "take the last comma away")
        yield _record(*buffer.value())
        sign = buffer.peek()
        if sign not in (",", "]"):
            buffer.wrong("stands where , or ] must stand", _LIST)
        buffer.skip(1)
        if sign == "]":
            return


class _Buffer:
    """A sliding window over the text that knows its line."""

    def __init__(self, text: IO[str]) -> None:
        self._text, self._held, self._at, self._line, self._ended = text, "", 0, 1, False
        self._decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)

    def peek(self) -> str:
        """The next sign that is no blank; empty at the end."""
        while True:
            found = _BLANK.match(self._held, self._at)
            self.skip(found.end() - self._at if found else 0)
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more(_CHUNK):
                return ""

    def match(self, pattern: re.Pattern[str]) -> bool:
        self._more(_CHUNK)
        found = pattern.match(self._held, self._at)
        self.skip(found.end() - self._at if found else 0)
        return found is not None

    def skip(self, number: int) -> None:
        self._line += self._held.count("\n", self._at, self._at + number)
        self._at += number

    def value(self) -> tuple[Place, Any]:
        """The next value and where it begins; a Problem stands for an object that may not be."""
        self.peek()
        place, size = Place(self._line), _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                if self._more(size):
                    size *= 2  # so that a long text is not read anew for every chunk
                    continue
                self.skip(error.pos - self._at)
                self.wrong(f"cannot be read: {error.msg}", "write it as JSON does")
            except _Refused as error:
                raise BadFile(f"{place}: {error.args[0]}.", error.args[1]) from None
            except RecursionError:
                raise BadFile(f"{place}: it is nested too deeply.", _LIST) from None
            except ValueError as error:
                raise BadFile(f"{place}: it cannot be read: {error}.", "write it as JSON does") from None
            self.skip(end - self._at)
            return place, value

    def wrong(self, reason: str, hint: str) -> NoReturn:
        sign = self.peek()
        what = repr(sign) if sign else "the end of the file"
        raise BadFile(f"line {self._line}: {what} {reason}.", f"Right is: {hint}.")

    def _more(self, size: int) -> bool:
        chunk = "" if self._ended else self._text.read(size)
        self._ended = self._ended or not chunk
        self._held, self._at = self._held[self._at :] + chunk, 0
        return bool(chunk)


class _Refused(Exception):
    """What Python's reader would take and JSON does not have."""


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is no JSON", "JSON has no such number; leave the value out, or use null")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"{twice!r} stands twice in one object", "keep one of them")
    return found


def _record(place: Place, value: Any) -> Record:
    if not isinstance(value, dict):
        return Record(place, {}, [Problem("row", "it is no object", 'an object: {"title": …}')])
    values, problems = {}, []
    for name, one in value.items():
        column = column_of(name)
        if column is None:
            problems.append(Problem(name, "there is no such column", did_you_mean(name)))
        elif column in values:
            problems.append(Problem(column, "it is given under two names", "keep one of them"))
        else:
            values[column] = one
    return Record(place, values, problems)


def write(rows: Iterable[Mapping[str, Any]], text: Writer) -> Iterator[int]:
    """Write rows as a list with one object a line, each yielded by its id when it is written."""
    text.write("[")
    for number, row in enumerate(rows):
        given = {name: value for name, value in row.items() if value is not None}
        text.write((",\n" if number else "\n") + json.dumps(given, ensure_ascii=False))
        yield int(row["id"])
    text.write("\n]\n")
