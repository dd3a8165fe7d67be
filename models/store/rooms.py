"""Rooms: made, changed and listed by people (B24, B25, B128, B129; ruling 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.store.errors import InUse, NotFound, Refused, Taken, Wrong
from models.tables import Room, RoomGate, RoomQuota, Schedule
from runtime.settings import get_settings

MIN_GAP_S: Final = 5.0
MAX_GAP_S: Final = 86_400.0
MAX_QUOTA: Final = 500
TYPES: Final = ("live", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLimits:
    """What a room may take: seconds between two sends, sends on one Korean day, and why if loosened."""

    gap_s: float
    quota: int
    reason: str | None = None


def create_room(
    session: Session,
    *,
    room_id: str,
    name: str,
    type: str,  # noqa: A002 - the column's name
    channel: str,
    device: str | None,
    limits: RoomLimits,
    who: str,
    address: str | None = None,
) -> Room:
    """Save a new room. Raises Refused for values, Taken if the id is in use."""
    problems = [*_words(room_id, name, type, channel), *limit_problems(limits)]
    if problems:
        raise Refused(problems)
    room = Room(room_id=room_id, name=name, type=type, channel=channel, device=device, address=address)
    _limit(room, limits, who)
    session.add(room)
    try:
        session.flush()
    except IntegrityError:
        raise Taken(f"there is a room {room_id!r} already") from None
    return room


def change_room(
    session: Session, room_id: str, changes: dict[str, Any], limits: RoomLimits | None, who: str
) -> Room:
    """Change name, type, channel or device, and the limits if given. Raises NotFound, Refused, InUse.

    The next send of the room goes by the new values; a send that runs is not touched.
    """
    room = room_of(session, room_id)
    merged = {name: getattr(room, name) for name in ("name", "type", "channel")} | changes
    problems = list(_words(room_id, merged["name"], merged["type"], merged["channel"]))
    problems += limit_problems(limits) if limits is not None else []
    if problems:
        raise Refused(problems)
    if merged["type"] != room.type:
        _nobody_needs_the_type(session, room)
    for name, value in changes.items():
        setattr(room, name, value)
    if limits is not None:
        _limit(room, limits, who)
    session.flush()
    return room


def room_of(session: Session, room_id: str) -> Room:
    """The room with this id; raises NotFound."""
    room = session.scalar(select(Room).where(Room.room_id == room_id))
    if room is None:
        raise NotFound(f"there is no room {room_id!r}")
    return room


def find_room(session: Session, room_id: str) -> Room | None:
    """The room with this id, or None."""
    return session.scalar(select(Room).where(Room.room_id == room_id))


def rooms(session: Session) -> Sequence[Room]:
    """All rooms by id."""
    return session.scalars(select(Room).order_by(Room.room_id)).all()


def room_ids(session: Session) -> Sequence[str]:
    """Every room's id, for a hint at what was meant."""
    return session.scalars(select(Room.room_id).order_by(Room.room_id)).all()


def schedules_per_room(session: Session) -> dict[str, int]:
    """How many schedules that are not deleted each room has."""
    counted = (
        select(Schedule.target_room_id, func.count())
        .where(Schedule.deleted_at.is_(None))
        .group_by(Schedule.target_room_id)
    )
    return {room: number for room, number in session.execute(counted)}  # noqa: C416 - rows, not tuples


def limit_problems(limits: RoomLimits) -> list[Wrong]:
    """What is wrong with a room's limits: hard bounds, and loosening without a reason (ruling 8)."""
    settings, found = get_settings(), []
    if not MIN_GAP_S <= limits.gap_s <= MAX_GAP_S:
        found.append(
            Wrong("gap", f"{limits.gap_s:g} s is out of bounds", f"{MIN_GAP_S:g} to {MAX_GAP_S:g} s")
        )
    if not 1 <= limits.quota <= MAX_QUOTA:
        found.append(Wrong("quota", f"{limits.quota} a day is out of bounds", f"1 to {MAX_QUOTA}"))
    looser = [
        f"a gap of {limits.gap_s:g} s (default {settings.room_gap_s:g})"
        if limits.gap_s < settings.room_gap_s
        else "",
        f"a quota of {limits.quota} (default {settings.room_quota})"
        if limits.quota > settings.room_quota
        else "",
    ]
    if any(looser) and not (limits.reason and limits.reason.strip()):
        what = " and ".join(filter(None, looser))
        found.append(
            Wrong("reason", f"{what} is looser than the default", "say why; it is kept with your name")
        )
    return found


def _limit(room: Room, limits: RoomLimits, who: str) -> None:
    room.gap_ms, room.quota = round(limits.gap_s * 1000), limits.quota
    room.limits_reason, room.limits_by = limits.reason, who if limits.reason else None


def _words(room_id: str, name: str, kind: str, channel: str) -> list[Wrong]:
    found = []
    if not room_id.strip() or len(room_id) > 100:
        found.append(Wrong("room", f"{room_id!r} is no room id", "give 1 to 100 characters"))
    if not name.strip() or len(name) > 255:
        found.append(Wrong("name", f"{name!r} is no name", "give 1 to 255 characters"))
    if kind not in TYPES:
        found.append(Wrong("type", f"there is no room type {kind!r}", "live or test"))
    if not channel.strip():
        found.append(Wrong("channel", "the channel is empty", "name the room bot that reaches the room"))
    return found


def _nobody_needs_the_type(session: Session, room: Room) -> None:
    number = schedules_per_room(session).get(room.room_id, 0)
    if number:
        raise InUse(
            f"room {room.room_id!r} has {number} schedule{'s' * (number != 1)} made for a {room.type} room: "
            "delete them or move them to another room first"
        )


def used_today(session: Session, room: Room) -> dict[str, Any]:
    """What the room took on this Korean day, and since when it is free (an aware instant)."""
    today = func.korean_day(func.ledger_now())
    used = select(RoomQuota.used).where(RoomQuota.room_ref == room.id, RoomQuota.day == today)
    free = select(RoomGate.free_at).where(RoomGate.room_ref == room.id, RoomGate.free_at > func.now())
    return {"used_today": session.scalar(used) or 0, "free_at": session.scalar(free)}
