"""Which database this is, and which beats live on it."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import OID
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base


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


class BeatPulse(Base):
    """The last completed tick of every beat."""

    __tablename__ = "beat_pulse"
    node: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[dt.datetime]
    last_tick_at: Mapped[dt.datetime]
    planned_at: Mapped[dt.datetime | None]
