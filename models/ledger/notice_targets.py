"""Where notices go: targets that people added, and those that the settings name.

An address is a secret. It is sealed before it comes here, and never leaves but to who delivers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target as it may be shown: everything but its address."""

    id: int
    name: str
    service: str
    from_settings: bool
    organisation_id: int | None
    min_severity: str
    kinds: list[str] | None
    per_hour: int
    burst: int
    enabled: bool
    disabled_reason: str | None
    disabled_at: dt.datetime | None
    not_before: dt.datetime
    failures: int
    last_error: str | None
    last_sent_at: dt.datetime | None
    created_by: str
    created_at: dt.datetime
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTarget:
    """A target to keep. `address` None: the settings hold it, found again by `fingerprint`."""

    name: str
    service: str
    address: bytes | None
    fingerprint: str
    min_severity: str = "info"
    kinds: Sequence[str] | None = None
    per_hour: int = 20
    burst: int = 5
    organisation_id: int | None = None
    created_by: str = ""


_ROW = (
    "SELECT g.id, g.name::text, g.service, g.address IS NULL AS from_settings, g.organisation_id,"
    " g.min_severity, g.kinds, g.per_hour, g.burst, g.enabled, g.disabled_reason, g.disabled_at,"
    " g.not_before, g.failures, g.last_error, g.last_sent_at, g.created_by, g.created_at,"
    " (SELECT count(*) FROM notice_deliveries q WHERE q.target_id = g.id"
    " AND q.state IN ('pending', 'sending')) AS pending FROM notice_targets g"
)


def targets(db: Connection) -> list[TargetRow]:
    """All targets by name."""
    with db.cursor(row_factory=class_row(TargetRow)) as cursor:
        return cursor.execute(f"{_ROW} ORDER BY g.name".encode()).fetchall()


def find(db: Connection, name: str) -> TargetRow | None:
    """The target with this name, or None."""
    with db.cursor(row_factory=class_row(TargetRow)) as cursor:
        return cursor.execute(f"{_ROW} WHERE g.name = %s".encode(), (name,)).fetchone()


def address_of(db: Connection, target_id: int) -> tuple[bytes | None, str] | None:
    """A target's sealed address and its fingerprint."""
    row = db.execute("SELECT address, fingerprint FROM notice_targets WHERE id = %s", (target_id,)).fetchone()
    return None if row is None else (row[0], row[1])


def add(db: Connection, new: NewTarget) -> bool:
    """Keep a target; False if the name is taken."""
    done = db.execute(
        "INSERT INTO notice_targets (name, service, address, fingerprint, min_severity, kinds, per_hour,"
        " burst, tokens, organisation_id, created_by, kept_at)"
        " VALUES (%s, %s, %s, %s, %s, %s::text[], %s, %s, %s, %s, %s,"
        " CASE WHEN %s THEN ledger_now() END) ON CONFLICT (name) DO NOTHING",
        (
            new.name, new.service, new.address, new.fingerprint, new.min_severity,
            None if new.kinds is None else list(new.kinds), new.per_hour, new.burst, new.burst,
            new.organisation_id, new.created_by, new.address is None,
        ),
    )  # fmt: skip
    return done.rowcount == 1


def remove(db: Connection, name: str) -> bool:
    """Forget a target and what was to go there; False if there is none."""
    return db.execute("DELETE FROM notice_targets WHERE name = %s", (name,)).rowcount == 1


def switch(db: Connection, name: str, *, on: bool, reason: str) -> bool:
    """Switch a target on (its failures are forgotten) or off; False if there is none.

    What was not sent while it was off is not sent later.
    """
    done = db.execute(
        "UPDATE notice_targets SET enabled = %s, failures = CASE WHEN %s THEN 0 ELSE failures END,"
        " not_before = CASE WHEN %s THEN ledger_now() ELSE not_before END,"
        " disabled_reason = CASE WHEN %s THEN NULL ELSE %s END,"
        " disabled_at = CASE WHEN %s THEN NULL ELSE ledger_now() END WHERE name = %s",
        (on, on, on, on, reason, on, name),
    )
    if done.rowcount == 1 and not on:
        db.execute(
            "UPDATE notice_deliveries q SET state = 'failed', error = 'target_off' FROM notice_targets g"
            " WHERE g.name = %s AND q.target_id = g.id AND q.state = 'pending'",
            (name,),
        )
    return done.rowcount == 1


def of_settings(db: Connection, named: Sequence[NewTarget]) -> None:
    """Keep what these settings name, and forget what no process has named for ten minutes.

    Not at once: while a new setting is rolled out, some processes do not know it yet.
    """
    marks = [one.fingerprint for one in named]
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('jeongsi.notice_targets'))")
        db.execute(
            "UPDATE notice_targets SET kept_at = ledger_now() WHERE address IS NULL"
            " AND fingerprint = ANY(%s::text[]) AND kept_at < ledger_now() - interval '1 minute'",
            (marks,),
        )
        db.execute(
            "DELETE FROM notice_targets WHERE address IS NULL AND NOT fingerprint = ANY(%s::text[])"
            " AND kept_at < ledger_now() - interval '10 minutes'",
            (marks,),
        )
        held = {row[0] for row in db.execute("SELECT fingerprint FROM notice_targets WHERE address IS NULL")}
        for one in named:
            if one.fingerprint not in held:
                add(db, one)
