"""Whose rooms there are, how they are reached, and what they may take."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import Date, ForeignKey, Identity, Index, Integer, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base


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
