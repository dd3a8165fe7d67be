"""A million schedules in a minute: the rows that the triggers of kb_schedule make, made by sets.

What the triggers write for one row is compared with what is written here before the rest is trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from ops.bench.farm import Farm

ROOMS = 1000
_ROOMS = """
INSERT INTO rooms (room_id, name, type, channel, quota)
  SELECT 'many-' || n, 'many', 'test', 'nowhere', 500 FROM generate_series(0, %s::int - 1) n"""
_ONE = """
INSERT INTO kb_schedule
    (title, target_room_id, target_room_type, message_text, send_order, schedule_type, schedule_time)
  SELECT 'many', 'many-' || n %% %s::int, 'test', 'bench', 'text_only', 'daily',
         ((now() AT TIME ZONE 'Asia/Seoul') + interval '6 hours' + n %% 3600 * interval '1 s')::time(0)
    FROM generate_series(%s::int, %s::int) n"""
_HISTORY = """
INSERT INTO kb_schedule_history (schedule_id, version, valid_from, who, op, row, clock)
  SELECT k.id, k.version, k.created_at, ledger_who(), 'insert',
         to_jsonb(k) - ARRAY['last_sent_at', 'next_send_at', 'send_count'],
         jsonb_build_object('rules', schedule_rules(k), 'tz', k.tz, 'enabled', true,
           'valid_from', k.valid_from,
           'valid_until', k.valid_until, 'grace_s', k.grace_seconds, 'validity_s', k.validity_seconds,
           'misfire', k.misfire, 'priority', k.priority, 'room_ref', r.id)
    FROM kb_schedule k JOIN rooms r ON r.room_id = k.target_room_id
   WHERE NOT EXISTS (SELECT 1 FROM kb_schedule_history h WHERE h.schedule_id = k.id)"""
_CLOCK = """
INSERT INTO schedule_clock (schedule_id, kind, rules, tz, version, version_from, planned_to, enabled,
    valid_from, valid_until, grace_s, validity_s, misfire, priority, room_ref)
  SELECT k.id, 'message', schedule_rules(k), k.tz, k.version, k.created_at,
         (date_trunc('day', now() AT TIME ZONE 'Asia/Seoul') + k.schedule_time
           + CASE WHEN k.schedule_time < (now() AT TIME ZONE 'Asia/Seoul')::time
                  THEN interval '1 day' ELSE '0' END)
           AT TIME ZONE 'Asia/Seoul',
         true, k.valid_from, k.valid_until, k.grace_seconds, k.validity_seconds, k.misfire, k.priority, r.id
    FROM kb_schedule k JOIN rooms r ON r.room_id = k.target_room_id
   WHERE NOT EXISTS (SELECT 1 FROM schedule_clock c WHERE c.schedule_id = k.id)"""


def lay_many(farm: Farm, count: int) -> None:
    """Daily schedules, each first due in six to seven hours, planned up to then as a beat leaves them."""
    with psycopg.connect(farm.postgres.url, autocommit=True) as db:
        db.execute(_ROOMS.encode(), (ROOMS,))
        db.execute(_ONE.encode(), (ROOMS, 1, 1))
        db.execute("SET session_replication_role = replica")
        db.execute(_ONE.encode(), (ROOMS, 1, count))
        db.execute(_HISTORY.encode())
        db.execute(_CLOCK.encode())
        db.execute("RESET session_replication_role")
        first, second = _history(db)
        if first != second:
            raise RuntimeError(f"the triggers of kb_schedule write something else: {first} and not {second}")
        db.execute("VACUUM ANALYZE")


def _history(db: psycopg.Connection[Any]) -> tuple[Any, Any]:
    """What the triggers and what the set wrote for the same schedule, without ids and times."""
    rows = db.execute(
        "SELECT h.row - ARRAY['id', 'created_at', 'updated_at', 'valid_from'],"
        " h.clock - ARRAY['valid_from', 'room_ref'], c.rules, c.tz, c.enabled, c.misfire, c.priority"
        " FROM kb_schedule_history h JOIN schedule_clock c USING (schedule_id) ORDER BY h.schedule_id LIMIT 2"
    ).fetchall()
    return rows[0], rows[1]
