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
       (SELECT count(*) FROM schedule_clock WHERE enabled AND planned_to IS NOT NULL)
         + (SELECT count(DISTINCT s.schedule_id) FROM slots s WHERE s.state = 'planned' AND NOT EXISTS
            (SELECT 1 FROM schedule_clock k WHERE k.schedule_id = s.schedule_id AND k.planned_to IS NOT NULL))
         AS scheduled_count,
       c.*, coalesce(%(since)s, t.today) AS since
  FROM (SELECT ledger_now() AS now, korean_day(ledger_now())::timestamp AT TIME ZONE 'Asia/Seoul' AS today) t
  CROSS JOIN LATERAL (
    SELECT count(*) AS total_scheduled, count(*) FILTER (WHERE slot_at <= t.now) AS past,
           count(*) FILTER (WHERE state = 'delivered') AS total_sent,
           count(*) FILTER (WHERE confirmed_at IS NOT NULL) AS total_confirmed,
           count(*) FILTER (WHERE state IN ('failed', 'expired')) AS total_failed,
           count(*) FILTER (WHERE state = 'partial') AS total_partial,
           count(*) FILTER (WHERE state = 'unresolved') AS total_unknown
      FROM slots WHERE slot_at >= coalesce(%(since)s, t.today)) c"""


@dataclass(frozen=True, slots=True)
class Health:
    """Counts of slots since ``since``. ``past``: whose time has come; ``total_unknown``: unresolved ones.

    ``scheduled_count``: schedules and messages that still have something ahead.
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
            "success_rate_raw": self.success_rate_raw, "stats": self.stats(), "since": self.since,
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
