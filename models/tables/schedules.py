"""What people and programs write, its history, and what the planner reads of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    Computed,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    String,
    Time,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base

schedule_id_seq = Sequence("schedule_id_seq", metadata=Base.metadata)


class Image(Base):
    """One stored image (B63-B70). Bytes live here by default: that works on any number of machines."""

    __tablename__ = "images"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    filename: Mapped[str] = mapped_column(String(255))
    original_name: Mapped[str] = mapped_column(String(255))
    mime_type: Mapped[str]
    sha256: Mapped[str]
    file_size: Mapped[int] = mapped_column(Integer)
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    upload_date: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        UniqueConstraint("filename", name="images_filename_key"),
        Index("images_sha256_idx", "sha256"),
    )


class Schedule(Base):
    """``kb_schedule``: what people and other programs write (B18-B45), with our own columns added."""

    __tablename__ = "kb_schedule"
    id: Mapped[int] = mapped_column(
        primary_key=True, server_default=text("nextval('schedule_id_seq')"), autoincrement=False
    )
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    created_by_type: Mapped[str] = mapped_column(server_default=text("'headquarters'"))
    created_by_id: Mapped[str] = mapped_column(String(50), server_default=text("''"))
    created_by_mb_id: Mapped[str] = mapped_column(String(50), server_default=text("''"))
    target_room_id: Mapped[str] = mapped_column(String(100), ForeignKey("rooms.room_id", onupdate="CASCADE"))
    target_room_type: Mapped[str] = mapped_column(server_default=text("'live'"))
    message_text: Mapped[str | None]
    message_images: Mapped[list[Any] | None]
    send_order: Mapped[str] = mapped_column(server_default=text("'text_first'"))
    send_interval_seconds: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    schedule_type: Mapped[str]
    schedule_date: Mapped[dt.date | None] = mapped_column(Date)
    schedule_time: Mapped[dt.time | None] = mapped_column(Time)
    schedule_weekdays: Mapped[str | None]
    peak_hours: Mapped[str | None]
    cron_expr: Mapped[str | None]
    rules: Mapped[list[Any] | None]
    tz: Mapped[str] = mapped_column(server_default=text("'Asia/Seoul'"))
    valid_from: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    valid_until: Mapped[dt.datetime] = mapped_column(server_default=text("'2999-12-31 00:00:00+09'"))
    misfire: Mapped[str] = mapped_column(server_default=text("'skip'"))
    grace_seconds: Mapped[int] = mapped_column(Integer, server_default=text("300"))
    validity_seconds: Mapped[int | None] = mapped_column(Integer)
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    accept_limit: Mapped[bool] = mapped_column(server_default=text("false"))
    origin: Mapped[str] = mapped_column(server_default=text("'person'"))
    status: Mapped[str] = mapped_column(server_default=text("'active'"))
    error_reason: Mapped[str | None]
    last_sent_at: Mapped[dt.datetime | None]
    next_send_at: Mapped[dt.datetime | None]
    send_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    deleted_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    #: What the service that asked for a message wants to find again; up to 8 KiB, never sent.
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata")
    __table_args__ = (
        Index("idx_schedule_polling", "status", "next_send_at", "valid_from", "valid_until"),
        Index("idx_created_by", "created_by_type", "created_by_id"),
        Index("idx_target_room", "target_room_id", "target_room_type"),
        Index(
            "kb_schedule_finished_idx",
            "schedule_date",
            postgresql_where=text("status = 'completed' AND deleted_at IS NULL"),
        ),
    )
    # Deleting one is kept as a soft delete by a trigger, so that no row goes.
    __mapper_args__ = {"confirm_deleted_rows": False}  # noqa: RUF012 - SQLAlchemy reads this name on the class


class ScheduleVersion(Base):
    """``kb_schedule_history``: every version of every schedule; the audit recomputes promises from it."""

    __tablename__ = "kb_schedule_history"
    schedule_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    valid_from: Mapped[dt.datetime]
    who: Mapped[str]
    op: Mapped[str]
    row: Mapped[dict[str, Any]]
    clock: Mapped[dict[str, Any]]


class ScheduleClock(Base):
    """What the planner reads: rules, limits and the cursor of one schedule. An idle one costs nothing."""

    __tablename__ = "schedule_clock"
    schedule_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    rules: Mapped[list[Any]]
    tz: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    version_from: Mapped[dt.datetime]
    planned_to: Mapped[dt.datetime | None]
    replan_from: Mapped[dt.datetime | None]
    due_at: Mapped[dt.datetime | None] = mapped_column(
        Computed("LEAST(planned_to, replan_from)", persisted=True)
    )
    enabled: Mapped[bool]
    valid_from: Mapped[dt.datetime]
    valid_until: Mapped[dt.datetime]
    grace_s: Mapped[int] = mapped_column(Integer)
    validity_s: Mapped[int | None] = mapped_column(Integer)
    misfire: Mapped[str]
    priority: Mapped[int] = mapped_column(SmallInteger)
    room_ref: Mapped[int | None]
    __table_args__ = (Index("schedule_clock_due_idx", "due_at"),)


class ScheduleDirty(Base):
    """Schedules whose counters the beat has to bring up to date. No key: rows are deltas."""

    __tablename__ = "schedule_dirty"
    schedule_id: Mapped[int] = mapped_column()
    sent: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    sent_at: Mapped[dt.datetime | None]
    __mapper_args__ = {"primary_key": [schedule_id]}  # noqa: RUF012 - the mapper wants one, the table has none
