"""Counts, percentiles, ticks and incidents."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from models.states import SlotState

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a span in milliseconds is spread; all None when nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None

    def as_json(self) -> dict[str, float | None]:
        """The four numbers, rounded to a tenth of a millisecond."""
        return {name: None if value is None else round(value, 1) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Tick:
    """One beat process and its last completed tick."""

    node: str
    started_at: dt.datetime
    last_tick_at: dt.datetime
    planned_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that the ledger noted: a silence of all beats, contradicting evidence, a gap of promises."""

    id: int
    at: dt.datetime
    kind: str
    schedule_id: int | None
    slot_at: dt.datetime | None
    range_from: dt.datetime | None
    range_to: dt.datetime | None
    detail: dict[str, Any]


def state_counts(
    db: Connection,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    *,
    kind: str | None = None,
) -> dict[SlotState, int]:
    """How many slots with a time in [since, until) stand in each state; every state is named.

    ``kind``: only `message` or `tracking`, else both.
    """
    found = dict(
        db.execute(
            "SELECT state, count(*) FROM slots WHERE slot_at >= coalesce(%s, '-infinity'::timestamptz)"
            " AND slot_at < coalesce(%s, 'infinity'::timestamptz)"
            " AND (%s::text IS NULL OR kind = %s) GROUP BY state",
            (since, until, kind, kind),
        ).fetchall()
    )
    return {state: int(found.get(state.value, 0)) for state in SlotState}


def lateness(db: Connection, since: dt.datetime | None = None) -> Spread:
    """First byte − the instant from which a message could go out: its time, or a free room and device."""
    return _spread(db, "started_at - free_from", since)


def waited(db: Connection, since: dt.datetime | None = None) -> Spread:
    """How long busy rooms and devices held slots."""
    return _spread(db, "free_from - slot_at", since)


def ticks(db: Connection) -> list[Tick]:
    """Every beat that ticked within the last day, the latest first."""
    with db.cursor(row_factory=class_row(Tick)) as cursor:
        return cursor.execute(
            "SELECT node, started_at, last_tick_at, planned_at FROM beat_pulse ORDER BY last_tick_at DESC"
        ).fetchall()


def last_tick(db: Connection) -> dt.datetime | None:
    """When a beat last completed a tick; None: never."""
    row = db.execute("SELECT max(last_tick_at) FROM beat_pulse").fetchone()
    return row[0] if row else None


def incidents(
    db: Connection, since: dt.datetime | None = None, kind: str | None = None, limit: int = 100
) -> list[Incident]:
    """Incidents noted at or after ``since``, newest first."""
    with db.cursor(row_factory=class_row(Incident)) as cursor:
        return cursor.execute(
            "SELECT id, at, kind, schedule_id, slot_at, range_from, range_to, detail FROM incidents"
            " WHERE at >= coalesce(%s, '-infinity'::timestamptz) AND (%s::text IS NULL OR kind = %s)"
            " ORDER BY at DESC, id DESC LIMIT %s",
            (since, kind, kind, limit),
        ).fetchall()


def _spread(db: Connection, span: str, since: dt.datetime | None) -> Spread:
    row = db.execute(
        f"SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms), max(ms)"  # noqa: S608
        f" FROM (SELECT (extract(epoch FROM {span}) * 1000)::float8 AS ms FROM slots"
        " WHERE started_at IS NOT NULL AND free_from IS NOT NULL AND kind = 'message'"
        " AND slot_at >= coalesce(%s, '-infinity'::timestamptz)) x".encode(),
        (since,),
    ).fetchone()
    if row is None or row[0] is None:
        return Spread(None, None, None, None)
    p50, p95, p99 = row[0]
    return Spread(p50, p95, p99, row[1])
