"""What a beat says to the ledger: plan, expire, coalesce, reap, dispatch, republish, refresh.

Any number of beats may say it at once. Each call is one short transaction on an autocommit
connection; ``planning`` is the exception, a transaction of the caller's that holds clock rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row

from runtime.ids import SlotId

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class ClockRow:
    """One schedule's clock: its newest rules (JSON text) and limits, and how far it is planned."""

    schedule_id: int
    kind: str
    rules: str
    tz: str
    version: int
    version_from: dt.datetime
    planned_to: dt.datetime | None
    replan_from: dt.datetime | None
    due_at: dt.datetime
    enabled: bool
    valid_from: dt.datetime
    valid_until: dt.datetime
    grace_s: int
    validity_s: int | None
    misfire: str
    priority: int
    room_ref: int | None


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a schedule as the history names it; in force after ``since``, up to and at the next.

    ``off``: why a version that is not enabled sends nothing: paused, deleted or schedule_error.
    """

    schedule_id: int
    version: int
    since: dt.datetime
    off: str
    rules: str
    tz: str
    enabled: bool
    valid_from: dt.datetime
    valid_until: dt.datetime
    grace_s: int
    validity_s: int | None
    misfire: str
    priority: int
    room_ref: int | None


class Promise(NamedTuple):  # a tuple: a burst makes 10,000 of them, each three times cheaper than a dataclass
    """One slot to lay down. ``expired``: its time passed while no beat was alive.

    ``cancelled``: an edit after its time called it off before it was laid down; the reason.
    """

    slot: SlotId
    version: int
    start_by: dt.datetime
    finish_by: dt.datetime
    superseded: bool
    expired: bool
    room_ref: int | None
    priority: int
    keep_latest: bool
    kind: str
    cancelled: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A slot that was moved to ``queued``: the workers of its ``queue`` should be told."""

    sid: int
    sat: dt.datetime
    queue: str
    not_before: dt.datetime
    priority: int
    channel: str | None
    device: str | None

    @property
    def slot(self) -> SlotId:
        """The slot's identity."""
        return SlotId(self.sid, self.sat)


def now(db: Connection) -> dt.datetime:
    """The ledger's clock, the one that decides."""
    row = db.execute("SELECT ledger_now()").fetchone()
    assert row is not None
    value: dt.datetime = row[0]
    return value


def take_clocks(
    db: Connection,
    until: dt.datetime,
    limit: int,
    without: Sequence[int] = (),
    only: Sequence[int] | None = None,
) -> list[ClockRow]:
    """Lock and return the clocks due before ``until``; must run inside the caller's transaction.

    Clocks that somebody else holds are passed over, and all of them while the database is held. A window
    open to infinity, or beyond what Python can hold, is clamped: no raw SQL may make a row unreadable for us.
    """
    with db.cursor(row_factory=class_row(ClockRow)) as cursor:
        return cursor.execute(
            "SELECT schedule_id, kind, rules::text AS rules, tz, version, version_from, planned_to,"
            " replan_from, due_at, enabled, greatest(valid_from, '1970-01-01 00:00+00') AS valid_from,"
            " greatest(least(valid_until, '9000-01-01 00:00+00'), '1970-01-01 00:00+00') AS valid_until,"
            " grace_s, validity_s, misfire, priority, room_ref FROM schedule_clock"
            " WHERE due_at <= %s AND NOT ledger_held() AND NOT schedule_id = ANY(%s::bigint[])"
            " AND (%s::bigint[] IS NULL OR schedule_id = ANY(%s::bigint[]))"
            " ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED",
            (until, list(without), only, only, limit),
        ).fetchall()


def versions(db: Connection, schedule_ids: Sequence[int]) -> list[Version]:
    """Every version of these schedules, oldest first. Only asked when a walk starts before the newest one."""
    with db.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(
            "SELECT h.schedule_id, h.version, h.valid_from AS since,"
            " CASE WHEN h.op = 'delete' THEN 'deleted'"
            "      WHEN h.row ->> 'status' = 'error' THEN 'schedule_error'"
            "      ELSE 'paused' END AS off, c.rules::text AS rules, c.tz, c.enabled,"
            " greatest(c.valid_from, '1970-01-01 00:00+00') AS valid_from,"
            " greatest(least(c.valid_until, '9000-01-01 00:00+00'), '1970-01-01 00:00+00') AS valid_until,"
            " c.grace_s, c.validity_s, c.misfire, c.priority, c.room_ref"
            " FROM kb_schedule_history h, jsonb_to_record(h.clock) c(rules jsonb, tz text, enabled boolean,"
            " valid_from timestamptz, valid_until timestamptz, grace_s int, validity_s int, misfire text,"
            " priority smallint, room_ref bigint)"
            " WHERE h.schedule_id = ANY(%s::bigint[]) ORDER BY h.schedule_id, h.version",
            (list(schedule_ids),),
        ).fetchall()


def lay_down(db: Connection, promises: Sequence[Promise]) -> int:
    """Insert promised slots; one that stands already is left alone. Answers how many are new."""
    if not promises:
        return 0
    row = db.execute(
        "SELECT plan_slots(%s::bigint[], %s::timestamptz[], %s::int[], %s::timestamptz[], %s::timestamptz[],"
        " %s::boolean[], %s::boolean[], %s::bigint[], %s::smallint[], %s::boolean[], %s::text[], %s::text[])",
        (
            [p.slot.schedule_id for p in promises],
            [p.slot.slot_at for p in promises],
            [p.version for p in promises],
            [p.start_by for p in promises],
            [p.finish_by for p in promises],
            [p.superseded for p in promises],
            [p.expired for p in promises],
            [p.room_ref for p in promises],
            [p.priority for p in promises],
            [p.keep_latest for p in promises],
            [p.kind for p in promises],
            [p.cancelled for p in promises],
        ),
    ).fetchone()
    return int(row[0]) if row else 0


def yield_to_next(db: Connection, nexts: Sequence[tuple[int, dt.datetime]], min_s: float) -> int:
    """Shorten what stands, unstarted, before a schedule's next slot to ``min_s`` before it; answers how many.

    Never below ``min_s`` after the slot's own time, nor below now. In the next slots' transaction.
    """
    if not nexts:
        return 0
    return _count(
        db,
        "SELECT yield_to_next(%s::bigint[], %s::timestamptz[], %s)",
        ([n[0] for n in nexts], [n[1] for n in nexts], dt.timedelta(seconds=min_s)),
    )


def move_cursors(db: Connection, cursors: Sequence[tuple[int, dt.datetime | None]]) -> None:
    """Set ``planned_to`` (None: no further instant), forget ``replan_from``; in the slots' transaction."""
    db.execute(
        "WITH c AS (SELECT * FROM unnest(%s::bigint[], %s::timestamptz[]) c(id, planned_to)),"
        " u AS (UPDATE schedule_clock s SET planned_to = c.planned_to, replan_from = NULL FROM c"
        " WHERE s.schedule_id = c.id RETURNING s.schedule_id)"
        " INSERT INTO schedule_dirty (schedule_id) SELECT schedule_id FROM u",
        ([c[0] for c in cursors], [c[1] for c in cursors]),
    )


def record_gap(db: Connection, schedule_id: int, start: dt.datetime, end: dt.datetime, why: str) -> None:
    """One incident row that stands for promised instants too many or too old for rows of their own."""
    db.execute(
        "INSERT INTO incidents (at, kind, schedule_id, range_from, range_to, detail)"
        " VALUES (ledger_now(), 'slots_not_laid_down', %s, %s, %s, jsonb_build_object('why', %s::text))",
        (schedule_id, start, end, why),
    )


def record_jump(db: Connection, jump_s: float) -> None:
    """One incident row: the database's clock stepped."""
    db.execute(
        "INSERT INTO incidents (at, kind, detail)"
        " VALUES (ledger_now(), 'clock_jumped', jsonb_build_object('jump_s', %s::float8))",
        (jump_s,),
    )


def mark_unreadable(
    db: Connection, schedule_id: int, version: int, why: str, *, had_none: bool = False
) -> bool:
    """A schedule that no rule can read becomes `error` with the reason, unless it was edited meanwhile.

    An upload's is switched off with the reason.

    ``had_none``: only if it never had a slot. A transaction of its own, after planning, because the
    trigger takes the clock's row once kb_schedule's is locked.
    """
    done = db.execute(
        "UPDATE kb_schedule SET status = 'error', error_reason = %s"
        " WHERE id = %s AND version = %s AND status = 'active' AND (NOT %s OR (send_count = 0"
        " AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.schedule_id = kb_schedule.id)))",
        (why, schedule_id, version, had_none),
    )
    if done.rowcount == 0:
        done = db.execute(
            "UPDATE tracking_upload_scheduler SET enabled = false, error_reason = %s"
            " WHERE id = %s AND version = %s AND enabled",
            (why, schedule_id, version),
        )
    return done.rowcount > 0


def expire(db: Connection, limit: int) -> int:
    """Close what may no longer start or go on; answers how many."""
    return _count(db, "SELECT expire_due(%s)", (limit,))


def coalesce(db: Connection, ahead_s: float, limit: int) -> int:
    """Skip what a newer due slot of the same schedule replaces (misfire = latest); answers how many."""
    return _count(db, "SELECT coalesce_due(%s, %s)", (dt.timedelta(seconds=ahead_s), limit))


def reap(db: Connection, limit: int) -> list[tuple[SlotId, str, str | None]]:
    """Take expired leases; answers slot, new state and why, for each."""
    rows = db.execute("SELECT * FROM reap(%s)", (limit,)).fetchall()
    return [(SlotId(sid, sat), state, reason) for sid, sat, state, reason in rows]


def tell_again(db: Connection, slots: Sequence[SlotId], again_s: float) -> list[Due]:
    """Of these, the slots that are queued: the caller publishes them now, whatever lies in the queue."""
    if not slots:
        return []
    sids, sats = [slot.schedule_id for slot in slots], [slot.slot_at for slot in slots]
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(
            "SELECT * FROM tell_again(%s::bigint[], %s::timestamptz[], %s)",
            (sids, sats, dt.timedelta(seconds=again_s)),
        ).fetchall()


def dispatch(
    db: Connection, until: dt.datetime, limit: int, again_s: float, again_prepared_s: float
) -> list[Due]:
    """Move slots due before ``until`` to queued. After the return the caller publishes, never before."""
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(
            "SELECT * FROM dispatch(%s, %s, %s, %s)",
            (until, limit, dt.timedelta(seconds=again_s), dt.timedelta(seconds=again_prepared_s)),
        ).fetchall()


def republish(db: Connection, queue: str, limit: int, again_s: float, publish: bool) -> list[Due]:
    """Slots of a queue whose hint looks lost; with ``publish`` False they are only looked at again later."""
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(
            "SELECT * FROM republish(%s, %s, %s, %s)", (queue, limit, dt.timedelta(seconds=again_s), publish)
        ).fetchall()


@dataclass(frozen=True, slots=True)
class Agenda:
    """What there is to do for a beat, and when; None: nothing of the kind. ``at``: the ledger's time."""

    at: dt.datetime
    dispatch_at: dt.datetime | None
    expire_at: dt.datetime | None
    lease_until: dt.datetime | None
    send_again_at: dt.datetime | None
    confirm_again_at: dt.datetime | None
    tracking_again_at: dt.datetime | None
    plan_at: dt.datetime | None
    dirty: bool


def agenda(db: Connection) -> Agenda:
    """Everything a beat needs to know before a tick, in one round trip of index probes."""
    with db.cursor(row_factory=class_row(Agenda)) as cursor:
        found = cursor.execute("SELECT * FROM beat_agenda()").fetchone()
    assert found is not None
    return found


def told(db: Connection, schedule_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Title and room (of an upload: account) of schedules, for people who watch the queue."""
    rows = db.execute(
        "SELECT k.id, k.title, coalesce(r.name, k.target_room_id) FROM kb_schedule k"
        " LEFT JOIN rooms r ON r.room_id = k.target_room_id WHERE k.id = ANY(%(ids)s::bigint[])"
        " UNION ALL SELECT t.id, '송장 업로드', t.account FROM tracking_upload_scheduler t"
        " WHERE t.id = ANY(%(ids)s::bigint[])",
        {"ids": list(schedule_ids)},
    ).fetchall()
    return {number: (title, room) for number, title, room in rows}


def refresh(db: Connection, limit: int) -> int:
    """Bring last_sent_at, send_count, next_send_at and `completed` up to date; answers how many schedules."""
    return _count(db, "SELECT refresh_schedules(%s)", (limit,))


def tick_done(db: Connection, node: str, started_at: dt.datetime, silence_s: float) -> dt.datetime:
    """Note a completed tick; a silence of all beats before it becomes one incident. Answers ledger_now()."""
    row = db.execute(
        "SELECT beat_tick(%s, %s, %s)", (node, started_at, dt.timedelta(seconds=silence_s))
    ).fetchone()
    assert row is not None
    value: dt.datetime = row[0]
    return value


def ensure_partitions(db: Connection, retention_days: int) -> int:
    """Make the weeks that are missing; answers how many tables were made."""
    return _count(db, "SELECT ensure_partitions(%s)", (dt.timedelta(days=retention_days),))


def refresh_statistics(db: Connection) -> list[str]:
    """Let the planner look anew at tables that have grown fourfold since it last did; answers which."""
    row = db.execute("SELECT refresh_statistics()").fetchone()
    return list(row[0]) if row else []


def drop_old_partitions(db: Connection, ledger_days: int, log_days: int) -> list[str]:
    """Drop whole weeks past retention; answers the tables dropped."""
    row = db.execute(
        "SELECT drop_old_partitions(%s, %s)", (dt.timedelta(days=ledger_days), dt.timedelta(days=log_days))
    ).fetchone()
    return list(row[0]) if row else []


def prune(db: Connection, retention_days: int) -> int:
    """Delete quota counts and incidents past retention, and orphans; answers how many rows, 20,000 a kind."""
    return _count(db, "SELECT prune(%s)", (dt.timedelta(days=retention_days),))


def _count(db: Connection, statement: str, arguments: tuple[object, ...]) -> int:
    row = db.execute(statement.encode(), arguments).fetchone()
    return int(row[0]) if row else 0
