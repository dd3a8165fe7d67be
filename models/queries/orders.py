"""Orders that wait for their upload (C42, C60, C78, C85-C88), and what keeps others from it.

The rule stands once, in the database: ``order_pending(o)`` (models/sql/35_tracking.sql), PENDING here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

Connection = psycopg.Connection[Any]

#: The rule, for any statement that reads `FROM orders o`; the index orders_waiting_idx serves it.
PENDING: Final = "order_pending(o)"


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """One order whose number is to be uploaded; ``tracking_number`` as it was given."""

    id: int
    account: str
    order_no: str
    shop_name: str | None
    bundle_no: str | None
    carrier_code: str
    carrier_name: str | None
    tracking_number: str
    order_status: str | None


@dataclass(frozen=True, slots=True)
class PendingGroup:
    """How many orders of one account and carrier wait. ``carrier_name`` is PlayAuto's, if it is known."""

    account: str
    carrier_code: str
    carrier_name: str | None
    orders: int


_GROUPS = """
SELECT o.account, o.carrier_code, coalesce(c.name, max(o.carrier_name)) AS carrier_name, count(*) AS orders
  FROM orders o LEFT JOIN carriers c ON c.account = o.account AND c.code = o.carrier_code
 WHERE order_pending(o) AND (%(account)s::text IS NULL OR o.account = %(account)s)
 GROUP BY o.account, o.carrier_code, c.name ORDER BY o.account, count(*) DESC, o.carrier_code"""
_PAGE = """
SELECT o.id, o.account, o.order_no, o.shop_name, o.bundle_no, o.carrier_code,
       coalesce(c.name, o.carrier_name) AS carrier_name, o.tracking_number, o.order_status
  FROM orders o LEFT JOIN carriers c ON c.account = o.account AND c.code = o.carrier_code
 WHERE order_pending(o) AND o.account = %(account)s AND o.id > %(after)s ORDER BY o.id LIMIT %(limit)s"""
_HELD_BACK = """
SELECT order_hindrance(o), count(*) FROM orders o
 WHERE o.playauto_uploaded = 0 AND o.tracking_number <> '' AND o.tracking_number ~ '\\S'
   AND NOT order_pending(o) AND (%(account)s::text IS NULL OR o.account = %(account)s)
 GROUP BY 1 ORDER BY 1"""


def pending_count(db: Connection, account: str | None = None) -> int:
    """How many orders wait, of one account or of all (C60, C61)."""
    row = db.execute(
        "SELECT count(*) FROM orders o WHERE order_pending(o)"
        " AND (%(account)s::text IS NULL OR o.account = %(account)s)",
        {"account": account},
    ).fetchone()
    return int(row[0]) if row else 0


def pending_groups(db: Connection, account: str | None = None) -> list[PendingGroup]:
    """The same by account and carrier, most first."""
    with db.cursor(row_factory=class_row(PendingGroup)) as cursor:
        return cursor.execute(_GROUPS, {"account": account}).fetchall()


def pending_page(db: Connection, account: str, *, after: int = 0, limit: int = 1_000) -> list[PendingOrder]:
    """An account's waiting orders by id from ``after`` on: what an upload takes, in its order (C79)."""
    with db.cursor(row_factory=class_row(PendingOrder)) as cursor:
        return cursor.execute(_PAGE, {"account": account, "after": after, "limit": limit}).fetchall()


def each_pending(db: Connection, account: str, size: int = 5_000) -> Iterator[PendingOrder]:
    """All of them, read ``size`` at a time."""
    after = 0
    while page := pending_page(db, account, after=after, limit=size):
        yield from page
        after = page[-1].id


def held_back(db: Connection, account: str | None = None) -> dict[str, int]:
    """Orders with a number that do not wait, by what keeps them: no_carrier, cancel, return, exchange."""
    rows = db.execute(_HELD_BACK, {"account": account}).fetchall()
    return {str(why): int(number) for why, number in rows}


def unknown_carriers(db: Connection, account: str) -> dict[str, int]:
    """Names of carriers for which orders with a number have no code, with how many orders, most first."""
    rows = db.execute(
        "SELECT coalesce(nullif(o.carrier_name, ''), '-'), count(*) FROM orders o WHERE o.account = %s"
        " AND o.playauto_uploaded = 0 AND o.tracking_number <> '' AND order_hindrance(o) = 'no_carrier'"
        " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50",
        (account,),
    ).fetchall()
    return {str(name): int(number) for name, number in rows}


def hindrance(db: Connection, order_id: int) -> str | None:
    """The first thing that keeps an order from being uploaded; None: it waits for its upload.

    uploaded, no_number, no_carrier, cancel, return or exchange. Raises LookupError for no such order.
    """
    row = db.execute("SELECT order_hindrance(o) FROM orders o WHERE o.id = %s", (order_id,)).fetchone()
    if row is None:
        raise LookupError(f"there is no order {order_id}")
    return None if row[0] is None else str(row[0])
