"""How long a simulation takes: 1,000 schedules over 365 days, on one core. `python -m ops.bench.simulate`.

No database: the clocks are made here. Prints a table, then one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import resource
import statistics
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from beat.recurrence import WEEKDAYS
from beat.simulation import Load, RoomRules, simulate
from models.ledger.beat import ClockRow
from runtime.clock import clock

START = datetime(2026, 12, 31, 15, tzinfo=UTC)  # New Year in Korea
Rules = list[dict[str, Any]]


def daily(dice: random.Random, _number: int, _count: int) -> Rules:
    """Once a day, at one of 120 times."""
    return [{"kind": "daily", "time": f"{dice.randrange(24):02}:{dice.choice((0, 7, 15, 30, 45)):02}"}]


def mixed(dice: random.Random, number: int, count: int) -> Rules:
    """50 % daily, 20 % weekly, 15 % regular, 10 % peak from 8 to 19, 5 % cron or union."""
    share = number / count
    if share < 0.5:
        return daily(dice, number, count)
    if share < 0.7:
        days = dice.sample(WEEKDAYS, dice.randrange(1, 6))
        return [{"kind": "weekly", "time": f"{dice.randrange(24):02}:00", "weekdays": days}]
    if share < 0.85:
        return [{"kind": "regular"}]
    if share < 0.95:
        return [{"kind": "peak", "hours": list(range(8, 20))}]
    if share < 0.975:
        return [{"kind": "cron", "expr": f"{dice.randrange(60)} 9-18 * * 1-5"}]
    return [{"kind": "daily", "time": "09:00"}, {"kind": "daily", "time": "18:00"}]


def regular(_dice: random.Random, _number: int, _count: int) -> Rules:
    """All of them at :00 and :30: the most that people ask for."""
    return [{"kind": "regular"}]


KINDS: dict[str, Callable[[random.Random, int, int], Rules]] = {
    "daily": daily, "mixed": mixed, "regular": regular,
}  # fmt: skip


def load_of(kind: str, count: int) -> Load:
    """Schedules of one kind, a room each."""
    dice = random.Random(1)
    ever = START + timedelta(days=10_000)
    clocks = [
        ClockRow(
            number, "message", json.dumps(KINDS[kind](dice, number, count)), "Asia/Seoul", 1, START, None,
            None, START, True, START, ever, 300, None, "skip", 5, number,
        )
        for number in range(count)
    ]  # fmt: skip
    return Load(clocks, {number: RoomRules(30, 500) for number in range(count)})


def run(kind: str, count: int, days: int, times: int) -> dict[str, Any]:
    """Slots, the median of seconds, and this process's memory."""
    took = []
    slots = 0
    for _ in range(times):
        load = load_of(kind, count)
        began = clock().monotonic()
        slots = sum(len(chunk) for chunk in simulate(load, START, START + timedelta(days=days)))
        took.append(clock().monotonic() - began)
    seconds = statistics.median(took)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "kind": kind, "schedules": count, "days": days, "slots": slots, "seconds": round(seconds, 2),
        "us_per_slot": round(seconds / max(1, slots) * 1e6, 2), "peak_rss_mb": peak,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.simulate", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="else daily and mixed")
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args(argv)
    gc.disable()  # as the command does it
    found = []
    print(f"{'kind':8} {'slots':>10} {'seconds':>8} {'µs/slot':>8} {'RSS MB':>7}")
    for kind in options.kinds or ("daily", "mixed"):
        one = run(kind, options.schedules, options.days, options.times)
        print(
            f"{kind:8} {one['slots']:>10} {one['seconds']:>8} {one['us_per_slot']:>8} {one['peak_rss_mb']:>7}"
        )
        found.append(one)
    print(json.dumps({"python": platform.python_version(), "runs": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
