"""Move the ledger's time in a test database: ``ledger_now()`` is replaced by one that reads a row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from runtime.clock import clock

SEOUL = dt.timezone(dt.timedelta(hours=9), "KST")

_INSTALL = """
CREATE TABLE IF NOT EXISTS test_clock (at timestamptz NOT NULL);
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT at FROM test_clock';
"""
_SHIFTED = """
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT clock_timestamp() + make_interval(secs => (SELECT seconds FROM test_shift))';
"""
_AS_EVER = """
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT clock_timestamp()';
"""


class LedgerTime:
    """The time of one test database. It stands still until it is moved, for all its connections alike.

    It starts on Tuesday of this week at 09:00 in Seoul, so that the weeks made at migration hold it.
    """

    def __init__(self, db: psycopg.Connection[Any], start: dt.datetime | None = None) -> None:
        self._db = db
        db.execute(_INSTALL)
        db.execute("DELETE FROM test_clock")
        db.execute("INSERT INTO test_clock VALUES (%s)", (start or this_tuesday(),))

    @property
    def now(self) -> dt.datetime:
        """The ledger's time."""
        row = self._db.execute("SELECT at FROM test_clock").fetchone()
        assert row is not None
        value: dt.datetime = row[0]
        return value

    def set(self, at: dt.datetime) -> dt.datetime:
        """Move to ``at``, also backwards."""
        self._db.execute("UPDATE test_clock SET at = %s", (at,))
        return at

    def advance(self, seconds: float) -> dt.datetime:
        """Move on by so many seconds; answers the new time."""
        return self.set(self.now + dt.timedelta(seconds=seconds))


@contextmanager
def shifting(db: psycopg.Connection[Any]) -> Iterator[Callable[[float], None]]:
    """The database's own clock goes on, and may be stepped by so many seconds; put right at the end."""
    db.execute("CREATE TABLE test_shift (seconds float8 NOT NULL)")
    db.execute("INSERT INTO test_shift VALUES (0)")
    db.execute(_SHIFTED)
    try:
        yield lambda seconds: _step(db, seconds)
    finally:
        db.execute(_AS_EVER)
        db.execute("DROP TABLE test_shift")


def _step(db: psycopg.Connection[Any], seconds: float) -> None:
    db.execute("UPDATE test_shift SET seconds = seconds + %s", (seconds,))


def this_tuesday(hour: int = 9) -> dt.datetime:
    """Tuesday of the current week in Seoul."""
    today = clock().now().astimezone(SEOUL)
    tuesday = today.date() - dt.timedelta(days=today.weekday()) + dt.timedelta(days=1)
    return dt.datetime.combine(tuesday, dt.time(hour), SEOUL)
