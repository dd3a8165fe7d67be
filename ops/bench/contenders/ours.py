"""Jeongsi: one-off schedules in the ledger, the beat as everyone runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from ops.bench.contenders import common
from runtime.clock import clock

if TYPE_CHECKING:
    from ops.bench.farm import Farm

NAME = "Jeongsi"
QUEUE = "send"
__all__ = ["NAME", "QUEUE", "lay", "start", "told"]

_LAY = """
INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)
  SELECT 'bench-' || n, 'bench', 'test', 'nowhere', 0, 500 FROM generate_series(1, %(count)s) n;
INSERT INTO kb_schedule
    (title, target_room_id, target_room_type, message_text, send_order, schedule_type, rules)
  SELECT n::text, 'bench-' || n, 'test', 'bench', 'text_only', 'union',
         jsonb_build_array(jsonb_build_object('kind', 'at', 'ms', (%(ms)s::bigint[])[n]))
    FROM generate_series(1, %(count)s) n"""

_UNPLANNED = "SELECT EXISTS (SELECT 1 FROM schedule_clock WHERE due_at < ledger_now() + interval '10 min')"
_PLANNED_S = 120.0


def lay(farm: Farm, dues: list[float]) -> None:
    """A schedule and a room of its own for each instant, by SQL as the customer's pages write it."""
    with psycopg.connect(farm.postgres.url, autocommit=True) as db:
        lay_at(db, dues)


def lay_at(db: psycopg.Connection[Any], dues: list[float]) -> None:
    """The same over a connection that is there."""
    with psycopg.ClientCursor(db) as cursor:
        cursor.execute(_LAY, {"count": len(dues), "ms": [round(due * 1000) for due in dues]})
    db.execute("ANALYZE rooms, kb_schedule, schedule_clock")


def start(farm: Farm) -> None:
    """`celery -A workers beat`; returns once it has laid down what the next minutes bring."""
    farm.beat("scheduler")
    end = clock().monotonic() + _PLANNED_S
    with farm.connect() as db:
        while db.execute(_UNPLANNED).fetchone() != (False,):
            if clock().monotonic() > end:
                raise RuntimeError(
                    f"the beat did not plan in {_PLANNED_S:g} s:\n{farm.log('scheduler')[-2000:]}"
                )
            clock().wait(0.05)


def told(raw: bytes) -> list[int]:
    """Schedules are numbered from 1 in the order in which they were laid."""
    return [int(slot.split("-")[0]) - 1 for slot in common.envelope(raw)["slots"]]
