"""The customer's three tables of tracking-number uploads (C06-C39), with our own columns added."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base

_LIVE = text("status IN ('pending', 'running')")


class TrackingScheduler(Base):
    """``tracking_upload_scheduler``: one PlayAuto account, when it uploads and how (C06-C17).

    A trigger keeps `schedule_clock` and the history in step with raw SQL, too; the id is of the sequence
    that `kb_schedule` uses. The beat keeps ``next_run_at`` and ``last_run_at``.
    """

    __tablename__ = "tracking_upload_scheduler"
    id: Mapped[int] = mapped_column(
        primary_key=True, server_default=text("nextval('schedule_id_seq')"), autoincrement=False
    )
    enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    schedule_time: Mapped[str] = mapped_column(server_default=text("'17:00'"))
    #: Retries after the first try (ruling 9).
    retry_count: Mapped[int] = mapped_column(Integer, server_default=text("3"))
    notify_discord: Mapped[bool] = mapped_column(server_default=text("false"))
    notify_slack: Mapped[bool] = mapped_column(server_default=text("false"))
    discord_webhook: Mapped[str | None]
    slack_webhook: Mapped[str | None]
    last_run_at: Mapped[dt.datetime | None]
    next_run_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    account: Mapped[str] = mapped_column(server_default=text("'default'"))
    #: Sealed JSON (runtime.sealing); NULL: the settings' PLAYAUTO_... are used.
    credentials: Mapped[bytes | None] = mapped_column(LargeBinary)
    tz: Mapped[str] = mapped_column(server_default=text("'Asia/Seoul'"))
    #: As `kb_schedule.schedule_weekdays`; NULL: every day.
    weekdays: Mapped[str | None]
    #: A run may begin so many seconds late; past that it is expired and the next day's takes its orders.
    grace_seconds: Mapped[int] = mapped_column(Integer, server_default=text("21600"))
    #: Move new orders on first (`/order/instruction`).
    instruct: Mapped[bool] = mapped_column(server_default=text("true"))
    #: Pass numbers on to the shops (the SEND_INVOICE job).
    send_to_shop: Mapped[bool] = mapped_column(server_default=text("true"))
    change_complete: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Replace a number that PlayAuto holds already.
    overwrite: Mapped[bool] = mapped_column(server_default=text("false"))
    #: What becomes of a number that looks wrong for its carrier: `warn` uploads it, `hold` does not.
    number_policy: Mapped[str] = mapped_column(server_default=text("'warn'"))
    batch_size: Mapped[int] = mapped_column(Integer, server_default=text("500"))
    error_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    deleted_at: Mapped[dt.datetime | None]
    __table_args__ = (
        Index(
            "tracking_upload_scheduler_account_key", "account", unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )  # fmt: skip
    # Deleting one is kept as a soft delete by a trigger, so that no row goes.
    __mapper_args__ = {"confirm_deleted_rows": False}  # noqa: RUF012 - SQLAlchemy reads it on the class


class TrackingJob(Base):
    """``tracking_upload_jobs``: one run (C18-C28). At most one is pending or running for an account."""

    __tablename__ = "tracking_upload_jobs"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    job_type: Mapped[str]
    status: Mapped[str]
    total_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    success_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failed_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    progress_percent: Mapped[float] = mapped_column(REAL, server_default=text("0"))
    error_message: Mapped[str | None]
    started_at: Mapped[dt.datetime | None] = mapped_column(server_default=text("now()"))
    completed_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    scheduler_id: Mapped[int] = mapped_column(ForeignKey("tracking_upload_scheduler.id"))
    #: The public id of the slot that it serves, so that a slot makes one run however often it is hinted at.
    slot_id: Mapped[str | None]
    #: The caller's key, so that asking twice makes one run.
    idem_key: Mapped[str | None]
    requested_by: Mapped[str] = mapped_column(server_default=text("''"))
    dry_run: Mapped[bool] = mapped_column(server_default=text("false"))
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    #: The run that failed and whose failed orders this one takes up again.
    redrive_of: Mapped[int | None] = mapped_column(ForeignKey("tracking_upload_jobs.id"))
    #: The scheduler's settings as they were when the run began.
    options: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    fence: Mapped[int] = mapped_column(server_default=text("0"))
    owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    skipped_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    #: How it ended: done, some_failed, all_failed, nothing_pending, cancelled, login_refused.
    reason: Mapped[str | None]
    #: Whether all its orders are laid down, and up to which order (of a redrive: detail) they are.
    filled: Mapped[bool] = mapped_column(server_default=text("false"))
    filled_to: Mapped[int] = mapped_column(server_default=text("0"))
    cancelled_by: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("slot_id", name="tracking_upload_jobs_slot_key"),
        UniqueConstraint("idem_key", name="tracking_upload_jobs_idem_key"),
        Index("tracking_upload_jobs_active_key", "scheduler_id", unique=True, postgresql_where=_LIVE),
        Index("tracking_upload_jobs_recent_idx", "scheduler_id", "id"),
        Index("tracking_upload_jobs_live_idx", "lease_until", postgresql_where=_LIVE),
    )


class TrackingDetail(Base):
    """``tracking_upload_details``: one order of one run (C29-C39), and how far it has come.

    ``status`` is the customer's word for ``state`` and follows it. No foreign key to `orders`: the record
    of an upload outlives the order.
    """

    __tablename__ = "tracking_upload_details"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("tracking_upload_jobs.id"))
    order_id: Mapped[int | None]
    order_no: Mapped[str | None]
    carrier_code: Mapped[str | None]
    tracking_number: Mapped[str | None]
    status: Mapped[str | None] = mapped_column(
        Computed(
            # As the database writes it back, so that a comparison finds them equal.
            "CASE state WHEN 'succeeded'::text THEN 'success'::text WHEN 'failed'::text THEN 'failed'::text"
            " WHEN 'unresolved'::text THEN 'failed'::text ELSE NULL::text END",
            persisted=True,
        )
    )
    retry_attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    error_message: Mapped[str | None]
    uploaded_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    bundle_no: Mapped[str | None]
    #: pending, leased; ended: succeeded, failed, unresolved, skipped.
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    #: instruct, set, send, confirm.
    step: Mapped[str] = mapped_column(server_default=text("'instruct'"))
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    not_before: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    fence: Mapped[int] = mapped_column(server_default=text("0"))
    owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    #: The step's request reached, or may have reached, PlayAuto.
    exposed: Mapped[bool] = mapped_column(server_default=text("false"))
    evidence: Mapped[dict[str, Any] | None]
    error_code: Mapped[str | None]
    ended_at: Mapped[dt.datetime | None]
    #: Questions in a row that had no answer; looks after which it was not there yet.
    misses: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    looks: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    #: PlayAuto said, or showed, that it has our number.
    stored_at: Mapped[dt.datetime | None]
    #: How often it may have been passed on to the shop, over all runs, and when last.
    sends: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    send_at: Mapped[dt.datetime | None]
    #: The number may take the place of one that PlayAuto has.
    overwrite: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Another order of the run lies in the same parcel: they go in the same requests.
    shared: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Workers in a row that died with it.
    deaths: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    __table_args__ = (
        UniqueConstraint("job_id", "order_id", name="tracking_upload_details_order_key"),
        Index(
            "tracking_upload_details_due_idx", "job_id", "not_before", "id",
            postgresql_where=text("state = 'pending'"),
        ),
        Index("tracking_upload_details_leased_idx", "lease_until", postgresql_where=text("state = 'leased'")),
        Index("tracking_upload_details_progress_idx", "job_id", "state"),
        Index("tracking_upload_details_order_idx", "order_id", "id"),
        Index(
            "tracking_upload_details_shared_idx", "job_id", "bundle_no", postgresql_where=text("shared")
        ),
        Index(
            "tracking_upload_details_error_idx", "job_id", "error_code", "id",
            postgresql_where=text("error_code IS NOT NULL"),
        ),
    )  # fmt: skip


class TrackingChunk(Base):
    """One request's orders while it is under way. ``id`` is their fence: what comes after it is higher."""

    __tablename__ = "tracking_chunks"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("tracking_upload_jobs.id"))
    details: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    #: look, instruct, set, send.
    step: Mapped[str] = mapped_column(server_default=text("'look'"))
    owner: Mapped[uuid.UUID]
    lease_until: Mapped[dt.datetime]
    #: A request that changes something reached, or may have reached, PlayAuto.
    exposed: Mapped[bool] = mapped_column(server_default=text("false"))
    made_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        Index("tracking_chunks_lease_idx", "lease_until"),
        Index("tracking_chunks_job_idx", "job_id"),
    )


class TrackingWork(Base):
    """A job of PlayAuto's that sends numbers on, and what its callback claimed (believed in nothing)."""

    __tablename__ = "tracking_works"
    job_id: Mapped[int] = mapped_column(ForeignKey("tracking_upload_jobs.id"), primary_key=True)
    work_no: Mapped[str] = mapped_column(primary_key=True)
    details: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    begun_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    heard_at: Mapped[dt.datetime | None]
    #: succeeded, failed, unclear.
    said: Mapped[str | None]
    messages: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    __table_args__ = (
        Index("tracking_works_no_idx", "work_no"),
        Index("tracking_works_failed_idx", "job_id", "begun_at", postgresql_where=text("said = 'failed'")),
    )
