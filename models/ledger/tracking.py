"""Uploads as people and other programs command them: start, redrive, cancel, decide a conflict.

Each command is one SQL function (``models/sql/36_tracking_run.sql``) in the transaction that the connection
is in. What is wrong with a request is a value. The run itself: ``models.ledger.tracking_worker``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[Any]
StartVerdict = Literal["started", "duplicate", "key_used", "active", "no_account", "held", "gone", "nothing"]
StopVerdict = Literal["cancelled", "over", "gone"]
ChoiceVerdict = Literal["kept", "no_conflict", "changed", "gone"]


@dataclass(frozen=True, slots=True)
class Started:
    """What became of the wish for a run. ``job``: the new one, or the one that stands in its way.

    verdict   started     `job` is new, and workers take it up by themselves
              duplicate   the same key and request made `job` before
              key_used    the key belongs to another request: `job`
              active      the account's run `job` is not over
              no_account  there is no such account
              held        nothing may leave this database: a person has to release it (docs/operators.md)
              gone        there is no such run, or no such conflict, to take up
              nothing     it has no order left that such a run could take up
    """

    verdict: StartVerdict
    job: int | None = None


def start(
    db: Connection,
    account: str = "default",
    *,
    key: str | None = None,
    who: str = "",
    dry_run: bool = False,
) -> Started:
    """Begin a run of an account by hand (C56, C74): all its waiting orders, now.

    Two calls with one ``key`` make one run. A dry run uploads nothing, changes no order, and may run beside.
    """
    body = {"account": account, "dry_run": dry_run}
    return _open(db, account, key, who, dry_run, None, body, {})


def redrive(
    db: Connection, job: int, error_code: str | None = None, *, key: str | None = None, who: str = ""
) -> Started:
    """Take the orders up again that a run left: failed, unresolved and skipped; or one group of errors only.

    Orders that wait no more (uploaded since, cancelled, without a number) stay out. A dry run left nothing:
    it is no run to take up, `start` one. Asked for
    `send_unconfirmed` alone it is a person's word to pass those on once more.
    """
    options: dict[str, Any] = {} if error_code is None else {"error_code": error_code}
    if error_code == "send_unconfirmed":
        options["send_again"] = True
    row = db.execute(
        "SELECT s.account, NOT j.dry_run AND EXISTS (SELECT 1 FROM tracking_upload_details d"
        " WHERE d.job_id = j.id"
        " AND d.state IN ('failed', 'unresolved', 'skipped')"
        " AND (%s::text IS NULL OR d.error_code = %s))"
        " FROM tracking_upload_jobs j JOIN tracking_upload_scheduler s ON s.id = j.scheduler_id"
        " WHERE j.id = %s",
        (error_code, error_code, job),
    ).fetchone()
    if row is None:
        return Started("gone")
    if not row[1]:
        return Started("nothing", job)
    return _open(db, row[0], key, who, False, job, {"redrive": job, **options}, options)


def cancel(db: Connection, job: int, *, who: str) -> StopVerdict:
    """Stop a run. What a request holds just now ends first; what has not begun is skipped.

    The run ends within seconds as failed, reason `cancelled`, and says what was done. Its orders wait on.
    """
    row = db.execute("SELECT tracking_stop(%s, %s, 'cancelled', NULL)", (job, who)).fetchone()
    assert row is not None
    verdict: StopVerdict = row[0]
    return verdict


def keep_theirs(db: Connection, detail: int, *, who: str) -> ChoiceVerdict:
    """A person decides a conflict for the number that PlayAuto has: the order waits no more.

    `changed`: the order was given another number since; nothing was decided, the next run takes that one.
    """
    row = db.execute("SELECT tracking_keep_theirs(%s, %s)", (detail, who)).fetchone()
    assert row is not None
    verdict: ChoiceVerdict = row[0]
    return verdict


def use_ours(db: Connection, details: Sequence[int], *, who: str, key: str | None = None) -> Started:
    """A person decides conflicts of one run for our numbers: a run that overwrites, of these orders alone.

    `gone`: one of them is no conflict that waits, or they are of several runs; nothing was decided.
    """
    rows = db.execute(
        "SELECT d.job_id, s.account, count(*) FROM tracking_upload_details d"
        " JOIN tracking_upload_jobs j ON j.id = d.job_id"
        " JOIN tracking_upload_scheduler s ON s.id = j.scheduler_id"
        " WHERE d.id = ANY (%s) AND d.state = 'unresolved' AND d.error_code = 'conflict' GROUP BY 1, 2",
        (list(details),),
    ).fetchall()
    if len(rows) != 1 or rows[0][2] != len(set(details)):
        return Started("gone")
    job, account, _ = rows[0]
    options = {"details": sorted(details), "overwrite": True, "error_code": "conflict"}
    return _open(db, account, key, who, False, job, {"redrive": job, **options}, options)


def heard(db: Connection, work_no: str, said: str, messages: Sequence[str] = ()) -> int:
    """A callback named a job of PlayAuto's: its orders are looked at now. Answers how many.

    It is unsigned, so it is a hint and nothing more: an unknown number changes nothing, and no word of it is
    believed without a look. ``said``: succeeded, failed or unclear.
    """
    row = db.execute(
        "SELECT tracking_heard(%s, %s, %s::text[])", (work_no, said, list(messages)[:20])
    ).fetchone()
    return int(row[0]) if row else 0


def _open(
    db: Connection,
    account: str,
    key: str | None,
    who: str,
    dry_run: bool,
    redrive_of: int | None,
    body: dict[str, Any],
    options: dict[str, Any],
) -> Started:
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    row = db.execute(
        "SELECT verdict, job FROM tracking_open(%s, %s, %s, %s, %s, %s, %s)",
        (account, key, digest, who, dry_run, redrive_of, Jsonb(options)),
    ).fetchone()
    assert row is not None
    return Started(*row)
