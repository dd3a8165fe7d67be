"""Many schedules at once, for an import; the same triggers do the same for each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from models.store.errors import InUse
from models.tables import Image, Schedule


def create_schedules(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Save checked rows (every row with the same columns) and answer their ids, in order.

    Each row names its images, creator and status itself. A few thousand rows a call keep the statement
    within the server's 5 s.
    """
    if not rows:
        return []
    wanted = text("SELECT nextval('schedule_id_seq') FROM generate_series(1, :number)")
    ids = [int(one) for one in session.scalars(wanted, {"number": len(rows)})]
    session.execute(insert(Schedule), [{"id": one, **row} for one, row in zip(ids, rows, strict=True)])
    return ids


def one_import_at_a_time(session: Session) -> None:
    """Keep other imports from saving until the transaction ends. Raises InUse if one is at it."""
    asked = text("SELECT pg_try_advisory_xact_lock(hashtext('jeongsi.import'))")
    if not session.scalar(asked):
        raise InUse("another import is being saved: nothing was saved, run this one again when it has ended")


def each_schedule(
    session: Session,
    *,
    after: int = 0,
    room: str | None = None,
    status: str | None = None,
    size: int = 1_000,
) -> Iterator[Schedule]:
    """People's schedules that are not deleted, by id from `after` on, read `size` at a time."""
    while True:
        found = select(Schedule).where(Schedule.deleted_at.is_(None), Schedule.id > after)
        found = found.where(Schedule.origin == "person").order_by(Schedule.id).limit(size)
        if room is not None:
            found = found.where(Schedule.target_room_id == room)
        if status is not None:
            found = found.where(Schedule.status == status)
        page = session.scalars(found).all()
        yield from page
        if len(page) < size:
            return
        after = page[-1].id
        session.expunge_all()  # else the session keeps all that it ever read


def last_schedule(session: Session) -> int:
    """The highest id that a schedule has; 0 if there is none."""
    return session.scalar(select(func.max(Schedule.id))) or 0


def image_named(session: Session, filename: str) -> Image | None:
    """The stored image with this generated name (B64)."""
    return session.scalar(select(Image).where(Image.filename == filename))


def image_digests(session: Session) -> dict[int, str]:
    """Each stored image's SHA-256 by its id."""
    return {int(one): str(digest) for one, digest in session.execute(select(Image.id, Image.sha256))}


def image_bytes(session: Session, image_id: int) -> bytes | None:
    """A stored image's content."""
    return session.scalar(select(Image.data).where(Image.id == image_id))
