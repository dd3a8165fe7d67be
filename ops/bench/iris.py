"""What Iris devices carry beside their own limit: rooms of one instant, through a real beat and real workers.

A device takes one message at a time and pauses after each (`message_send_rate`, 50 ms), and the emulated one
needs 5 ms for a message: 18.2 a second. The rate is that of the middle 80 % of the receipts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import psycopg
import requests

from ops.bench.farm import Farm
from ops.bench.options import Options
from ops.bench.sends import lay_slots, wait_until
from ops.emulator.iris import Phone
from runtime.clock import clock

NAME = "iris"
TITLE = "Iris devices: rooms of one instant, beside the devices' own limit"
_LIMIT_S = 120.0


def run(options: Options) -> dict[str, Any]:
    """A row for each number of devices."""
    each = options.sizes(short=120, full=300)
    rows = []
    for devices in options.sizes(short=(1, 4), full=(1, 2, 4, 8)):
        row = measured(devices, each)
        rows.append({"name": f"{devices} device{'s' * (devices > 1)}", "devices": devices} | row)
        options.say(f"  {rows[-1]['name']}: {row['per_s']}/s of {row['limit_per_s']}")
    return {"rows": rows}


def measured(devices: int, each: int) -> dict[str, Any]:
    """``each`` rooms on every device, all due at one instant; two worker processes with 16 threads."""
    channels = [f"iris-{number}" for number in range(1, devices + 1)]
    count = devices * each
    with Farm() as farm, farm.connect() as db:
        emulator = farm.emulator(channels)
        _lay_rooms(db, channels, count)
        farm.beat()
        for number in (1, 2):
            farm.worker(name=f"send-{number}")
        at = lay_slots(db, count, lead_s=6.0)
        wait_until(db, at)
        before = farm.cpu_s()
        receipts = _until_arrived(emulator, count)
        after = farm.cpu_s()
        cpu = sum(after[name] - before.get(name, 0.0) for name in after if name != "emulator")
        return figures(receipts, at, devices) | {"cpu_us_in_all": round(cpu / count * 1e6)}


def figures(receipts: Sequence[dict[str, Any]], at: dt.datetime, devices: int) -> dict[str, Any]:
    """What came of slots due at ``at``, and the share of the devices' own limit."""
    times = sorted(one["at"] - at.timestamp() for one in receipts)
    low, high = times[len(times) // 10], times[len(times) * 9 // 10]
    phone = Phone()
    limit = devices / (phone.send_rate_ms / 1000 + phone.work_s)
    per_s = len(times) * 0.8 / (high - low)
    return {
        "rooms": len(times), "twice": len(receipts) - len({one["key"] for one in receipts}),
        "per_s": round(per_s, 1), "limit_per_s": round(limit, 1), "share": round(per_s / limit, 3),
        "first_s": round(times[0], 3), "last_s": round(times[-1], 2),
    }  # fmt: skip


def _lay_rooms(db: psycopg.Connection[Any], channels: Sequence[str], count: int) -> None:
    """Rooms as lay_slots expects them, dealt out over the devices. Iris knows rooms by numbers."""
    db.execute(
        "INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)"
        " SELECT (1000000 + n)::text, 'bench ' || n, 'test', (%s::text[])[1 + n %% %s], 0, 500"
        " FROM generate_series(1, %s) n",
        (list(channels), len(channels), count),
    )


def _until_arrived(emulator: str, count: int) -> list[dict[str, Any]]:
    end = clock().monotonic() + _LIMIT_S
    while True:
        found = requests.get(f"{emulator}/_control/receipts", timeout=10).json()["receipts"]
        if len(found) >= count or clock().monotonic() > end:
            return list(found)
        clock().wait(1.0)
