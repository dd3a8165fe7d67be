"""Orders and accounts for tests, by raw SQL, as the customer's own programs write them."""

from __future__ import annotations

from typing import Any

import psycopg


def account(db: psycopg.Connection[Any], name: str = "default", **columns: Any) -> int:
    """A row of `tracking_upload_scheduler`; answers its id."""
    return _insert(db, "tracking_upload_scheduler", {"account": name, **columns})


def order(db: psycopg.Connection[Any], order_no: str, **columns: Any) -> int:
    """An order that waits for its upload, unless told otherwise; answers its id."""
    ready = {"order_no": order_no, "carrier_code": "4", "tracking_number": "123456789012"}
    return _insert(db, "orders", ready | columns)


def job(db: psycopg.Connection[Any], scheduler: int, **columns: Any) -> int:
    """A run; answers its id."""
    return _insert(
        db,
        "tracking_upload_jobs",
        {"scheduler_id": scheduler, "job_type": "manual", "status": "running"} | columns,
    )


def _insert(db: psycopg.Connection[Any], table: str, row: dict[str, Any]) -> int:
    marks = ", ".join(["%s"] * len(row))
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) RETURNING id"
    found = db.execute(statement.encode(), list(row.values())).fetchone()
    assert found is not None
    return int(found[0])
