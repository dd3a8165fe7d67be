"""What the ledger has already: rooms with their neighbours, and schedules that say the same."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from beat.recurrence import RuleError, parse_rules
from beat.schedule_form import rules_from_columns
from models.store import each_schedule, image_digests, neighbours, reading, rooms
from models.tables import Room, Schedule
from ops.exchange.neighbours import RoomBook, book_of

Key = bytes


class Rooms:
    """Every room by its id; a room's neighbours are read when its first row comes."""

    def __init__(self) -> None:
        with reading() as session:
            self._rooms: dict[str, Room] = {room.room_id: room for room in rooms(session)}
        self._books: dict[str, RoomBook] = {}
        self.similar = lru_cache(maxsize=4_096)(self._similar)

    def book(self, room_id: str) -> RoomBook | None:
        """The room's book; None if there is no such room."""
        room = self._rooms.get(room_id)
        if room is None:
            return None
        if room_id not in self._books:
            with reading() as session:
                self._books[room_id] = book_of(room, neighbours(session, room_id))
        return self._books[room_id]

    def _similar(self, room_id: str) -> tuple[str, ...]:
        return tuple(difflib.get_close_matches(room_id, list(self._rooms), n=3, cutoff=0.5))


@dataclass(frozen=True, slots=True)
class Held:
    """Something that says the same, and its window."""

    what: str
    since: datetime
    until: datetime


class Sameness:
    """Room, rule and content of what is there, so that one message is not scheduled twice.

    Windows that do not meet make two schedules of the same content: July's notice and December's.
    """

    def __init__(self) -> None:
        self._held: dict[Key, list[Held]] = {}
        self.seen_to = 0

    def load(self, session: Session) -> None:
        """Take in every schedule that was saved since the last call."""
        digests = image_digests(session)
        for one in each_schedule(session, after=self.seen_to):
            self.seen_to = max(self.seen_to, one.id)
            if one.status == "completed":
                continue
            key = key_of_saved(one, digests)
            if key is not None:
                paused = "" if one.status == "active" else f" ({one.status})"
                self.add(key, Held(f"schedule {one.id}{paused}", one.valid_from, one.valid_until))

    def add(self, key: Key, held: Held) -> None:
        """Remember one more."""
        self._held.setdefault(key, []).append(held)

    def same(self, key: Key, since: datetime, until: datetime) -> Held | None:
        """What says the same in a window that meets this one."""
        for held in self._held.get(key, ()):
            if held.since <= until and since <= held.until:
                return held
        return None


def key_of(columns: Mapping[str, Any], digests: Iterable[str]) -> Key:
    """Room, rule, zone and content as one short value. Raises RuleError."""
    rules = parse_rules(rules_from_columns(columns))
    order = columns["send_order"]
    said = [
        columns["target_room_id"], columns["tz"], repr(rules), order,
        "" if order == "images_only" else columns["message_text"] or "",
        *(() if order == "text_only" else digests),
    ]  # fmt: skip
    return hashlib.blake2b("\0".join(said).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def key_of_saved(schedule: Schedule, digests: Mapping[int, str]) -> Key | None:
    """The same of a saved schedule; None if its rule cannot be read."""
    columns = {column.name: getattr(schedule, column.name) for column in Schedule.__table__.columns}
    images = [digests.get(int(one), "") for one in image_ids(schedule.message_images)]
    if not images and columns["send_order"] in ("text_first", "images_first"):
        columns["send_order"] = "text_only"  # raw SQL may leave the default beside a text alone
    try:
        return key_of(columns, images)
    except (RuleError, TypeError, AttributeError, ValueError):
        return None


def image_ids(listed: Sequence[Any] | Mapping[str, Any] | None) -> list[int]:
    """The ids in a `message_images` value: our list, or the customer's object around one."""
    found = listed.get("images") or () if isinstance(listed, Mapping) else listed or ()
    return [int(one["id"]) for one in found if isinstance(one, Mapping) and "id" in one]
