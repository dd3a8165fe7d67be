"""The root of all mapped classes, and what several families of tables share."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase

Stamp = TIMESTAMP(timezone=True)
BY_SLOT_TIME = {"postgresql_partition_by": "RANGE (slot_at)"}


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
