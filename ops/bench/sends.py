"""Guarded sends: slots of one instant through real beats and workers to a fast receiver.

    python -m ops.bench.sends --slots 20000 --workers 2

Every slot passes the whole ledger (parts, attempts, log), its Redis lock and one HTTP POST. The rate is
that of the middle 80 % of the receipts; CPU is told per slot and process.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from typing import Any

import psycopg

from models.ledger import beat as ledger
from ops.bench.farm import Farm, stats
from runtime.clock import clock

_TEXT = "📊 장부 모니터링 정기 알림\n⏰ 현재 시간: {time}\n📈 총점: 95점"
_LIMIT_S = 300.0


def run(slots: int, workers: int, concurrency: int, delay_ms: float, env: dict[str, str]) -> dict[str, Any]:
    """One measurement; answers the figures."""
    with Farm(**env) as farm:
        receiver = farm.receiver("--delay-ms", str(delay_ms))
        with farm.connect() as db:
            lay_rooms(db, slots)
            farm.beat()
            for number in range(workers):
                farm.worker(name=f"send-{number + 1}", concurrency=concurrency)
            at = lay_slots(db, slots, lead_s=max(5.0, slots / 2000))
            _wait_until(db, at)
            before = farm.cpu_s()
            seen = _until_all(receiver, slots)
            _until_settled(db)
            after = farm.cpu_s()
            return _figures(seen, at, {n: after[n] - before.get(n, 0.0) for n in after}, db)


def lay_rooms(db: psycopg.Connection[Any], count: int) -> None:
    """Rooms without a gap, one per slot, so that none waits for another."""
    db.execute(
        "INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)"
        " SELECT 'bench-' || n, 'bench ' || n, 'test', 'receiver', 0, 500 FROM generate_series(1, %s) n",
        (count,),
    )


def lay_slots(db: psycopg.Connection[Any], count: int, lead_s: float) -> dt.datetime:
    """One-off schedules for one instant ``lead_s`` seconds from now, one per room; answers the instant."""
    at = (ledger.now(db) + dt.timedelta(seconds=lead_s)).replace(microsecond=0)
    local = at.astimezone(dt.timezone(dt.timedelta(hours=9)))
    db.execute(
        "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, send_order,"
        " schedule_type, schedule_date, schedule_time)"
        " SELECT 'bench ' || n, 'bench-' || n, 'test', %s, 'text_only', 'once', %s, %s"
        " FROM generate_series(1, %s) n",
        (_TEXT, local.date(), local.time(), count),
    )
    return at


def _wait_until(db: psycopg.Connection[Any], at: dt.datetime) -> None:
    left = (at - ledger.now(db)).total_seconds()
    if left < 0:
        raise RuntimeError(f"laying the schedules took {-left:.1f} s longer than there was time")
    clock().wait(max(0.0, left - 0.5))


def _until_all(receiver: str, slots: int) -> dict[str, Any]:
    end = clock().monotonic() + _LIMIT_S
    while True:
        seen = dict(stats(receiver))
        if seen["count"] >= slots or clock().monotonic() > end:
            return seen
        clock().wait(0.5)


def _until_settled(db: psycopg.Connection[Any]) -> None:
    end = clock().monotonic() + 30
    while clock().monotonic() < end:
        row = db.execute("SELECT count(*) FROM slots WHERE ended_at IS NULL").fetchone()
        if row == (0,):
            return
        clock().wait(0.1)


def _figures(
    seen: dict[str, Any], at: dt.datetime, cpu_s: dict[str, float], db: psycopg.Connection[Any]
) -> dict[str, Any]:
    count, times = seen["count"], seen["at"]
    low, high = times[count // 10], times[count * 9 // 10]
    late = [t - at.timestamp() for t in times]
    states = dict(db.execute("SELECT state, count(*) FROM slots GROUP BY 1").fetchall())
    return {
        "slots": count, "twice": seen["twice"], "states": states,
        "per_s": round(count * 0.8 / (high - low)),
        "all_per_s": round(count / (times[-1] - at.timestamp())),
        "late_s": {
            "first": round(late[0], 3), "p50": round(late[count // 2], 3),
            "p99": round(late[count * 99 // 100], 3), "max": round(late[-1], 3),
        },
        "cpu_us_per_slot": {name: round(used / count * 1e6) for name, used in sorted(cpu_s.items())},
    }  # fmt: skip


def main() -> int:
    """The program; 0 if everything arrived once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slots", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--env", action="append", default=[], help="NAME=VALUE for every process")
    chosen = parser.parse_args()
    env = dict(one.split("=", 1) for one in chosen.env)
    report = run(chosen.slots, chosen.workers, chosen.concurrency, chosen.delay_ms, env)
    print(json.dumps(report, indent=1))
    return 0 if report["slots"] == chosen.slots and not report["twice"] else 1


if __name__ == "__main__":
    sys.exit(main())
