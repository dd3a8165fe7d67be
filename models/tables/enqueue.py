"""What other services asked for, so that nothing is taken twice."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base


class EnqueueKey(Base):
    """An idempotency key, or the id of a Celery task without one, and the message it stands for."""

    __tablename__ = "enqueue_keys"
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[str]
    schedule_id: Mapped[int]
    slot_at: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    #: Retention counts from here: the message's own time, or its making if that is later.
    keep_from: Mapped[dt.datetime]
    __table_args__ = (Index("enqueue_keys_keep_idx", "keep_from"),)


class MessageHash(Base):
    """The window of content hashes per room (A14, A56, A57, A59). `slot_at` is NULL for a recurring one."""

    __tablename__ = "message_hashes"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    room_ref: Mapped[int] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"))
    hash: Mapped[str]
    schedule_id: Mapped[int]
    slot_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    __table_args__ = (
        UniqueConstraint("room_ref", "hash", name="message_hashes_content_key"),
        Index("message_hashes_newest_idx", "room_ref", "id"),
        Index("message_hashes_created_idx", "created_at"),
    )
