"""The rows of a live table: what happened lately, what happens next."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from runtime.ids import SlotId

# The parts are counted after the LIMIT, for the rows that are shown only.
_LIVE = """
WITH shown AS (
  SELECT * FROM slots WHERE slot_at >= %(since)s AND slot_at < %(until)s
   ORDER BY slot_at DESC, schedule_id DESC LIMIT %(limit)s)
SELECT s.schedule_id, s.slot_at, coalesce(h.row ->> 'title', '') AS title,
       coalesce(r.name, '')::text AS room_name, r.room_id::text AS room, r.channel,
       p.done::int AS parts_done, p.total::int AS parts_total,
       s.state, s.phase, coalesce(s.reason, s.wait_reason) AS reason, s.started_at, s.ended_at,
       (extract(epoch FROM s.started_at - s.free_from) * 1000)::float8 AS lateness_ms,
       (extract(epoch FROM s.free_from - s.slot_at) * 1000)::float8 AS waited_ms
  FROM shown s LEFT JOIN rooms r ON r.id = s.room_ref
  LEFT JOIN kb_schedule_history h ON h.schedule_id = s.schedule_id AND h.version = s.content_version
  CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE x.state IN ('accepted', 'delivered')) AS done,
                             count(*) AS total
                        FROM parts x WHERE x.schedule_id = s.schedule_id AND x.slot_at = s.slot_at) p
 ORDER BY s.slot_at DESC, s.schedule_id DESC"""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One line of the table. Part counts are 0 until the first point of no return.

    Lateness and waiting are None until the first byte left.
    """

    schedule_id: int
    slot_at: dt.datetime
    title: str
    room_name: str
    room: str | None
    channel: str | None
    parts_done: int
    parts_total: int
    state: str
    phase: str
    reason: str | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    lateness_ms: float | None
    waited_ms: float | None

    @property
    def id(self) -> SlotId:
        """The slot's identity."""
        return SlotId(self.schedule_id, self.slot_at)


def live_rows(
    db: psycopg.Connection[Any], since: dt.datetime, until: dt.datetime, limit: int = 30
) -> list[LiveRow]:
    """Slots with a time in [since, until), newest first."""
    with db.cursor(row_factory=class_row(LiveRow)) as cursor:
        return cursor.execute(_LIVE, {"since": since, "until": until, "limit": limit}).fetchall()
