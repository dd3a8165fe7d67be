"""An import of orders: staged in tables of its own connection, compared with what is there, then merged.

Nothing of `orders` is locked while lines are staged and compared. The merge is one transaction, in steps
that each keep within the server's limits. It locks only orders that change, and looks at each as it is
then: what a worker marked uploaded meanwhile stays so (``order_merged``, models/sql/35_tracking.sql).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import psycopg
from psycopg.rows import class_row

from models.store import orders_names, orders_sql
from models.store.carriers import resolve_waiting
from models.store.errors import Changed, InUse, NotFound

Connection = psycopg.Connection[Any]
STEP: Final = 10_000  # orders of one statement


class OrderLine(NamedTuple):  # a tuple: a file brings 100,000 of them
    """One line of a file. None: the file does not say, and what is there stays.

    ``playauto_uploaded``: 0 or 1 as the file says; 0 says nothing of an order that is uploaded. ``sent``:
    whether PlayAuto has passed the number on to the shop; a file does not know.
    """

    line: int
    order_no: str
    shop_code: str | None = None
    shop_name: str | None = None
    shop_order_no: str | None = None
    playauto_uniq: str | None = None
    bundle_no: str | None = None
    carrier_code: str | None = None
    carrier_name: str | None = None
    tracking_number: str | None = None
    order_status: str | None = None
    playauto_uploaded: int | None = None
    sent: bool | None = None


@dataclass(frozen=True, slots=True)
class Clash:
    """A line that cannot be taken. ``why``: `lines`, its order stands on several lines and ``what`` differs;
    `account` or `shop`, the order is that of another, ``what`` says whose; `several`, it is the shop's number
    of more than one order."""

    line: int
    order_no: str
    why: str
    what: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An order that was uploaded as ``had`` and stands in the file as ``given``: it stays as it was."""

    line: int
    order_no: str
    had: str
    given: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Orders that are new, change, or stay as they are; an order that stands on many lines counts once."""

    new: int
    changed: int
    unchanged: int


class OrderImport:
    """One import into one account, on an autocommit connection of its own: stage, compare, merge.

    ``again``: an uploaded order whose number, carrier or parcel differs takes the new one and is uploaded
    anew. Without it such an order stays as it is. ``source``: lines of `playauto` are staged under their
    `playauto_uniq` and find the order they mean. Raises NotFound for an account that does not exist.
    """

    def __init__(
        self,
        db: Connection,
        account: str = "default",
        *,
        again: bool = False,
        source: Literal["file", "playauto"] = "file",
    ) -> None:
        self._db = db
        self._names = orders_names.FROM_PLAYAUTO if source == "playauto" else (orders_names.IN_FILE,)
        self._terms = {"account": account, "again": again, "organisation": organisation_of(db, account)}
        db.execute(orders_sql.LINES)

    def stage(self, lines: Iterable[OrderLine]) -> None:
        """Take lines in; a few thousand a call."""
        names = ", ".join(OrderLine._fields)
        with (
            self._db.cursor() as cursor,
            cursor.copy(f"COPY order_lines ({names}) FROM STDIN".encode()) as copy,
        ):
            for line in lines:
                copy.write_row(line)

    def compare(self) -> Merge:
        """Compare all that was staged with what is there; answers what a merge would do."""
        self._db.execute(orders_sql.STEPS)
        self._db.execute("ANALYZE order_lines")
        for statement in self._names:
            self._run(statement, "SELECT max(line) FROM order_lines")
        self._db.execute(orders_sql.ROWS)
        self._db.execute("ANALYZE order_rows")
        self._db.execute(orders_sql.NO_FATES.encode(), self._terms | {"after": 0, "to": 0})
        self._run(orders_sql.FATES, "SELECT max(place) FROM order_rows")
        counts = dict(self._db.execute("SELECT fate, count(*) FROM order_fates GROUP BY 1").fetchall())
        return Merge(*(int(counts.get(fate, 0)) for fate in ("new", "changed", "unchanged")))

    def _run(self, statement: str, last: str) -> None:
        """In steps, where it looks into `orders`: whole it could take longer than the server's limit."""
        if "%(to)s" not in statement:
            self._db.execute(statement.encode())
            return
        found = self._db.execute(last.encode()).fetchone()
        for after in range(0, (found and found[0]) or 0, STEP):
            with self._db.transaction():
                self._db.execute(orders_sql.BY_INDEX)
                self._db.execute(statement.encode(), self._terms | {"after": after, "to": after + STEP})

    def clashes(self) -> list[Clash]:
        """Lines that cannot be taken beside others, or beside what is there; by line."""
        with self._db.cursor(row_factory=class_row(Clash)) as cursor:
            return cursor.execute(
                "SELECT l.line, l.order_no, f.fate AS why, f.what FROM order_fates f"
                " JOIN order_lines l ON l.order_no = f.order_no"
                " WHERE f.fate IN ('lines', 'several', 'account', 'shop') ORDER BY l.line"
            ).fetchall()

    def kept(self) -> list[Kept]:
        """Uploaded orders that the file gives otherwise, and that stay as they are; by line."""
        with self._db.cursor(row_factory=class_row(Kept)) as cursor:
            return cursor.execute(
                "SELECT line, order_no, had, concat_ws(' ', coalesce((n).carrier_name, (n).carrier_code),"
                " (n).tracking_number) AS given FROM order_fates"
                " WHERE kept AND fate IN ('changed', 'unchanged') ORDER BY line"
            ).fetchall()

    def differing(self) -> list[Kept]:
        """Orders whose number waits here and is another one than PlayAuto has; ours stays and waits."""
        with self._db.cursor(row_factory=class_row(Kept)) as cursor:
            return cursor.execute(
                "SELECT l.line, l.order_no, concat_ws(' ', coalesce(o.carrier_name, o.carrier_code),"
                " o.tracking_number) AS had, l.differs AS given FROM order_lines l"
                " JOIN orders o ON o.order_no = l.order_no"
                " AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint"
                " WHERE l.differs IS NOT NULL ORDER BY l.line",
                self._terms,
            ).fetchall()

    def merge(self) -> Merge:
        """Write what was compared, all of it or nothing; answers what was written.

        Raises InUse while another import is being written, Changed if somebody added one of the orders
        since they were compared.
        """
        found = self._db.execute("SELECT max(place), count(*) FILTER (WHERE fate = 'new') FROM order_fates")
        last, expected = found.fetchone() or (None, 0)
        new = changed = 0
        with self._db.transaction():
            _one_at_a_time(self._db)
            self._db.execute(orders_sql.BY_INDEX)
            for after in range(0, last or 0, STEP):
                step = self._terms | {"after": after, "to": after + STEP}
                changed += self._db.execute(orders_sql.CHANGE, step).rowcount
                new += self._db.execute(orders_sql.ADD, step).rowcount
            if new != expected:
                raise Changed(
                    "somebody else added some of these orders meanwhile: nothing was saved, run it again"
                )
            resolve_waiting(self._db, str(self._terms["account"]))
        unchanged = self._db.execute("SELECT count(*) FROM order_fates WHERE fate = 'unchanged'").fetchone()
        return Merge(new, changed, int(unchanged[0]) if unchanged else 0)


def organisation_of(db: Connection, account: str) -> int | None:
    """Whose account it is; None: the installation's own. Raises NotFound for one that does not exist.

    The account `default` always exists.
    """
    rows = dict(
        db.execute(
            "SELECT account, organisation_id FROM tracking_upload_scheduler WHERE deleted_at IS NULL"
        ).fetchall()
    )
    if account not in rows and account != "default":
        raise NotFound(f"there is no account {account!r}; known are {', '.join(sorted({*rows, 'default'}))}")
    return rows.get(account)


def _one_at_a_time(db: Connection) -> None:
    row = db.execute("SELECT pg_try_advisory_xact_lock(hashtext('jeongsi.orders_import'))").fetchone()
    if row is None or not row[0]:
        raise InUse("another import is being saved: nothing was saved, run this one again when it has ended")
