"""Stored and idle: N schedules, none due for hours. What starting and waiting cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ops.bench.contenders import contender, known
from ops.bench.farm import Farm
from ops.bench.many import lay_many
from ops.bench.options import Options
from ops.bench.watch import watch
from runtime.clock import clock

NAME = "idle"
TITLE = "Stored and idle: N schedules, none due for hours"
_FAR_S = 6 * 3600.0
_CUT_S = 120.0
_SETTLE_S = 4.0
_IMPORTS = """
import celery.apps.beat, celery.bin.celery
from workers import app
app.loader.init_worker()
app.finalize()
import beat.scheduler
"""


def run(options: Options) -> dict[str, Any]:
    """Rows for ours and the peers; a peer's sizes are those that it starts with in reasonable time."""
    rows = []
    window_s = options.sizes(short=15.0, full=60.0)
    for peer, count in _cases(options):
        rows.append(_measured(peer, count, window_s))
        row = rows[-1]
        options.say(f"  {row['name']}, {count}: up after {row['start_s']:.2f} s, {row['rss_mb']:.0f} MB")
    return {"rows": rows, "window_s": window_s}


def _cases(options: Options) -> Iterator[tuple[ModuleType, int]]:
    for count in options.sizes(short=(1_000, 100_000), full=(1_000, 100_000, 1_000_000)):
        yield contender("ours"), count
    for module in known():
        if module == "procrastinate_":
            continue  # its schedules are code, declared by the hand of a person
        for count in options.sizes(short=(1_000,), full=(1_000, 10_000)):
            yield contender(module), count


def _measured(peer: ModuleType, count: int, window_s: float) -> dict[str, Any]:
    """Start-up until one overdue schedule is on the broker, then a window in which nothing is due."""
    with Farm() as farm, farm.broker() as client:
        if peer.NAME == "Jeongsi":
            lay_many(farm, count)
        now = clock().now().timestamp()
        far = [now + _FAR_S + n % 3600 for n in range(count)] if peer.NAME != "Jeongsi" else []
        peer.lay(farm, [now + 0.5, *far])
        clock().wait(max(0.0, now + 1.5 - clock().now().timestamp()))  # overdue, when the scheduler starts
        began = clock().now().timestamp()
        peer.start(farm)
        seen = watch(client, peer, 1, began + _CUT_S, lambda: farm.running("scheduler"))
        clock().wait(_SETTLE_S)
        before = farm.cpu_s()
        clock().wait(window_s)
        after = farm.cpu_s()
        minutes = window_s / 60
        return {
            "name": peer.NAME, "count": count,
            "start_s": round((seen.first or float("inf")) - began, 3),
            "import_s": _import_s(farm) if peer.NAME == "Jeongsi" else None,
            "rss_mb": round(farm.rss_mb("scheduler"), 1),
            "cpu_s_per_minute": round((after["scheduler"] - before["scheduler"]) / minutes, 2),
            "servers_cpu_s_per_minute": round(
                (after["postgres"] + after["redis"] - before["postgres"] - before["redis"]) / minutes, 2
            ),
        }  # fmt: skip


def _import_s(farm: Farm) -> float:
    """Seconds that Python and a beat's imports take by themselves; the least of five."""
    took = []
    for _ in range(5):
        began = clock().monotonic()
        subprocess.run([sys.executable, "-c", _IMPORTS], env=farm.environment, check=True)
        took.append(clock().monotonic() - began)
    return round(min(took), 3)
