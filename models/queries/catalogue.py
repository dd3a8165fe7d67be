"""Schedules and rooms in lists."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

Connection = psycopg.Connection[Any]

_SCHEDULES = """
SELECT k.id, k.title, k.target_room_id AS room, r.name::text AS room_name, k.target_room_type AS room_type,
       k.schedule_type, c.rules, k.tz, k.status, k.error_reason, k.origin, k.version, k.priority,
       k.valid_from, k.valid_until, k.last_sent_at, k.next_send_at, k.send_count,
       k.deleted_at, k.created_at, k.updated_at, c.planned_to
  FROM kb_schedule k LEFT JOIN rooms r ON r.room_id = k.target_room_id
  LEFT JOIN schedule_clock c ON c.schedule_id = k.id
"""


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule. ``rules`` as the planner reads them; ``planned_to``: the next instant without a row."""

    id: int
    title: str
    room: str
    room_name: str | None
    room_type: str
    schedule_type: str
    rules: list[dict[str, Any]] | None
    tz: str
    status: str
    error_reason: str | None
    origin: str
    version: int
    priority: int
    valid_from: dt.datetime
    valid_until: dt.datetime
    last_sent_at: dt.datetime | None
    next_send_at: dt.datetime | None
    send_count: int
    deleted_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    planned_to: dt.datetime | None


@dataclass(frozen=True, slots=True)
class RoomRow:
    """One room with its limits and what is used of them. ``used_today``: by the Korean calendar day."""

    id: int
    room_id: str
    name: str
    type: str
    channel: str
    device: str | None
    gap_ms: int
    quota: int
    limits_reason: str | None
    limits_by: str | None
    used_today: int
    free_at: dt.datetime | None
    created_at: dt.datetime


def schedules(
    db: Connection,
    *,
    status: str | None = None,
    room: str | None = None,
    origin: str | None = None,
    deleted: bool = False,
    limit: int = 200,
    offset: int = 0,
) -> list[ScheduleRow]:
    """Schedules by id. With ``deleted`` also those that were deleted, whose sends are kept as proof."""
    with db.cursor(row_factory=class_row(ScheduleRow)) as cursor:
        return cursor.execute(
            _SCHEDULES.encode() + b"WHERE (%s::text IS NULL OR k.status = %s)"
            b" AND (%s::text IS NULL OR k.target_room_id = %s) AND (%s::text IS NULL OR k.origin = %s)"
            b" AND (%s OR k.deleted_at IS NULL) ORDER BY k.id LIMIT %s OFFSET %s",
            (status, status, room, room, origin, origin, deleted, limit, offset),
        ).fetchall()


def find_schedule(db: Connection, schedule_id: int) -> ScheduleRow | None:
    """One schedule, also a deleted one; None if there never was one."""
    with db.cursor(row_factory=class_row(ScheduleRow)) as cursor:
        return cursor.execute(_SCHEDULES.encode() + b"WHERE k.id = %s", (schedule_id,)).fetchone()


def rooms(db: Connection, *, type: str | None = None, channel: str | None = None) -> list[RoomRow]:  # noqa: A002
    """Rooms by public id, with today's use of their quota."""
    with db.cursor(row_factory=class_row(RoomRow)) as cursor:
        return cursor.execute(
            "SELECT r.id, r.room_id::text, r.name::text, r.type, r.channel, r.device, r.gap_ms, r.quota,"
            " r.limits_reason, r.limits_by, coalesce(q.used, 0) AS used_today, g.free_at, r.created_at"
            " FROM rooms r LEFT JOIN room_gate g ON g.room_ref = r.id"
            " LEFT JOIN room_quota q ON q.room_ref = r.id AND q.day = korean_day((SELECT ledger_now()))"
            " WHERE (%s::text IS NULL OR r.type = %s) AND (%s::text IS NULL OR r.channel = %s)"
            " ORDER BY r.room_id",
            (type, type, channel, channel),
        ).fetchall()
