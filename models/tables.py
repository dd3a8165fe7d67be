"""Mapped classes of every table. The DDL itself stands in ``models/migrations/sql``; a test holds both equal.

Constraints, triggers and partial-index conditions live in the DDL and ``models/sql`` only: the
database enforces them for raw SQL and for these classes alike.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
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
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, DOUBLE_PRECISION, INTERVAL, JSONB, OID, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Stamp = TIMESTAMP(timezone=True)
_BY_SLOT_TIME = {"postgresql_partition_by": "RANGE (slot_at)"}


class Base(DeclarativeBase):
    """Root of all mapped classes; its metadata is what migrations must equal."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this name on the class
        int: BigInteger,
        str: Text,
        dt.datetime: Stamp,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        uuid.UUID: Uuid,
    }


schedule_id_seq = Sequence("schedule_id_seq", metadata=Base.metadata)
slot_id_seq = Sequence("slot_id_seq", metadata=Base.metadata)


class Organisation(Base):
    """Headquarters > distributor > agency > branch (ruling 16); the console adds members and rights."""

    __tablename__ = "organisations"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    type: Mapped[str]
    code: Mapped[str] = mapped_column(String(50))
    name: Mapped[str] = mapped_column(String(255))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (UniqueConstraint("code", name="organisations_code_key"),)


class Room(Base):
    """A talk room: where it is reached (channel, device) and what it may take (gap, day quota)."""

    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    room_id: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(server_default=text("'live'"))
    channel: Mapped[str]
    device: Mapped[str | None]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    gap_ms: Mapped[int] = mapped_column(Integer, server_default=text("30000"))
    quota: Mapped[int] = mapped_column(Integer, server_default=text("50"))
    limits_reason: Mapped[str | None]
    limits_by: Mapped[str | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    address: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("room_id", name="rooms_room_id_key"),
        Index("rooms_organisation_idx", "organisation_id"),
    )


class KakaoToken(Base):
    """The tokens of the Kakao account that sends, sealed (runtime.sealing)."""

    __tablename__ = "kakao_tokens"
    account: Mapped[str] = mapped_column(primary_key=True)
    access: Mapped[bytes] = mapped_column(LargeBinary)
    refresh: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[dt.datetime | None]
    refresh_expires_at: Mapped[dt.datetime | None]
    scopes: Mapped[str] = mapped_column(server_default=text("''"))
    seed: Mapped[str | None]
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    updated_by: Mapped[str]


class RoomGate(Base):
    """When a room is free again and who holds it; taken inside the point of no return only."""

    __tablename__ = "room_gate"
    room_ref: Mapped[int] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True)
    free_at: Mapped[dt.datetime] = mapped_column(server_default=text("'1970-01-01 00:00:00+00'"))
    holder_schedule: Mapped[int | None]
    holder_slot: Mapped[dt.datetime | None]


class DeviceGate(Base):
    """The same for a device that carries one request at a time."""

    __tablename__ = "device_gate"
    device: Mapped[str] = mapped_column(primary_key=True)
    free_at: Mapped[dt.datetime] = mapped_column(server_default=text("'1970-01-01 00:00:00+00'"))
    holder_schedule: Mapped[int | None]
    holder_slot: Mapped[dt.datetime | None]


class DeviceMessage(Base):
    """Which message on a device is whose, for providers that are looked up by a message's content."""

    __tablename__ = "device_messages"
    device: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    attempt_id: Mapped[uuid.UUID]
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    __table_args__ = (Index("device_messages_at_idx", "at"),)


class RoomQuota(Base):
    """Slots that a room has taken on one Korean day (B129)."""

    __tablename__ = "room_quota"
    room_ref: Mapped[int] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    used: Mapped[int] = mapped_column(Integer, server_default=text("0"))


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
    __mapper_args__ = {"confirm_deleted_rows": False}  # noqa: RUF012 - as below


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
        Index("slots_trouble_idx", "ended_at", postgresql_where=text("state = 'failed'")),
        _BY_SLOT_TIME,
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
    __table_args__ = _BY_SLOT_TIME


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
        _BY_SLOT_TIME,
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
    __mapper_args__ = {"primary_key": [schedule_id, slot_at, at]}  # noqa: RUF012 - as above


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


class BeatPulse(Base):
    """The last completed tick of every beat."""

    __tablename__ = "beat_pulse"
    node: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[dt.datetime]
    last_tick_at: Mapped[dt.datetime]
    planned_at: Mapped[dt.datetime | None]


class NoticeTarget(Base):
    """Where notices to operators go: a webhook or any other address, sealed; NULL: the settings hold it."""

    __tablename__ = "notice_targets"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    service: Mapped[str]
    address: Mapped[bytes | None] = mapped_column(BYTEA)
    fingerprint: Mapped[str]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    min_severity: Mapped[str] = mapped_column(server_default=text("'info'"))
    kinds: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    per_hour: Mapped[int] = mapped_column(Integer, server_default=text("20"))
    burst: Mapped[int] = mapped_column(Integer, server_default=text("5"))
    tokens: Mapped[float] = mapped_column(DOUBLE_PRECISION, server_default=text("5"))
    tokens_at: Mapped[dt.datetime] = mapped_column(server_default=text("'1970-01-01 00:00:00+00'"))
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[dt.datetime | None]
    not_before: Mapped[dt.datetime] = mapped_column(server_default=text("'1970-01-01 00:00:00+00'"))
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    last_error: Mapped[str | None]
    last_sent_at: Mapped[dt.datetime | None]
    #: When a process last found it in its settings; NULL for what people added.
    kept_at: Mapped[dt.datetime | None]
    created_by: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (UniqueConstraint("name", name="notice_targets_name_key"),)


class Notice(Base):
    """One thing that operators are told. While it is open the same (kind, key) only raises its counter."""

    __tablename__ = "notices"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    kind: Mapped[str]
    key: Mapped[str] = mapped_column(server_default=text("''"))
    severity: Mapped[str]
    title: Mapped[str]
    body: Mapped[str] = mapped_column(server_default=text("''"))
    link: Mapped[str | None]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    source: Mapped[str] = mapped_column(server_default=text("'jeongsi'"))
    first_at: Mapped[dt.datetime]
    made_at: Mapped[dt.datetime]
    last_at: Mapped[dt.datetime]
    #: How many happenings this notice tells of, and how many more came since.
    told: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    more: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    repeats: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    #: The newest happening that is counted in; an older one is never counted again.
    mark: Mapped[dt.datetime | None]
    standing: Mapped[bool] = mapped_column(server_default=text("false"))
    open: Mapped[bool] = mapped_column(server_default=text("true"))
    open_until: Mapped[dt.datetime]
    dedupe: Mapped[dt.timedelta] = mapped_column(INTERVAL, server_default=text("'1 hour'::interval"))
    __table_args__ = (
        Index("notices_open_key", "kind", "key", unique=True, postgresql_where=text("open")),
        Index("notices_open_until_idx", "open_until", postgresql_where=text("open")),
        Index("notices_kind_idx", "kind", "key", "id"),
        Index("notices_made_at_idx", "made_at"),
    )


class NoticeDelivery(Base):
    """One notice on its way to one target, so that a dead webhook never blocks another."""

    __tablename__ = "notice_deliveries"
    notice_id: Mapped[int] = mapped_column(
        ForeignKey("notices.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    target_id: Mapped[int] = mapped_column(
        ForeignKey("notice_targets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    waits: Mapped[bool] = mapped_column(server_default=text("false"))
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    not_before: Mapped[dt.datetime]
    owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    sent_at: Mapped[dt.datetime | None]
    carried_by: Mapped[int | None]
    provider_msg_id: Mapped[str | None]
    answer: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    __table_args__ = (
        Index(
            "notice_deliveries_due_idx", "target_id", "notice_id",
            postgresql_where=text("state = 'pending'"),
        ),
    )  # fmt: skip


class NoticeRequest(Base):
    """The idempotency keys of notices that other services asked for."""

    __tablename__ = "notice_requests"
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    notice_id: Mapped[int]
    at: Mapped[dt.datetime]
    __table_args__ = (Index("notice_requests_at_idx", "at"),)


class NoticeWatch(Base):
    """How far the watch has read the ledger."""

    __tablename__ = "notice_watch"
    name: Mapped[str] = mapped_column(primary_key=True)
    seen_to: Mapped[dt.datetime]


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


class Instance(Base):
    """One row: which database this is, how far it has come, and whether a person has to look first.

    ``seal_*``: where a beat last vouched for it; ``past``: what a release said of forgotten sends.
    """

    __tablename__ = "instance"
    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    id: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    mark: Mapped[int] = mapped_column(server_default=text("0"))
    word: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    marked_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    seal_start: Mapped[dt.datetime | None]
    seal_database: Mapped[int | None] = mapped_column(OID)
    seal_xid: Mapped[str | None]
    held_at: Mapped[dt.datetime | None]
    held_reason: Mapped[str | None]
    past: Mapped[str | None]
    past_from: Mapped[dt.datetime | None]
    past_to: Mapped[dt.datetime | None]
    released_at: Mapped[dt.datetime | None]
    released_by: Mapped[str | None]
    released_note: Mapped[str | None]
