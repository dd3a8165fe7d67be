"""The values that go into the check and come out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final

from beat.recurrence import ALWAYS, Rules, Window

SEND_ORDERS: Final = ("text_first", "images_first", "images_only", "text_only")
MISFIRES: Final = ("skip", "latest")
ROOM_TYPES: Final = ("live", "test")
MAX_IMAGES: Final = 10
MAX_IMAGE_BYTES: Final = 10 * 1024 * 1024
MAX_TEXT: Final = 10_000
MAX_INTERVAL_S: Final = 3_600
GRACE_S: Final = 300
MAX_GRACE_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the form's field, what is wrong with it, and what would be right."""

    field: str
    reason: str
    hint: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason} ({self.hint})"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image as its content shows it (`beat.image_check.check_image`); `size` in bytes."""

    filename: str
    mime: str
    size: int
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """Another schedule that sends to the same room."""

    title: str
    rules: Rules
    tz: str
    window: Window = ALWAYS


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """What the check needs to know of a room and its channel. Gap in seconds, quota in slots a day."""

    room_id: str
    type: str = "live"
    gap_s: float = 30.0
    quota: int = 50
    text_limit: int | None = None
    max_images: int = MAX_IMAGES
    max_image_bytes: int = MAX_IMAGE_BYTES
    others: Sequence[Planned] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleForm:
    """A schedule as handed in; names are the CLI's flags and the API's fields.

    Several `types` make a union that shares the other fields; `rules`, when given, replaces them all.
    `date` and `time` are wall clock in `tz`; `valid_from` and `valid_until` must carry an offset.
    `interval`, `grace` and `validity` are seconds. Without `send_order` the content decides.
    """

    title: str
    room: str
    types: Sequence[str] = ()
    description: str | None = None
    room_type: str | None = None
    text: str | None = None
    images: Sequence[ImageFacts] = ()
    send_order: str | None = None
    interval: int = 1
    date: str | date | None = None
    time: str | time | None = None
    weekdays: Sequence[str] = ()
    peak_hours: Sequence[int] = ()
    cron: str | None = None
    rules: Sequence[Mapping[str, Any]] | None = None
    tz: str = "Asia/Seoul"
    valid_from: str | datetime | None = None
    valid_until: str | datetime | None = None
    misfire: str = "skip"
    grace: int = GRACE_S
    validity: int | str = "auto"
    priority: int = 5
    accept_limit: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A form that may be saved: its rules, its first instant, its `kb_schedule` columns.

    `columns` lacks the image list and the creator, which only the caller knows. `warnings` are for the
    person's eyes and refuse nothing.
    """

    rules: Rules
    first: datetime
    columns: dict[str, Any]
    warnings: tuple[Problem, ...] = field(default=())
