"""What the watch asks the ledger: who fails in a row, what ended badly, where nothing moves."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Failing:
    """An active schedule whose last `failures` ends were all failures."""

    schedule_id: int
    title: str
    room: str
    channel: str | None
    failures: int
    last_at: dt.datetime
    last_slot: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """A schedule that was put to `error` because it kept failing (ruling 18)."""

    schedule_id: int
    title: str
    room: str
    failures: int
    last_at: dt.datetime
    last_slot: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Slots that ended in one unhappy state since the last look; `ids` are the newest ten."""

    state: str
    slots: int
    ids: list[str]
    reasons: list[str]
    last_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the installation stands; spans in seconds, None: nothing of the kind."""

    at: dt.datetime
    ticked_s: float | None
    undispatched_s: float | None
    queued: int
    queued_s: float | None
    confirming: int
    confirming_s: float | None


@dataclass(frozen=True, slots=True)
class SilentChannel:
    """A channel to which nothing can be written while messages wait."""

    channel: str
    waiting: int
    since: dt.datetime
    slot: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A schedule that became `error` by itself: no rule can read it, or it was stopped."""

    schedule_id: int
    title: str
    reason: str | None
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Happened:
    """One row of `incidents`."""

    id: int
    at: dt.datetime
    kind: str
    schedule_id: int | None
    slot: str | None
    range_from: dt.datetime | None
    range_to: dt.datetime | None
    detail: dict[str, Any]


FAILED_STATES = ("failed", "expired")


def failing(db: Connection, since: dt.datetime, streak: int) -> list[Failing]:
    """Active schedules that failed since then and whose last `streak` ends were failures."""
    with db.cursor(row_factory=class_row(Failing)) as cursor:
        return cursor.execute(
            "SELECT * FROM failing_schedules(%s, %s, %s)", (since, streak, list(FAILED_STATES))
        ).fetchall()


def stop_failing(db: Connection, since: dt.datetime, after: int) -> list[Stopped]:
    """Put schedules that failed for good `after` times in a row to `error`; 0: never. Answers them."""
    with db.cursor(row_factory=class_row(Stopped)) as cursor:
        return cursor.execute("SELECT * FROM stop_failing(%s, %s)", (since, after)).fetchall()


def ended(db: Connection, since: dt.datetime, upto: dt.datetime) -> list[Ended]:
    """Messages that ended failed, expired, partial or unresolved in (since, upto]."""
    with db.cursor(row_factory=class_row(Ended)) as cursor:
        return cursor.execute("SELECT * FROM trouble_since(%s, %s)", (since, upto)).fetchall()


def uploads_expired(db: Connection, since: dt.datetime, upto: dt.datetime) -> list[Ended]:
    """Uploads whose run could not begin in time, in (since, upto]; at most one row."""
    with db.cursor(row_factory=class_row(Ended)) as cursor:
        return cursor.execute("SELECT * FROM uploads_expired(%s, %s)", (since, upto)).fetchall()


def uploads_waiting(db: Connection, late_s: float) -> tuple[int, float | None]:
    """Queued uploads that nobody takes: how many, and for how many seconds the oldest."""
    row = db.execute("SELECT * FROM uploads_waiting(%s)", (dt.timedelta(seconds=late_s),)).fetchone()
    return (int(row[0]), row[1]) if row else (0, None)


def progress(db: Connection, late_s: float) -> Progress:
    """How long ago a beat ticked, how long what is due lies undispatched, and queued but untaken."""
    with db.cursor(row_factory=class_row(Progress)) as cursor:
        found = cursor.execute("SELECT * FROM progress_now(%s)", (dt.timedelta(seconds=late_s),)).fetchone()
    assert found is not None
    return found


def silent_channels(db: Connection, late_s: float) -> list[SilentChannel]:
    """Channels for which messages have waited longer than `late_s` because not a byte would leave."""
    with db.cursor(row_factory=class_row(SilentChannel)) as cursor:
        return cursor.execute("SELECT * FROM silent_channels(%s)", (dt.timedelta(seconds=late_s),)).fetchall()


def broken(db: Connection, since: dt.datetime) -> list[Broken]:
    """Schedules that became `error` since then."""
    with db.cursor(row_factory=class_row(Broken)) as cursor:
        return cursor.execute(
            "SELECT id AS schedule_id, title, error_reason AS reason, updated_at AS at FROM kb_schedule"
            " WHERE status = 'error' AND deleted_at IS NULL AND updated_at > %s ORDER BY id LIMIT 100",
            (since,),
        ).fetchall()


def happened(db: Connection, since: dt.datetime, upto: dt.datetime) -> list[Happened]:
    """Incidents in (since, upto].

    A silence of all beats is left out if it was told while it stood, or was as short as a restart.
    """
    with db.cursor(row_factory=class_row(Happened)) as cursor:
        return cursor.execute(
            "SELECT i.id, i.at, i.kind, i.schedule_id, slot_public_id(i.schedule_id, i.slot_at) AS slot,"
            " i.range_from, i.range_to, i.detail FROM incidents i WHERE i.at > %s AND i.at <= %s"
            " AND NOT (i.kind = 'scheduler_down' AND EXISTS (SELECT 1 FROM notices n"
            " WHERE n.kind = 'beat.silent' AND n.last_at >= i.range_from))"
            " AND NOT (i.kind = 'scheduler_down' AND i.range_to - i.range_from < interval '1 minute')"
            " ORDER BY i.at LIMIT 200",
            (since, upto),
        ).fetchall()


def seen_to(db: Connection, name: str) -> dt.datetime:
    """How far the watch has read; the first look begins now, so that nothing old is told."""
    row = db.execute(
        "INSERT INTO notice_watch VALUES (%s, ledger_now())"
        " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING seen_to",
        (name,),
    ).fetchone()
    assert row is not None
    value: dt.datetime = row[0]
    return value


def begin_anew(db: Connection, name: str, moment: dt.datetime) -> None:
    """The database's clock went back: the watch has read into the future, and would see nothing."""
    db.execute("UPDATE notice_watch SET seen_to = %s WHERE name = %s", (moment, name))


def read_up_to(db: Connection, name: str, moment: dt.datetime) -> None:
    """The watch has read this far; it never goes back."""
    db.execute("UPDATE notice_watch SET seen_to = greatest(seen_to, %s) WHERE name = %s", (moment, name))


def my_turn(db: Connection) -> bool:
    """Whether this transaction may watch: one process at a time does."""
    row = db.execute("SELECT pg_try_advisory_xact_lock(hashtext('jeongsi.notice_watch'))").fetchone()
    return bool(row and row[0])
