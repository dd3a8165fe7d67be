"""One audit: a snapshot of the ledger, the oracle and the receipts beside it, one statement per rule.

Each rule is a file in `sql/`, named by its invariant; it answers one row per violation. Everything runs
in one REPEATABLE READ transaction that is rolled back, so that a live ledger is judged as it stood at
one moment and nothing stays behind. 100,000 slots take a few seconds.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from models import queries
from models.states import BIRTH, SlotState
from ops.audit.promises import load_promises
from ops.audit.receipts import Receipt, figures, load_receipts, read_receipts
from ops.audit.report import Report, Violation
from runtime.clock import clock
from runtime.ids import SlotId
from runtime.settings import Settings, get_settings

Connection = psycopg.Connection[Any]

#: How far two readings of time may be apart. Ledger and receipts are one host's clock in a local run; what
#: is left is rounding to milliseconds. With a provider on another host, pass its clock's error too.
TOLERANCE_S = 0.002
#: A provider that honours keys may be asked again this soon, once.
QUICK_S = 1.0
#: Violations of one rule that are told one by one; the rest is told as a number.
TOLD = 50

_SESSION = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL statement_timeout = '10min';
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL timezone = 'Asia/Seoul';
SET LOCAL work_mem = '64MB';
SET LOCAL jit = off
"""
_HELPERS = """
CREATE FUNCTION pg_temp.clock_text(timestamptz) RETURNS text STABLE LANGUAGE sql
  AS $$ SELECT to_char($1, 'YYYY-MM-DD HH24:MI:SS.MS') $$;
CREATE FUNCTION pg_temp.ms(interval) RETURNS bigint STABLE LANGUAGE sql
  AS $$ SELECT round(extract(epoch FROM $1) * 1000) $$;
"""


def audit(
    db: Connection,
    *,
    receipts: Path | None = None,
    since: dt.datetime | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> Report:
    """Judge the ledger, from slot time ``since`` on, by every invariant that it and its history can show.

    With ``receipts`` (a file as the emulator writes it) also by those that need the provider's log. The
    settings of this process (settle, ladder, deadline) must be those of the run. Rooms are judged by the
    limits they have now. ``db`` must be autocommit and idle. Raises ReceiptsUnreadable, OSError.
    """
    began = clock().monotonic()
    read_at = _value(db, "SELECT ledger_now()")
    seen = None if receipts is None else read_receipts(receipts, since)
    with db.transaction(force_rollback=True):
        for statement in (_SESSION + ";" + _HELPERS + _weights()).split(";\n"):
            if statement.strip():
                db.execute(statement.encode())
        report = _judge(db, get_settings(), seen, since, read_at, tolerance_s)
    return _timed(report, clock().monotonic() - began)


def _judge(
    db: Connection,
    settings: Settings,
    seen: list[Receipt] | None,
    since: dt.datetime | None,
    read_at: dt.datetime,
    tolerance_s: float,
) -> Report:
    tick = queries.last_tick(db)
    kept_from = (tick or read_at) - dt.timedelta(days=settings.ledger_days)
    oracle_from = kept_from if since is None else max(since, kept_from)
    promised, oracle = load_promises(db, oracle_from, tick)
    arguments = {
        "since": since or "-infinity", "tick": tick, "oracle_from": oracle_from, "read_at": read_at,
        "logged_from": read_at - dt.timedelta(days=settings.log_days - 1),
        "deadline_s": settings.http_deadline_s, "settle_s": settings.settle_s,
        "max_tries": settings.max_tries, "delays": list(settings.retry_delays_s), "quick_s": QUICK_S,
        "tolerance_s": tolerance_s,
    }  # fmt: skip
    violations = _violations(db, "ledger", arguments)
    known = None
    if seen is not None:
        load_receipts(db, seen)
        violations += _violations(db, "receipts", arguments)
        known = figures(db)
    return Report(
        queries.state_counts(db, since),
        sorted(violations, key=lambda v: int(v.invariant[1:])),
        queries.lateness(db, since),
        queries.waited(db, since),
        promised,
        oracle,
        tick,
        known,
    )


def _violations(db: Connection, folder: str, arguments: dict[str, Any]) -> list[Violation]:
    found: list[Violation] = []
    for invariant, rule in rules(folder):
        statement = f"SELECT v.*, count(*) OVER () FROM ({rule}) v ORDER BY sat, sid LIMIT {TOLD}"  # noqa: S608
        rows = db.execute(statement.encode(), arguments).fetchall()
        found += [Violation(invariant, _sentence(sid, sat, detail)) for sid, sat, detail, _ in rows]
        if rows and rows[0][3] > TOLD:
            found.append(Violation(invariant, f"and {rows[0][3] - TOLD} more of the same kind"))
    return found


@cache
def rules(folder: str) -> tuple[tuple[str, str], ...]:
    """The rules of ``sql/<folder>``: invariant and statement."""
    files = sorted((Path(__file__).parent / "sql" / folder).glob("i*.sql"))
    return tuple((f"I{int(file.name[1:3])}", file.read_text(encoding="utf-8")) for file in files)


def _weights() -> str:
    """A function that weighs states, 7 bits apart; those in which a slot may be born weigh nothing."""
    born = {*BIRTH, SlotState.CANCELLED}
    moved_to = [state for state in SlotState if state not in born]
    cases = " ".join(f"WHEN '{state}' THEN 1::bigint << {7 * n}" for n, state in enumerate(moved_to))
    return (
        "CREATE FUNCTION pg_temp.weight(text) RETURNS bigint IMMUTABLE LANGUAGE sql"
        f" AS $$ SELECT CASE $1 {cases} ELSE 0 END $$"
    )


def _sentence(schedule_id: int, at: dt.datetime, detail: str) -> str:
    if not schedule_id:
        return detail
    return f"slot {SlotId(schedule_id, at)}: {detail}"


def _timed(report: Report, took_s: float) -> Report:
    return replace(report, took_s=round(took_s, 3))


def _value(db: Connection, statement: str) -> dt.datetime:
    row = db.execute(statement.encode()).fetchone()
    assert row is not None
    value: dt.datetime = row[0]
    return value
