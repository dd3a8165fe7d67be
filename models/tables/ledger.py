"""The ledger: slots, their parts and attempts, every move, and what should not happen."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    Date,
    Identity,
    Index,
    Integer,
    Sequence,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import BY_SLOT_TIME, Base

slot_id_seq = Sequence("slot_id_seq", metadata=Base.metadata)


class Slot(Base):
    """The ledger: one row per promised instant of a schedule (invariant I1)."""

    __tablename__ = "slots"
    id: Mapped[int] = mapped_column(server_default=text("nextval('slot_id_seq')"))
    schedule_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slot_at: Mapped[dt.datetime] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(server_default=text("'message'"))
    origin: Mapped[str] = mapped_column(server_default=text("'plan'"))
    room_ref: Mapped[int | None]
    channel: Mapped[str | None]
    device: Mapped[str | None]
    content_version: Mapped[int] = mapped_column(Integer)
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    state: Mapped[str] = mapped_column(server_default=text("'planned'"))
    phase: Mapped[str] = mapped_column(server_default=text("'send'"))
    not_before: Mapped[dt.datetime]
    start_by: Mapped[dt.datetime]
    finish_by: Mapped[dt.datetime]
    superseded: Mapped[bool] = mapped_column(server_default=text("false"))
    keep_latest: Mapped[bool] = mapped_column(server_default=text("false"))
    fence: Mapped[int]
    owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    republish_at: Mapped[dt.datetime | None]
    spins: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    #: Attempts that reached, or may have reached, the room. 0 = unstarted.
    exposed: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    quota_day: Mapped[dt.date | None] = mapped_column(Date)
    provider_kind: Mapped[str | None]
    dup_risk: Mapped[bool] = mapped_column(server_default=text("false"))
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    reason: Mapped[str | None]
    wait_reason: Mapped[str | None]
    admitted_at: Mapped[dt.datetime | None]
    free_from: Mapped[dt.datetime | None]
    started_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    confirmed_at: Mapped[dt.datetime | None]
    resend_of: Mapped[str | None]
    cleared_at: Mapped[dt.datetime | None]
    cleared_by: Mapped[str | None]
    cleared_note: Mapped[str | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    __table_args__ = (
        Index("slots_dispatch_idx", "not_before", postgresql_where=text("state IN ('planned', 'waiting')")),
        Index("slots_queued_idx", "republish_at", postgresql_where=text("state = 'queued'")),
        Index("slots_leased_idx", "lease_until", postgresql_where=text("state = 'leased'")),
        Index("slots_start_by_idx", "start_by", postgresql_where=text("admitted_at IS NULL")),
        Index("slots_finish_by_idx", "finish_by", postgresql_where=text("phase = 'send'")),
        Index("slots_cancel_idx", "schedule_id", postgresql_where=text("cancel_requested")),
        Index(
            "slots_room_wait_idx",
            "room_ref",
            "priority",
            "slot_at",
            "schedule_id",
            postgresql_where=text("wait_reason = 'room_busy'"),
        ),
        Index(
            "slots_device_wait_idx",
            "device",
            "priority",
            "slot_at",
            "schedule_id",
            postgresql_where=text("wait_reason = 'device_busy'"),
        ),
        Index("slots_unresolved_idx", "slot_at", postgresql_where=text("state = 'unresolved'")),
        Index("slots_id_idx", "id"),
        Index("slots_tracking_idx", "republish_at", postgresql_where=text("kind = 'tracking'")),
        Index("slots_trouble_idx", "ended_at", postgresql_where=text("state = 'failed'")),
        BY_SLOT_TIME,
    )


class Part(Base):
    """One text or one image of a slot's message, laid down at its first point of no return."""

    __tablename__ = "parts"
    schedule_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slot_at: Mapped[dt.datetime] = mapped_column(primary_key=True)
    ord: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    body: Mapped[str | None]
    image_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    idem_key: Mapped[str]
    gap_ms: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    misses: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    tainted: Mapped[bool] = mapped_column(server_default=text("false"))
    attempt_id: Mapped[uuid.UUID | None]
    sending_at: Mapped[dt.datetime | None]
    done_at: Mapped[dt.datetime | None]
    confirmed_at: Mapped[dt.datetime | None]
    provider_msg_id: Mapped[str | None]
    refused: Mapped[list[Any] | None]
    #: All images of a part that carries several; ``image_id`` is then the first of them.
    image_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    __table_args__ = BY_SLOT_TIME


class Attempt(Base):
    """One passage of the point of no return, with the evidence that came of it."""

    __tablename__ = "attempts"
    attempt_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    schedule_id: Mapped[int]
    slot_at: Mapped[dt.datetime] = mapped_column(primary_key=True)
    ord: Mapped[int] = mapped_column(SmallInteger)
    fence: Mapped[int]
    owner: Mapped[uuid.UUID]
    dup_risk: Mapped[bool] = mapped_column(server_default=text("false"))
    #: It reached, or may have reached, the room; ``slots.exposed`` counts these.
    exposed: Mapped[bool] = mapped_column(server_default=text("true"))
    sending_at: Mapped[dt.datetime]
    wrote_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    outcome: Mapped[str | None]
    reason: Mapped[str | None]
    http_status: Mapped[int | None] = mapped_column(Integer)
    provider_msg_id: Mapped[str | None]
    answer: Mapped[dict[str, Any] | None]
    #: What the provider looked like before the write, for who looks the message up; what the last look saw.
    baseline: Mapped[dict[str, Any] | None]
    seen: Mapped[dict[str, Any] | None]
    __table_args__ = (
        UniqueConstraint("schedule_id", "slot_at", "ord", "fence", name="attempts_fence_key"),
        BY_SLOT_TIME,
    )


class SlotLog(Base):
    """Every move of every slot, written by the guard trigger."""

    __tablename__ = "slot_log"
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    schedule_id: Mapped[int] = mapped_column()
    slot_at: Mapped[dt.datetime] = mapped_column()
    old: Mapped[str]
    new: Mapped[str]
    phase: Mapped[str]
    fence: Mapped[int]
    reason: Mapped[str | None]
    who: Mapped[str]
    __table_args__ = (
        Index("slot_log_slot_idx", "schedule_id", "slot_at", "at"),
        {"postgresql_partition_by": "RANGE (at)"},
    )
    __mapper_args__ = {"primary_key": [schedule_id, slot_at, at]}  # noqa: RUF012 - the mapper wants one, the table has none


class SlotEdge(Base):
    """The edge table that the guard trigger reads; filled from ``models.states.EDGES``."""

    __tablename__ = "slot_edge"
    old: Mapped[str] = mapped_column(primary_key=True)
    new: Mapped[str] = mapped_column(primary_key=True)


class Incident(Base):
    """What should not happen and did, or a range of time that stands for many rows."""

    __tablename__ = "incidents"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    kind: Mapped[str]
    schedule_id: Mapped[int | None]
    slot_at: Mapped[dt.datetime | None]
    range_from: Mapped[dt.datetime | None]
    range_to: Mapped[dt.datetime | None]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    __table_args__ = (Index("incidents_at_idx", "at"), Index("incidents_slot_idx", "schedule_id", "slot_at"))
