"""Notices to operators: where they go, what is told, and what became of it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, DOUBLE_PRECISION, INTERVAL
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base


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
