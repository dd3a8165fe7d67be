"""What people ask about uploads: runs, their orders and errors, conflicts, and why nothing was uploaded.

For the command line and the REST calls (C57-C61, C69-C72, C76, C91, C92): typed rows, newest first.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from models.queries.orders import pending_count as _pending_count
from runtime.ids import SlotId

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One run. ``status`` is the customer's word (pending, running, completed, failed).

    reason      done, some_failed, all_failed, nothing_pending, cancelled, login_refused; None while it runs
    unresolved  of ``failed``: a person has to look (conflicts, sendings that nobody confirmed)
    eta_s       seconds left at the pace until now; None before the first order ended and after the run
    """

    id: int
    account: str
    job_type: str
    status: str
    reason: str | None
    total: int
    success: int
    failed: int
    skipped: int
    percent: float
    error_message: str | None
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    created_at: dt.datetime
    slot_id: str | None
    requested_by: str
    dry_run: bool
    cancel_requested: bool
    cancelled_by: str | None
    redrive_of: int | None
    filled: bool
    duration_s: float | None
    rate: float | None
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Detail:
    """One order of one run. ``state``: pending, leased, succeeded, failed, unresolved, skipped."""

    id: int
    job_id: int
    order_id: int | None
    order_no: str | None
    bundle_no: str | None
    carrier_code: str | None
    tracking_number: str | None
    status: str | None
    state: str
    step: str
    retry_attempt: int
    error_code: str | None
    error_message: str | None
    uploaded_at: dt.datetime | None
    ended_at: dt.datetime | None
    not_before: dt.datetime
    sends: int
    evidence: dict[str, Any] | None
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """How many orders of a run ended by one reason, and some of them."""

    error_code: str
    state: str
    orders: int
    message: str | None
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Conflict:
    """An order for which PlayAuto has another number than ours: a person decides."""

    detail_id: int
    job_id: int
    account: str
    order_no: str | None
    bundle_no: str | None
    our_carrier: str | None
    our_number: str | None
    their_carrier: str | None
    their_number: str | None
    found_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """One PlayAuto account and its newest run. ``own_login``: it has credentials of its own."""

    id: int
    account: str
    enabled: bool
    schedule_time: str
    tz: str
    weekdays: str | None
    retry_count: int
    batch_size: int
    own_login: bool
    notify_discord: bool
    notify_slack: bool
    last_run_at: dt.datetime | None
    next_run_at: dt.datetime | None
    error_reason: str | None
    active_job: int | None
    last_job: int | None
    last_status: str | None
    last_reason: str | None


@dataclass(frozen=True, slots=True)
class Why:
    """Why an account does, or does not, upload now.

    ``hindrances``: in words that stay, worst first: no_account, held, disabled, nothing_pending, active_run,
    slot_waits, last_run_failed. Empty: nothing stands in the way.
    """

    account: Account | None
    hindrances: list[str]
    pending: int
    active: Job | None
    last: Job | None
    slot: SlotId | None
    slot_state: str | None
    slot_reason: str | None
    held_chunks: int
    top_error: ErrorGroup | None


_JOB: Final = """
SELECT j.id, s.account, j.job_type, j.status, j.reason, j.total_count AS total, j.success_count AS success,
       j.failed_count AS failed, j.skipped_count AS skipped, j.progress_percent::float8 AS percent,
       j.error_message, j.started_at, j.completed_at, j.created_at, j.slot_id, j.requested_by, j.dry_run,
       j.cancel_requested, j.cancelled_by, j.redrive_of, j.filled, p.lasted AS duration_s,
       CASE WHEN p.ended > 0 AND p.lasted > 0 THEN p.ended / p.lasted END AS rate,
       CASE WHEN j.completed_at IS NULL AND p.ended > 0 AND p.lasted > 0
            THEN (j.total_count - p.ended) * p.lasted / p.ended END AS eta_s
  FROM tracking_upload_jobs j JOIN tracking_upload_scheduler s ON s.id = j.scheduler_id
  CROSS JOIN LATERAL (SELECT (j.success_count + j.failed_count + j.skipped_count)::float8 AS ended,
    extract(epoch FROM coalesce(j.completed_at, ledger_now()) - j.started_at)::float8 AS lasted) p"""
_DETAIL: Final = """
SELECT d.id, d.job_id, d.order_id, d.order_no, d.bundle_no, d.carrier_code, d.tracking_number, d.status,
       d.state, d.step, d.retry_attempt, d.error_code, d.error_message, d.uploaded_at, d.ended_at,
       d.not_before, d.sends, d.evidence, d.created_at
  FROM tracking_upload_details d"""
_ERRORS: Final = """
SELECT d.error_code, d.state, count(*) AS orders, max(d.error_message) AS message,
       (array_agg(d.order_no ORDER BY d.id))[1:5] AS examples
  FROM tracking_upload_details d
 WHERE d.job_id = %s AND d.error_code IS NOT NULL AND d.state <> 'succeeded'
 GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2"""
_CONFLICTS: Final = """
SELECT d.id AS detail_id, d.job_id, s.account, d.order_no, d.bundle_no, d.carrier_code AS our_carrier,
       d.tracking_number AS our_number, d.evidence #>> '{theirs,carrier}' AS their_carrier,
       d.evidence #>> '{theirs,number}' AS their_number, d.ended_at AS found_at
  FROM tracking_upload_details d JOIN tracking_upload_jobs j ON j.id = d.job_id
  JOIN tracking_upload_scheduler s ON s.id = j.scheduler_id
 WHERE d.error_code = 'conflict' AND d.state = 'unresolved'
   AND (%(job)s::bigint IS NULL OR d.job_id = %(job)s)
   AND (%(account)s::text IS NULL OR s.account = %(account)s) AND d.id > %(after)s
   AND NOT EXISTS (SELECT 1 FROM tracking_upload_details n JOIN tracking_upload_jobs m ON m.id = n.job_id
                    WHERE n.order_id = d.order_id AND n.id > d.id AND NOT m.dry_run)
   AND EXISTS (SELECT 1 FROM orders o WHERE o.id = d.order_id AND order_pending(o))
 ORDER BY d.id LIMIT %(limit)s"""
_ACCOUNT: Final = """
SELECT s.id, s.account, s.enabled, s.schedule_time, s.tz, s.weekdays, s.retry_count, s.batch_size,
       s.credentials IS NOT NULL AS own_login, s.notify_discord, s.notify_slack, s.last_run_at, s.next_run_at,
       s.error_reason, a.id AS active_job, l.id AS last_job, l.status AS last_status, l.reason AS last_reason
  FROM tracking_upload_scheduler s
  LEFT JOIN tracking_upload_jobs a
    ON a.scheduler_id = s.id AND a.status IN ('pending', 'running') AND NOT a.dry_run
  LEFT JOIN LATERAL (SELECT j.id, j.status, j.reason FROM tracking_upload_jobs j
     WHERE j.scheduler_id = s.id AND NOT j.dry_run ORDER BY j.id DESC LIMIT 1) l ON true
 WHERE s.deleted_at IS NULL"""


def recent_jobs(db: Connection, account: str | None = None, *, limit: int = 10) -> list[Job]:
    """The newest runs (C57, C69), of one account or of all."""
    with db.cursor(row_factory=class_row(Job)) as cursor:
        return cursor.execute(
            f"{_JOB} WHERE %s::text IS NULL OR s.account = %s ORDER BY j.id DESC LIMIT %s".encode(),
            (account, account, limit),
        ).fetchall()


def job(db: Connection, job_id: int) -> Job | None:
    """One run (C58, C76), exact."""
    with db.cursor(row_factory=class_row(Job)) as cursor:
        return cursor.execute(f"{_JOB} WHERE j.id = %s".encode(), (job_id,)).fetchone()


def job_of_slot(db: Connection, slot: SlotId) -> Job | None:
    """The run that a slot began, if it did."""
    with db.cursor(row_factory=class_row(Job)) as cursor:
        return cursor.execute(f"{_JOB} WHERE j.slot_id = %s".encode(), (str(slot),)).fetchone()


def details(
    db: Connection,
    job_id: int,
    *,
    state: str | None = None,
    error_code: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[Detail]:
    """A run's orders by id from ``after`` on (C59), of one state or error only."""
    with db.cursor(row_factory=class_row(Detail)) as cursor:
        return cursor.execute(
            f"{_DETAIL} WHERE d.job_id = %(job)s AND d.id > %(after)s"
            " AND (%(state)s::text IS NULL OR d.state = %(state)s)"
            " AND (%(code)s::text IS NULL OR d.error_code = %(code)s) ORDER BY d.id LIMIT %(limit)s".encode(),
            {"job": job_id, "after": after, "state": state, "code": error_code, "limit": limit},
        ).fetchall()


def errors(db: Connection, job_id: int) -> list[ErrorGroup]:
    """What went wrong in a run, grouped by error, most first; of a dry run also what would be uploaded."""
    with db.cursor(row_factory=class_row(ErrorGroup)) as cursor:
        return cursor.execute(_ERRORS, (job_id,)).fetchall()


def conflicts(
    db: Connection, account: str | None = None, *, job_id: int | None = None, after: int = 0, limit: int = 100
) -> list[Conflict]:
    """Orders whose number differs from PlayAuto's, both values; those that nobody has decided yet."""
    with db.cursor(row_factory=class_row(Conflict)) as cursor:
        return cursor.execute(
            _CONFLICTS, {"account": account, "job": job_id, "after": after, "limit": limit}
        ).fetchall()


def pending_count(db: Connection, account: str | None = None) -> int:
    """How many orders wait (C60, C61)."""
    return _pending_count(db, account)


def why(db: Connection, account: str = "default") -> Why:
    """Why an account uploads or does not (C91): enabled, pending, who holds it, its last error, its slot.

    The login's token and the workers are known by Redis, not here; `jeongsi tracking why` adds them.
    """
    with db.cursor(row_factory=class_row(Account)) as cursor:
        found = cursor.execute(f"{_ACCOUNT} AND s.account = %s".encode(), (account,)).fetchone()
    if found is None:
        return Why(None, ["no_account"], 0, None, None, None, None, None, 0, None)
    active = job(db, found.active_job) if found.active_job else None
    last = job(db, found.last_job) if found.last_job else None
    wrong = errors(db, last.id)[:1] if last else []
    slot = db.execute(
        "SELECT schedule_id, slot_at, state, coalesce(reason, wait_reason) FROM slots WHERE schedule_id = %s"
        " AND slot_at > ledger_now() - interval '8 days' AND slot_at <= ledger_now()"
        " ORDER BY slot_at DESC LIMIT 1",
        (found.id,),
    ).fetchone()
    row = db.execute(
        "SELECT ledger_held(), (SELECT count(*) FROM tracking_chunks c WHERE c.job_id = %s"
        " AND c.lease_until > ledger_now())",
        (found.active_job,),
    ).fetchone()
    held, chunks = row if row else (False, 0)
    pending = pending_count(db, account)
    signs = {
        "held": bool(held),
        "disabled": not found.enabled,
        "nothing_pending": pending == 0,
        "active_run": active is not None,
        "slot_waits": bool(slot and slot[2] in ("planned", "waiting", "queued")),
        "last_run_failed": bool(last and last.status == "failed"),
    }
    return Why(
        found, [name for name, holds in signs.items() if holds], pending, active, last,
        SlotId(slot[0], slot[1]) if slot else None, slot[2] if slot else None, slot[3] if slot else None,
        int(chunks), wrong[0] if wrong else None,
    )  # fmt: skip
