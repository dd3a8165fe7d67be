"""Orders with their tracking numbers, and the carriers of an account."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Identity, Index, SmallInteger, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base


class Order(Base):
    """An order whose tracking number is to be uploaded (C78). It names no person: nothing of that is needed.

    ``account``: the PlayAuto account it is uploaded by. ``carrier_name`` stands as the file gave it;
    ``carrier_code`` is PlayAuto's, NULL while the name is none that the account's list knows.
    """

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    account: Mapped[str] = mapped_column(server_default=text("'default'"))
    order_no: Mapped[str] = mapped_column(String(100))
    shop_code: Mapped[str | None] = mapped_column(String(50))
    shop_name: Mapped[str | None] = mapped_column(String(100))
    shop_order_no: Mapped[str | None] = mapped_column(String(100))
    playauto_uniq: Mapped[str | None] = mapped_column(String(100))
    #: PlayAuto's parcel: what `setInvoice` takes a number for.
    bundle_no: Mapped[str | None] = mapped_column(String(100))
    carrier_code: Mapped[str | None] = mapped_column(String(20))
    carrier_name: Mapped[str | None] = mapped_column(String(100))
    #: As it was given, hyphens and all; `models.tracking.numbers` makes it what the API takes.
    tracking_number: Mapped[str | None] = mapped_column(String(100))
    order_status: Mapped[str | None] = mapped_column(String(100))
    #: 0 or 1, so that the documented `playauto_uploaded = 0` works as it stands.
    playauto_uploaded: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    uploaded_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        UniqueConstraint(
            "order_no", "organisation_id", name="orders_order_no_key", postgresql_nulls_not_distinct=True
        ),
        Index(
            "orders_waiting_idx", "account", "id",
            postgresql_where=text("playauto_uploaded = 0 AND tracking_number <> ''"),
        ),
        Index("orders_created_idx", "created_at"),
        Index("orders_uniq_idx", "playauto_uniq", postgresql_where=text("playauto_uniq IS NOT NULL")),
        Index("orders_shop_order_idx", "shop_order_no", postgresql_where=text("shop_order_no IS NOT NULL")),
    )  # fmt: skip


class Carrier(Base):
    """One carrier that PlayAuto lists for an account, as of ``seen_at``."""

    __tablename__ = "carriers"
    account: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    seen_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
