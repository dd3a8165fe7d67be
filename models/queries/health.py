"""Is it running, and how well does it send: what a health page shows (A32, A40-A42, A53; ruling 19)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

Connection = psycopg.Connection[Any]
SILENCE_S = 5.0  # a beat ticks at least once a second

_HEALTH = """
SELECT coalesce((SELECT max(last_tick_at) FROM beat_pulse) > t.now - make_interval(secs => %(silence)s),
                false) AS running,
       (SELECT count(*) FROM schedule_clock WHERE enabled AND planned_to IS NOT NULL AND kind = 'message')
         + (SELECT count(DISTINCT s.schedule_id) FROM slots s
             WHERE s.state = 'planned' AND s.kind = 'message' AND NOT EXISTS
            (SELECT 1 FROM schedule_clock k WHERE k.schedule_id = s.schedule_id AND k.planned_to IS NOT NULL))
         AS scheduled_count,
       (SELECT count(*) FROM tracking_upload_scheduler WHERE enabled) AS upload_accounts,
       c.*, u.*, coalesce(%(since)s, t.today) AS since
  FROM (SELECT ledger_now() AS now, korean_day(ledger_now())::timestamp AT TIME ZONE 'Asia/Seoul' AS today) t
  CROSS JOIN LATERAL (
    SELECT count(*) AS total_scheduled, count(*) FILTER (WHERE slot_at <= t.now) AS past,
           count(*) FILTER (WHERE state = 'delivered') AS total_sent,
           count(*) FILTER (WHERE confirmed_at IS NOT NULL) AS total_confirmed,
           count(*) FILTER (WHERE state IN ('failed', 'expired')) AS total_failed,
           count(*) FILTER (WHERE state = 'partial') AS total_partial,
           count(*) FILTER (WHERE state = 'unresolved') AS total_unknown
      FROM slots WHERE slot_at >= coalesce(%(since)s, t.today) AND kind = 'message') c
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE slot_at <= t.now) AS uploads_past,
           count(*) FILTER (WHERE state = 'delivered') AS uploads_done,
           count(*) FILTER (WHERE state IN ('failed', 'expired', 'partial', 'unresolved')) AS uploads_failed
      FROM slots WHERE slot_at >= coalesce(%(since)s, t.today) AND kind = 'tracking') u"""


@dataclass(frozen=True, slots=True)
class Health:
    """Counts of messages since ``since``. ``past``: whose time has come; ``total_unknown``: unresolved ones.

    ``scheduled_count``: schedules and messages that still have something ahead. Uploads of tracking numbers
    are counted apart: a run of 100,000 orders is no message.
    """

    running: bool
    scheduled_count: int
    total_scheduled: int
    past: int
    total_sent: int
    total_confirmed: int
    total_failed: int
    total_partial: int
    total_unknown: int
    upload_accounts: int
    uploads_past: int
    uploads_done: int
    uploads_failed: int
    since: dt.datetime

    @property
    def success_rate(self) -> float:
        """Percent of the slots whose time has come that were delivered; 0 if there are none (ruling 19)."""
        return _percent(self.total_sent, self.past)

    @property
    def success_rate_raw(self) -> float:
        """Sent / scheduled × 100, future slots included, as the customer's document has it (A42)."""
        return _percent(self.total_sent, self.total_scheduled)

    def as_json(self) -> dict[str, Any]:
        """As a health route answers it: A53's words first."""
        return {
            "status": "healthy" if self.running else "unhealthy", "running": self.running,
            "scheduled_count": self.scheduled_count, "success_rate": self.success_rate,
            "success_rate_raw": self.success_rate_raw, "stats": self.stats(), "uploads": self.uploads(),
            "since": self.since,
        }  # fmt: skip

    def uploads(self) -> dict[str, int]:
        """Accounts that upload by themselves, runs whose time has come, and how these ended."""
        return {
            "accounts": self.upload_accounts, "past": self.uploads_past, "done": self.uploads_done,
            "failed": self.uploads_failed,
        }  # fmt: skip

    def stats(self) -> dict[str, int]:
        """The counters (A41), and what the document did not tell apart."""
        return {
            "total_scheduled": self.total_scheduled, "total_sent": self.total_sent,
            "total_failed": self.total_failed, "total_confirmed": self.total_confirmed,
            "total_partial": self.total_partial, "total_unknown": self.total_unknown,
        }  # fmt: skip


def health(db: Connection, since: dt.datetime | None = None) -> Health:
    """Counts since an instant, else since the Korean midnight."""
    with db.cursor(row_factory=class_row(Health)) as cursor:
        row = cursor.execute(_HEALTH, {"since": since, "silence": SILENCE_S}).fetchone()
    assert row is not None
    return row


def _percent(part: int, whole: int) -> float:
    return round(part / whole * 100, 1) if whole else 0.0
