"""Guarded sends: slots of one instant through real beats and workers to a receiver.

Every slot passes the whole ledger (parts, attempts, log), its Redis lock and one HTTP POST. The rate is
that of the middle 80 % of the receipts; CPU is told per slot and process. Beside them the naive task that
people write: a redis-py lock, a compare-and-set in Postgres, a POST by `requests`, a second update.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg

from models.ledger import beat as ledger
from ops.bench import naive
from ops.bench.farm import Farm, until_arrived
from ops.bench.options import Options
from runtime.clock import clock

NAME = "sends"
TITLE = "Guarded sends: the full ledger, the lock and one POST"

_TEXT = "📊 장부 모니터링 정기 알림\n⏰ 현재 시간: {time}\n📈 총점: 95점"
_LIMIT_S = 300.0


def run(options: Options) -> dict[str, Any]:
    """Rows: two worker processes at several concurrencies, one with a slow provider, and the naive task."""
    slots = options.sizes(short=10_000, full=20_000)
    rows = [naive.measured(options.sizes(short=3_000, full=8_000))]
    for name, workers, concurrency, delay_ms in (
        ("Jeongsi, 2 workers x 16 threads", 2, 16, 0.0),
        ("Jeongsi, 2 workers x 64 threads", 2, 64, 0.0),
        ("Jeongsi, 1 worker x 64 threads, provider 50 ms", 1, 64, 50.0),
    ):
        rows.append({"name": name} | measured(slots, workers, concurrency, delay_ms))
        options.say(f"  {name}: {rows[-1]['per_s']}/s")
    if options.full:
        for workers in (1, 4):
            row = measured(slots, workers, 32, 0.0)
            rows.append({"name": f"Jeongsi, {workers} workers x 32 threads"} | row)
    return {"rows": rows}


def measured(
    slots: int, workers: int, concurrency: int, delay_ms: float, *receiver_options: str, **env: str
) -> dict[str, Any]:
    """One measurement; answers the figures."""
    with Farm(**env) as farm:
        receiver = farm.receiver("--delay-ms", str(delay_ms), *receiver_options)
        with farm.connect() as db:
            lay_rooms(db, slots)
            farm.beat()
            for number in range(workers):
                farm.worker(name=f"send-{number + 1}", concurrency=concurrency)
            at = lay_slots(db, slots, lead_s=max(6.0, slots / 1500))
            wait_until(db, at)
            before = farm.cpu_s()
            seen = until_arrived(receiver, slots, _LIMIT_S)
            _until_settled(db)
            after = farm.cpu_s()
            used = {name: after[name] - before.get(name, 0.0) for name in after}
            return figures(seen, at.timestamp(), used) | {"states": _states(db)}


def lay_rooms(db: psycopg.Connection[Any], count: int) -> None:
    """Rooms without a gap, one per slot, so that none waits for another."""
    db.execute(
        "INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)"
        " SELECT 'bench-' || n, 'bench ' || n, 'test', 'receiver', 0, 500 FROM generate_series(1, %s) n",
        (count,),
    )


def lay_slots(db: psycopg.Connection[Any], count: int, lead_s: float) -> dt.datetime:
    """One-off schedules for the first rooms, due ``lead_s`` seconds from now; answers that instant."""
    at = (ledger.now(db) + dt.timedelta(seconds=lead_s)).replace(microsecond=0)
    local = at.astimezone(dt.timezone(dt.timedelta(hours=9)))
    db.execute(
        "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, send_order,"
        " schedule_type, schedule_date, schedule_time)"
        " SELECT name, room_id, 'test', %s, 'text_only', 'once', %s, %s FROM rooms ORDER BY id LIMIT %s",
        (_TEXT, local.date(), local.time(), count),
    )
    return at


def wait_until(db: psycopg.Connection[Any], at: dt.datetime) -> None:
    """Until shortly before the instant. Raises RuntimeError when it has passed already."""
    left = (at - ledger.now(db)).total_seconds()
    if left < 0:
        raise RuntimeError(f"laying the schedules took {-left:.1f} s longer than there was time")
    clock().wait(max(0.0, left - 0.5))


def _until_settled(db: psycopg.Connection[Any]) -> None:
    end = clock().monotonic() + 30
    while clock().monotonic() < end:
        row = db.execute("SELECT count(*) FROM slots WHERE ended_at IS NULL").fetchone()
        if row == (0,):
            return
        clock().wait(0.1)


def _states(db: psycopg.Connection[Any]) -> dict[str, int]:
    return dict(db.execute("SELECT state, count(*) FROM slots GROUP BY 1").fetchall())


def figures(seen: dict[str, Any], at: float, cpu_s: dict[str, float]) -> dict[str, Any]:
    """What a receiver saw of slots due at Unix second ``at``, and the CPU that was used meanwhile."""
    count, times = seen["count"], seen["at"]
    low, high = times[count // 10], times[count * 9 // 10]
    late = [t - at for t in times]
    return {
        "slots": count, "twice": seen["twice"],
        "per_s": round(count * 0.8 / (high - low)),
        "all_per_s": round(count / (times[-1] - at)),
        "late_s": {
            "first": round(late[0], 3), "p50": round(late[count // 2], 3),
            "p99": round(late[count * 99 // 100], 3), "max": round(late[-1], 3),
        },
        "cpu_us_per_slot": {name: round(used / count * 1e6) for name, used in sorted(cpu_s.items())},
        "cpu_us_in_all": round(sum(cpu_s.values()) / count * 1e6),
    }  # fmt: skip
