"""What is said, to whom and in which order."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from beat.schedule_form.values import (
    MAX_GRACE_S,
    MAX_INTERVAL_S,
    MISFIRES,
    ROOM_TYPES,
    SEND_ORDERS,
    Problem,
    RoomFacts,
    ScheduleForm,
)

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def order_of(form: ScheduleForm) -> str:
    """The send order asked for, or the one that fits what there is to send."""
    if form.send_order is not None:
        return form.send_order
    if not form.images:
        return "text_only"
    return "text_first" if _has_text(form) else "images_only"


def part_count(form: ScheduleForm) -> int:
    """How many messages one slot sends: the text and each image."""
    order = order_of(form)
    return (order != "images_only") + (len(form.images) if order != "text_only" else 0)


def room_problems(form: ScheduleForm, room: RoomFacts | None, known: Sequence[str]) -> list[Problem]:
    if room is None:
        near = difflib.get_close_matches(form.room, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see `jeongsi room list`"
        return [Problem("room", f"there is no room {form.room!r}", hint)]
    wanted = form.room_type
    if wanted is not None and wanted not in ROOM_TYPES:
        return [Problem("room_type", f"{wanted!r} is no room type", f"one of {', '.join(ROOM_TYPES)}")]
    if wanted is not None and wanted != room.type:
        return [
            Problem("room_type", f"{form.room} is a {room.type} room", f"choose {room.type} or another room")
        ]
    return []


def content_problems(form: ScheduleForm, room: RoomFacts | None, text_limit: int) -> list[Problem]:
    return [
        *_title(form),
        *_unstorable(form),
        *_order(form),
        *_text_length(form, min(text_limit, room.text_limit or text_limit) if room else text_limit),
        *_images(form, room),
        *_numbers(form),
    ]


def content_warnings(form: ScheduleForm) -> list[Problem]:
    """What is handed in but will not be sent."""
    order = order_of(form)
    if order == "text_only" and form.images:
        return [
            Problem("images", "text_only sends no images", "choose text_first or images_first to send them")
        ]
    if order == "images_only" and _has_text(form):
        return [Problem("text", "images_only sends no text", "choose text_first or images_first to send it")]
    return []


def _has_text(form: ScheduleForm) -> bool:
    return bool(form.text and form.text.strip())


def _title(form: ScheduleForm) -> Iterator[Problem]:
    if not form.title.strip():
        yield Problem("title", "the title is empty", "give 1 to 255 characters")
    elif len(form.title) > 255:
        yield Problem("title", f"the title has {len(form.title)} characters", "give 1 to 255 characters")


def _unstorable(form: ScheduleForm) -> Iterator[Problem]:
    """NUL and lone surrogates, which Postgres cannot keep (B45 allows all else)."""
    texts: dict[str, Sequence[str | None]] = {
        "title": (form.title,),
        "description": (form.description,),
        "text": (form.text,),
        "images": [image.filename for image in form.images],
    }
    for field, found in texts.items():
        for text in found:
            if text and ("\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text)):
                yield Problem(
                    field, "it has a character that cannot be stored (NUL or half a pair)", "remove it"
                )
                break


def _order(form: ScheduleForm) -> Iterator[Problem]:
    order = order_of(form)
    if order not in SEND_ORDERS:
        yield Problem("send_order", f"there is no send order {order!r}", f"one of {', '.join(SEND_ORDERS)}")
        return
    if order != "images_only" and not _has_text(form):
        yield Problem("text", f"{order} needs a text", "give a text, or choose images_only")
    if order != "text_only" and not form.images:
        yield Problem("images", f"{order} needs at least one image", "give an image, or choose text_only")


def _text_length(form: ScheduleForm, limit: int) -> Iterator[Problem]:
    text = form.text or ""
    # As sent: these two placeholders grow when they are filled in (A33).
    length = len(text) + 4 * text.count("{date}") + 6 * text.count("{datetime}")
    if length > limit:
        yield Problem("text", f"the text has {length:,} characters", f"at most {limit:,}")


def _images(form: ScheduleForm, room: RoomFacts | None) -> Iterator[Problem]:
    facts = room or RoomFacts("")
    if len(form.images) > facts.max_images:
        yield Problem("images", f"there are {len(form.images)} images", f"at most {facts.max_images}")
    for image in form.images:
        if image.mime not in IMAGE_TYPES:
            reason = f"{image.filename} is {image.mime or 'no image'}"
            yield Problem("images", reason, "JPEG, PNG, GIF or WebP")
        if image.size > facts.max_image_bytes:
            reason = f"{image.filename} has {image.size:,} bytes"
            yield Problem("images", reason, f"at most {facts.max_image_bytes:,}")
        if not image.filename or len(image.filename) > 255:
            yield Problem("images", "a file name is empty or too long", "give 1 to 255 characters")


def _numbers(form: ScheduleForm) -> Iterator[Problem]:
    if not whole(form.interval, 0, MAX_INTERVAL_S):
        yield Problem(
            "interval", f"{form.interval!r} is not an interval", f"whole seconds, 0 to {MAX_INTERVAL_S}"
        )
    if form.misfire not in MISFIRES:
        yield Problem(
            "misfire", f"there is no misfire policy {form.misfire!r}", f"one of {', '.join(MISFIRES)}"
        )
    if not whole(form.grace, 0, MAX_GRACE_S):
        yield Problem("grace", f"{form.grace!r} is not a grace", f"whole seconds, 0 to {MAX_GRACE_S}")
    if form.validity != "auto" and not whole(form.validity, 30, 604_800):
        yield Problem(
            "validity", f"{form.validity!r} is not a validity", "auto, or whole seconds, 30 to 604800"
        )
    if not whole(form.priority, 0, 9):
        yield Problem("priority", f"{form.priority!r} is not a priority", "0 to 9, 0 goes first")


def whole(value: Any, low: int, high: int) -> bool:
    """A whole number in range; True and 1.0 are none."""
    return type(value) is int and low <= value <= high
