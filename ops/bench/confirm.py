"""The confirm cycle by itself: messages that a provider has accepted are looked up and settled.

All are sent first. Only then confirm workers start, so that a figure holds look-ups alone: hint, lock, lease,
GET, confirmation, end. The rate is that of the middle 80 %.
"""

from __future__ import annotations

from typing import Any

import psycopg

from ops.bench.farm import Farm, until_arrived
from ops.bench.options import Options
from ops.bench.sends import lay_rooms, lay_slots
from runtime.clock import clock

NAME = "confirm"
TITLE = "The confirm cycle: looked up and settled, after everything is sent"
_LIMIT_S = 300.0


def run(options: Options) -> dict[str, Any]:
    """Two confirm workers, at two concurrencies."""
    slots = options.sizes(short=5_000, full=20_000)
    rows = []
    for concurrency in (16, 64):
        row = measured(slots, concurrency)
        rows.append({"name": f"Jeongsi, 2 workers x {concurrency} threads"} | row)
        options.say(f"  {rows[-1]['name']}: {row['per_s']}/s")
    return {"rows": rows}


def measured(slots: int, concurrency: int) -> dict[str, Any]:
    """One measurement; answers the figures."""
    with Farm() as farm, farm.connect() as db:
        receiver = farm.receiver("--look-up", "--lag-s", str(slots / 500))
        lay_rooms(db, slots)
        farm.beat()
        farm.worker(name="send-1", concurrency=32)
        lay_slots(db, slots, lead_s=max(6.0, slots / 1500))
        seen = until_arrived(receiver, slots, _LIMIT_S)
        _until(db, "SELECT count(*) FROM slots WHERE phase = 'send'", 0)
        farm.stop("send-1")
        _until(db, "SELECT count(*) FROM slots WHERE state <> 'queued'", 0)
        before = farm.cpu_s()
        for number in (1, 2):
            farm.worker("confirm", name=f"confirm-{number}", concurrency=concurrency)
        _until(db, "SELECT count(*) FROM slots WHERE confirmed_at IS NULL", 0)
        after = farm.cpu_s()
        used = {name: after[name] - before.get(name, 0.0) for name in after}
        return figures(db, used) | {"twice": seen["twice"]}


def figures(db: psycopg.Connection[Any], cpu_s: dict[str, float]) -> dict[str, Any]:
    """What the ledger says of the confirmations, and the CPU used from the workers' start on."""
    row = db.execute(
        "SELECT count(*), extract(epoch FROM percentile_disc(0.9) WITHIN GROUP (ORDER BY confirmed_at)"
        " - percentile_disc(0.1) WITHIN GROUP (ORDER BY confirmed_at))::float8 FROM slots"
    ).fetchone()
    assert row is not None
    count, took_s = row
    return {
        "slots": count, "per_s": round(count * 0.8 / took_s),
        "cpu_us_per_slot": {name: round(used / count * 1e6) for name, used in sorted(cpu_s.items())},
        "cpu_us_in_all": round(sum(cpu_s.values()) / count * 1e6),
    }  # fmt: skip


def _until(db: psycopg.Connection[Any], question: str, answer: int) -> None:
    end = clock().monotonic() + _LIMIT_S
    while clock().monotonic() < end:
        if db.execute(question.encode()).fetchone() == (answer,):
            return
        clock().wait(0.2)
    raise RuntimeError(f"not within {_LIMIT_S:.0f} s: {question}")
