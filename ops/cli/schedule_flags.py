"""The flags of a schedule, the same for add, edit and next; their names are the columns'."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

import typer

from ops.cli.errors import BadInput

_WHAT = "What is sent"
_WHEN = "When"
_LATE = "When it is late or too much"


def _flag(name: str, help: str, panel: str, **more: Any) -> Any:  # noqa: A002 - typer's own name
    return typer.Option(name, help=help, rich_help_panel=panel, show_default=False, **more)


@dataclass(frozen=True, slots=True)
class Flags:
    """What was typed; None, or nothing in a list, means: not given."""

    title: Annotated[str | None, _flag("--title", "What people call it, up to 255 characters.", _WHAT)]
    room: Annotated[str | None, _flag("--room", "Where it goes; see `jeongsi room list`.", _WHAT)]
    text: Annotated[
        str | None,
        _flag("--text", "The message; {time} {date} {weekday} {datetime} are the slot's own.", _WHAT),
    ]
    image: Annotated[
        list[str] | None,
        _flag("--image", "An image file; repeat for several, in order.", _WHAT, metavar="FILE"),
    ]
    send_order: Annotated[
        str | None,
        _flag("--send-order", "text_first, images_first, images_only or text_only; else as it fits.", _WHAT),
    ]
    interval: Annotated[
        int | None, _flag("--interval", "Seconds between the parts of one message (1).", _WHAT)
    ]
    type: Annotated[
        list[str] | None,
        _flag("--type", "once, daily, weekly, regular (:00 and :30), peak or cron; repeat to unite.", _WHEN),
    ]
    date: Annotated[str | None, _flag("--date", "once: the day, 2026-12-31.", _WHEN)]
    time: Annotated[
        str | None,
        _flag(
            "--time", "once, daily, weekly: the time of day, 09:00 (once: to the ms, 09:00:00.125).", _WHEN
        ),
    ]
    weekdays: Annotated[str | None, _flag("--weekdays", "weekly: monday,friday.", _WHEN)]
    peak_hours: Annotated[
        str | None, _flag("--peak-hours", "peak: every 15 minutes in these hours, 8,9,10 or 8-19.", _WHEN)
    ]
    cron: Annotated[str | None, _flag("--cron", "cron: minute hour day month weekday.", _WHEN)]
    tz: Annotated[str | None, _flag("--tz", "The zone of date and time (Asia/Seoul).", _WHEN)]
    valid_from: Annotated[
        str | None, _flag("--valid-from", "Not before, with offset: 2026-12-01T00:00:00+09:00.", _WHEN)
    ]
    valid_until: Annotated[str | None, _flag("--valid-until", "Not after, with offset.", _WHEN)]
    misfire: Annotated[
        str | None, _flag("--misfire", "After an outage: skip missed ones, or send the latest.", _LATE)
    ]
    grace: Annotated[
        int | None, _flag("--grace", "Seconds that we may be late before a slot is given up (300).", _LATE)
    ]
    validity: Annotated[
        str | None, _flag("--validity", "Seconds that a busy room may hold it, or auto.", _LATE)
    ]
    priority: Annotated[int | None, _flag("--priority", "0 to 9 in a busy room, 0 goes first (5).", _LATE)]
    accept_limit: Annotated[
        bool | None,
        _flag("--accept-limit/--no-accept-limit", "Save it though the room's day quota will cut it.", _LATE),
    ]

    def given(self) -> set[str]:
        """The names of the flags that were typed."""
        return {one.name for one in fields(self) if getattr(self, one.name) not in (None, [], ())}


def takes(kind: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every flag of a dataclass of flags; it gets them as one `flags`."""
    hints = get_type_hints(kind, include_extras=True)

    def dressed(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [one for one in signature.parameters.values() if one.name != "flags"]

        def filled(**given: Any) -> None:
            flags = kind(**{name: given.pop(name) for name in hints})
            command(flags=flags, **given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(name, keyword, default=None, annotation=hint) for name, hint in hints.items()
        ]
        parameters = [one.replace(kind=keyword) for one in own] + added
        filled.__name__, filled.__doc__ = command.__name__, command.__doc__
        filled.__module__ = command.__module__
        filled.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        filled.__annotations__ = {one.name: one.annotation for one in parameters}
        return filled

    return dressed


takes_flags = takes(Flags)


def hours(text: str) -> tuple[int, ...]:
    """Peak hours from 8,9,10 or 8-19. Raises BadInput."""
    found: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.strip().partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            raise BadInput(f"--peak-hours: {text!r} is no list of hours.", "Write 8,9,10 or 8-19.") from None
    return tuple(found)


def words(text: str) -> tuple[str, ...]:
    """Comma-separated words without blanks."""
    return tuple(filter(None, (piece.strip().lower() for piece in text.split(","))))


def validity(text: str) -> int | str:
    """auto, or whole seconds; anything else is left to the check, which refuses it."""
    return int(text) if text.isascii() and text.isdigit() else text
