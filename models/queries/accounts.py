"""PlayAuto accounts as they may be shown: everything but their secrets (C54, C61-C63, C91)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class LastJob:
    """The newest run of an account that was no dry run."""

    id: int
    status: str
    total: int
    succeeded: int
    failed: int
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account. ``waiting``: orders that its next run takes; ``without_code``: orders with a number whose
    carrier's code is not known; ``own_login``: it has credentials of its own, else the settings' serve."""

    id: int
    account: str
    organisation: str | None
    enabled: bool
    schedule_time: str
    tz: str
    weekdays: str | None
    retry_count: int
    grace_seconds: int
    batch_size: int
    instruct: bool
    send_to_shop: bool
    change_complete: bool
    overwrite: bool
    number_policy: str
    own_login: bool
    notify_discord: bool
    discord_webhook: bool
    notify_slack: bool
    slack_webhook: bool
    last_run_at: dt.datetime | None
    next_run_at: dt.datetime | None
    error_reason: str | None
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime
    waiting: int
    without_code: int
    carriers: int
    carriers_seen_at: dt.datetime | None
    job: dict[str, Any] | None

    @property
    def last_job(self) -> LastJob | None:
        """Its newest run, None if there never was one."""
        if self.job is None:
            return None
        at = {
            name: dt.datetime.fromisoformat(self.job[name]) if self.job[name] else None
            for name in ("started_at", "completed_at")
        }
        return LastJob(**self.job | at)


# What waits is counted by orders_waiting_idx: the cost is that of the waiting orders, not of all.
_ACCOUNTS = """
SELECT s.id, s.account, g.code AS organisation, s.enabled, s.schedule_time, s.tz, s.weekdays, s.retry_count,
       s.grace_seconds, s.batch_size, s.instruct, s.send_to_shop, s.change_complete, s.overwrite,
       s.number_policy, s.credentials IS NOT NULL AS own_login, s.notify_discord,
       coalesce(s.discord_webhook, '') <> '' AS discord_webhook, s.notify_slack,
       coalesce(s.slack_webhook, '') <> '' AS slack_webhook, s.last_run_at, s.next_run_at, s.error_reason,
       s.version, s.created_at, s.updated_at, w.waiting, w.without_code, c.carriers, c.carriers_seen_at, j.job
  FROM tracking_upload_scheduler s LEFT JOIN organisations g ON g.id = s.organisation_id
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE x.why IS NULL) AS waiting,
           count(*) FILTER (WHERE x.why = 'no_carrier') AS without_code
      FROM (SELECT order_hindrance(o) AS why FROM orders o
             WHERE o.account = s.account AND o.playauto_uploaded = 0 AND o.tracking_number <> ''
            OFFSET 0) x) w
  CROSS JOIN LATERAL (
    SELECT count(*) AS carriers, max(seen_at) AS carriers_seen_at FROM carriers l
     WHERE l.account = s.account) c
  LEFT JOIN LATERAL (
    SELECT jsonb_build_object('id', t.id, 'status', t.status, 'total', t.total_count,
             'succeeded', t.success_count, 'failed', t.failed_count, 'started_at', t.started_at,
             'completed_at', t.completed_at, 'error', t.error_message) AS job
      FROM tracking_upload_jobs t WHERE t.scheduler_id = s.id AND NOT t.dry_run
     ORDER BY t.id DESC LIMIT 1) j ON true
 WHERE s.deleted_at IS NULL AND (%(account)s::text IS NULL OR s.account = %(account)s)
 ORDER BY s.account"""
# From name to name by the index, so that the orders of known accounts are not read.
_STRAYS = """
WITH RECURSIVE names AS (
  SELECT min(account) AS account FROM orders WHERE playauto_uploaded = 0 AND tracking_number <> ''
  UNION ALL
  SELECT (SELECT min(o.account) FROM orders o
           WHERE o.account > n.account AND o.playauto_uploaded = 0 AND o.tracking_number <> '')
    FROM names n WHERE n.account IS NOT NULL)
SELECT n.account, c.waiting FROM names n CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM orders o WHERE o.account = n.account AND order_pending(o)) c
 WHERE c.waiting > 0 AND NOT EXISTS (SELECT 1 FROM tracking_upload_scheduler s
                                      WHERE s.account = n.account AND s.deleted_at IS NULL)
 ORDER BY 1"""


def accounts(db: Connection, account: str | None = None) -> list[AccountRow]:
    """All accounts by name, or the one of this name."""
    with db.cursor(row_factory=class_row(AccountRow)) as cursor:
        return cursor.execute(_ACCOUNTS, {"account": account}).fetchall()


def waiting_for_nobody(db: Connection) -> dict[str, int]:
    """Orders that wait for an account that has no row (any more): nothing uploads them."""
    return {str(name): int(number) for name, number in db.execute(_STRAYS).fetchall()}
