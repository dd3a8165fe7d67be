"""Schedules: made, changed, paused and deleted by people. Triggers keep history, clock and slots in step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.store.errors import Changed, NotFound
from models.store.images import NewImage, keep_images
from models.store.session import ledger_now
from models.tables import Image, Room, Schedule, ScheduleClock, Slot


@dataclass(frozen=True, slots=True)
class Creator:
    """Whose schedule it is (B21-B23): level, the organisation's id, the member who registered it."""

    type: str = "headquarters"
    id: str = ""
    member: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another schedule that still sends to a room, as the planner reads it."""

    schedule_id: int
    title: str
    rules: list[dict[str, Any]]
    tz: str
    valid_from: dt.datetime
    valid_until: dt.datetime


@dataclass(frozen=True, slots=True)
class LaidDown:
    """Slots of a schedule that have not ended: ahead of now, due but not started, and under way."""

    ahead: int
    due: int
    under_way: int


def create_schedule(
    session: Session,
    columns: Mapping[str, Any],
    *,
    images: Sequence[NewImage] = (),
    origin: str = "person",
    creator: Creator | None = None,
) -> Schedule:
    """Save a checked form's columns (`beat.schedule_form.Checked.columns`) with its images.

    The promise begins when the transaction commits: a one-off whose instant is now, or past by less
    than its grace, is promised too (design: No instant without a row).
    """
    made_by = creator or Creator()
    schedule = Schedule(
        **columns,
        message_images=keep_images(session, images) or None,
        origin=origin,
        created_by_type=made_by.type,
        created_by_id=made_by.id,
        created_by_mb_id=made_by.member,
    )
    session.add(schedule)
    session.flush()
    session.refresh(schedule)
    return schedule


def change_schedule(
    session: Session,
    schedule_id: int,
    seen_version: int,
    columns: Mapping[str, Any],
    *,
    images: Sequence[NewImage] | None = None,
) -> Schedule:
    """Save an edit made to version `seen_version`; `images` replaces the list, None keeps it.

    Raises NotFound, and Changed if the schedule has another version by now.
    """
    schedule = schedule_of(session, schedule_id, lock=True)
    if schedule.version != seen_version:
        raise Changed(f"schedule {schedule_id} was changed by somebody else meanwhile")
    for name, value in columns.items():
        setattr(schedule, name, value)
    if images is not None:
        schedule.message_images = keep_images(session, images) or None
    session.flush()
    session.refresh(schedule)
    return schedule


def set_status(session: Session, schedule_id: int, status: str) -> Schedule:
    """Pause (`inactive`) or resume (`active`) a schedule. Raises NotFound."""
    schedule = schedule_of(session, schedule_id, lock=True)
    schedule.status = status
    session.flush()
    session.refresh(schedule)
    return schedule


def delete_schedule(session: Session, schedule_id: int) -> Schedule:
    """Delete a schedule and keep its proof of sends (ruling 4). Raises NotFound."""
    schedule = schedule_of(session, schedule_id, lock=True)
    schedule.deleted_at, schedule.status = ledger_now(session), "inactive"
    session.flush()
    return schedule


def schedule_of(session: Session, schedule_id: int, *, lock: bool = False) -> Schedule:
    """The schedule with this id; a deleted one counts as gone. Raises NotFound."""
    found = select(Schedule).where(Schedule.id == schedule_id, Schedule.deleted_at.is_(None))
    schedule = session.scalar(found.with_for_update() if lock else found)
    if schedule is None:
        raise NotFound(f"there is no schedule {schedule_id}")
    return schedule


def schedules(
    session: Session, *, room: str | None = None, status: str | None = None, origin: str | None = None
) -> Sequence[Schedule]:
    """Schedules that are not deleted, by id, narrowed down as told."""
    found = select(Schedule).where(Schedule.deleted_at.is_(None)).order_by(Schedule.id)
    for column, wanted in (
        (Schedule.target_room_id, room),
        (Schedule.status, status),
        (Schedule.origin, origin),
    ):
        if wanted is not None:
            found = found.where(column == wanted)
    return session.scalars(found).all()


def neighbours(session: Session, room_id: str, *, but: int | None = None) -> list[Neighbour]:
    """What else will send to a room: enabled schedules with something ahead, but one."""
    now = ledger_now(session)
    found = (
        select(Schedule.id, Schedule.title, ScheduleClock.rules, ScheduleClock.tz,
               ScheduleClock.valid_from, ScheduleClock.valid_until)
        .join(ScheduleClock, ScheduleClock.schedule_id == Schedule.id)
        .where(Schedule.target_room_id == room_id, ScheduleClock.enabled, ScheduleClock.valid_until >= now)
        .where(ScheduleClock.planned_to.is_not(None), Schedule.id != (but or 0))
        .order_by(Schedule.id)
    )  # fmt: skip
    return [Neighbour(*row) for row in session.execute(found)]


def laid_down(session: Session, schedule_id: int) -> LaidDown:
    """How many slots an edit, a pause or a deletion meets."""
    now = ledger_now(session)
    live = select(
        func.count().filter(Slot.exposed == 0, Slot.slot_at > now),
        func.count().filter(Slot.exposed == 0, Slot.slot_at <= now),
        func.count().filter(Slot.exposed > 0),
    ).where(Slot.schedule_id == schedule_id, Slot.ended_at.is_(None))
    return LaidDown(*session.execute(live).one())


def images_of(session: Session, schedule: Schedule) -> list[Image]:
    """A schedule's images in their order."""
    ids = [int(listed["id"]) for listed in schedule.message_images or ()]
    held = {image.id: image for image in session.scalars(select(Image).where(Image.id.in_(ids)))}
    return [held[one] for one in ids if one in held]


def room_of_schedule(session: Session, schedule: Schedule) -> Room:
    """The room that a schedule sends to (a foreign key holds it)."""
    return session.scalars(select(Room).where(Room.room_id == schedule.target_room_id)).one()
