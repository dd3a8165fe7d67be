"""What travels from a file to the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from beat.schedule_form import Problem, ScheduleForm

FORMATS: Final = ("json", "csv", "mysql", "crontab")


class Writer(Protocol):
    """Where an export writes."""

    def write(self, text: str, /) -> int: ...


class BadFile(Exception):
    """The file as a whole cannot be read; `hint` says what would be right. Nothing was saved."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: the line on which it begins (from 1) and, in a dump, which tuple of its INSERT."""

    line: int
    tuple: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}" if self.tuple is None else f"line {self.line}, tuple {self.tuple}"


@dataclass(frozen=True, slots=True)
class Record:
    """A row as a format read it: values by the table's column names; absent or None means not given."""

    place: Place
    values: Mapping[str, Any]
    problems: Sequence[Problem] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as a file names it: by content, or by one of its names."""

    filename: str | None = None
    original_name: str | None = None
    size: int | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row ready for the check: the form without its images, the pictures, and what the form lacks."""

    place: Place
    form: ScheduleForm
    pictures: Sequence[Picture] = ()
    status: str = "active"
    creator: tuple[str, str, str] = ("headquarters", "", "")
    problems: Sequence[Problem] = ()
    notes: Sequence[str] = field(default=())
    skip: str | None = None
