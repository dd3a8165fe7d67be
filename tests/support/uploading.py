"""A whole upload for tests: an account, orders that PlayAuto has, and what became of them on both sides."""

from __future__ import annotations

from typing import Any

import psycopg

from models.ledger import beat, tracking
from models.queries import tracking as queries
from ops.emulator.playauto import PlayAuto
from runtime.ids import SlotId
from tests.support.tracking import account
from tests.support.waiting import eventually

#: Times of a run, scaled down for tests.
SCALED = {
    "JEONGSI_TRACKING_LEASE_S": "2",
    "JEONGSI_TRACKING_CONFIRM_S": "2",
    "JEONGSI_PLAYAUTO_TIMEOUT_S": "2",
    "PLAYAUTO_API_KEY": "key",
    "PLAYAUTO_EMAIL": "me@example.com",
    "PLAYAUTO_PASSWORD": "hunter2",
}


class Uploading:
    """One account's world: our orders, PlayAuto's, and the run between them."""

    def __init__(self, db: psycopg.Connection[Any], playauto: PlayAuto) -> None:
        self.db, self.playauto = db, playauto

    def orders(self, count: int, *, instructed: bool = True, **seed: Any) -> None:
        """PlayAuto has so many orders, and so have we, each with a number of its own."""
        state = "출고대기" if instructed else "신규주문"
        self.playauto.seed(count, **{"states": {state: 1.0}, "bundled": 0.0, **seed})
        bundles = list(dict.fromkeys(str(one["bundle_no"]) for one in self.playauto.bundles()))
        with self.db.cursor() as cursor:
            cursor.execute(
                "INSERT INTO orders (order_no, bundle_no, carrier_code, tracking_number)"
                " SELECT 'O-' || n, b, '4', '6' || lpad(n::text, 11, '0')"
                " FROM unnest(%s::text[]) WITH ORDINALITY x(b, n)",
                (bundles,),
            )

    def account(self, **columns: Any) -> int:
        return account(self.db, **columns)

    def due_slot(self, scheduler: int) -> SlotId:
        """A slot of the account that a beat has queued just now."""
        at = self.value("SELECT date_trunc('milliseconds', ledger_now())")
        self.db.execute(
            "INSERT INTO slots (schedule_id, slot_at, kind, content_version, fence, not_before, start_by,"
            " finish_by)"
            " VALUES (%s, %s, 'tracking', 1, 1, %s, %s + interval '1 hour', %s + interval '1 hour')",
            (scheduler, at, at, at, at),
        )
        beat.dispatch(self.db, at, 10, 5.0, 1.0)
        return SlotId(scheduler, at)

    def start(self, **asked: Any) -> int:
        started = tracking.start(self.db, **asked)
        assert started.job is not None, started
        return started.job

    def job(self, number: int) -> queries.Job:
        found = queries.job(self.db, number)
        assert found is not None
        return found

    def until_over(self, number: int, timeout: float = 30.0) -> queries.Job:
        def over() -> queries.Job | None:
            found = self.job(number)
            return found if found.completed_at else None

        return eventually(over, timeout, message=lambda: f"{self.job(number)} {self.left(number)}")  # type: ignore[return-value]

    def left(self, number: int) -> list[Any]:
        return self.db.execute(
            "SELECT state, step, tries, misses, exposed, sends, error_code, error_message, count(*)"
            " FROM tracking_upload_details WHERE job_id = %s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8",
            (number,),
        ).fetchall()

    def value(self, statement: str, *arguments: Any) -> Any:
        row = self.db.execute(statement.encode(), arguments).fetchone()
        return None if row is None else row[0]

    def value_soon(self, statement: str, *arguments: Any, timeout: float = 15.0) -> Any:
        return eventually(lambda: self.value(statement, *arguments), timeout)

    def assert_each_once(self, count: int, *, sent: bool = True) -> None:
        """By PlayAuto's own receipts: every number stored once and passed on once, none overwritten."""
        summary = self.playauto.changes.summary()
        summary.pop("bundles")
        assert summary == {
            "stored": count, "stored_again": 0, "overwritten": 0,
            "sent": count if sent else 0, "sent_again": 0,
        }  # fmt: skip
