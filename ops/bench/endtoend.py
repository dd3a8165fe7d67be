"""End to end: 2,000 rooms at one instant through a bridge, until the provider has each message."""

from __future__ import annotations

from typing import Any

from ops.bench.options import Options
from ops.bench.sends import measured

NAME = "endtoend"
TITLE = "End to end: 2,000 rooms at one instant, receipt at the provider"
ROOMS = 2_000


def run(options: Options) -> dict[str, Any]:
    """Rows in seconds after the instant, from two worker processes."""
    rows = []
    for name, concurrency, delay_ms in (
        ("16 threads", 16, 0.0), ("64 threads", 64, 0.0), ("64 threads, provider 50 ms", 64, 50.0),
    ):  # fmt: skip
        row = measured(ROOMS, 2, concurrency, delay_ms)
        rows.append({"name": f"Jeongsi, 2 workers x {name}"} | row)
        options.say(f"  {name}: p50 {row['late_s']['p50']} s, max {row['late_s']['max']} s")
    return {"rows": rows}
