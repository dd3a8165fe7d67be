"""What a simulation reads: clocks as the planner takes them, unlocked; history, rooms, sizes of messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from models.ledger.beat import ClockRow, Version, versions

Connection = psycopg.Connection[Any]

_CLOCKS = """
SELECT c.schedule_id, c.kind, c.rules::text AS rules, c.tz, c.version, c.version_from, c.planned_to,
       c.replan_from, coalesce(c.due_at, c.version_from) AS due_at, c.enabled,
       greatest(c.valid_from, '1970-01-01 00:00+00') AS valid_from,
       greatest(least(c.valid_until, '9000-01-01 00:00+00'), '1970-01-01 00:00+00') AS valid_until,
       c.grace_s, c.validity_s, c.misfire, c.priority, c.room_ref
  FROM schedule_clock c LEFT JOIN rooms r ON r.id = c.room_ref
 WHERE c.kind = 'message' AND (c.enabled OR c.version_from >= %(start)s) AND c.valid_until >= %(start)s
   AND (%(schedules)s::bigint[] IS NULL OR c.schedule_id = ANY(%(schedules)s::bigint[]))
   AND (%(rooms)s::text[] IS NULL OR r.room_id = ANY(%(rooms)s::text[]))
 ORDER BY c.schedule_id"""

_MESSAGES = """
SELECT k.id, k.title, k.send_interval_seconds AS interval_s,
       CASE WHEN k.send_order = 'text_only' OR jsonb_typeof(k.message_images) IS DISTINCT FROM 'array' THEN 0
            ELSE jsonb_array_length(k.message_images) END AS images,
       k.send_order <> 'images_only' AND coalesce(btrim(k.message_text), '') <> '' AS with_text
  FROM kb_schedule k WHERE k.id = ANY(%s::bigint[])"""

_ROOMS = "SELECT id, room_id, name, gap_ms, quota, channel, device FROM rooms WHERE id = ANY(%s::bigint[])"


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a schedule sends, as far as its length in time goes."""

    id: int
    title: str
    interval_s: int
    images: int
    with_text: bool

    @property
    def parts(self) -> int:
        """Texts and images, at least one."""
        return max(1, self.images + self.with_text)


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """A room with its limits."""

    id: int
    room_id: str
    name: str
    gap_ms: int
    quota: int
    channel: str
    device: str | None


def clocks(
    db: Connection,
    start: dt.datetime,
    *,
    schedules: Sequence[int] | None = None,
    rooms: Sequence[str] | None = None,
) -> list[ClockRow]:
    """Clocks of the message schedules that may promise something from ``start`` on, narrowed down as told."""
    chosen = {
        "start": start,
        "schedules": None if schedules is None else list(schedules),
        "rooms": None if rooms is None else list(rooms),
    }
    with db.cursor(row_factory=class_row(ClockRow)) as cursor:
        return cursor.execute(_CLOCKS, chosen).fetchall()


def histories(db: Connection, found: Sequence[ClockRow], start: dt.datetime) -> dict[int, list[Version]]:
    """All versions of the schedules that were made or changed after ``start``."""
    changed = [clock.schedule_id for clock in found if clock.version_from >= start]
    grouped: dict[int, list[Version]] = {}
    for version in versions(db, changed) if changed else ():
        grouped.setdefault(version.schedule_id, []).append(version)
    return grouped


def messages(db: Connection, schedules: Sequence[int]) -> dict[int, MessageFacts]:
    """What these schedules send, by id."""
    with db.cursor(row_factory=class_row(MessageFacts)) as cursor:
        return {row.id: row for row in cursor.execute(_MESSAGES, (list(schedules),)).fetchall()}


def room_facts(db: Connection, refs: Sequence[int]) -> dict[int, RoomFacts]:
    """These rooms, by their number."""
    with db.cursor(row_factory=class_row(RoomFacts)) as cursor:
        return {row.id: row for row in cursor.execute(_ROOMS, (list(refs),)).fetchall()}
