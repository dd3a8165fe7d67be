"""Growth: how the time of a burst grows with what is due, and with what is merely stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ops.bench.burst import OURS, Case, measured
from ops.bench.contenders import contender, known
from ops.bench.goals import AHEAD, CLAIMING
from ops.bench.options import Options

NAME = "growth"
TITLE = "Growth: a burst against what is due and what is stored"
DUE = 1_000  # of each size of what is stored
_PEERS = ("celery_beat", "redbeat_")


def run(options: Options) -> dict[str, Any]:
    """Rows with ``due`` and ``stored``; peers as far as they are done in reasonable time."""
    rows = []
    for case in _cases(options):
        row = measured(case)
        rows.append({"due": row["count"], "stored": row["count"] + case.stored} | row)
        options.say(f"  {case.name}, {row['count']} due, {case.stored} more stored: {row['last_s']:.4f} s")
    return {"rows": rows}


def _cases(options: Options) -> Iterator[Case]:
    ours = contender("ours")
    for name in (AHEAD, CLAIMING):
        for due in options.sizes(short=(1, 100), full=(1, 10, 100, 1_000, 10_000, 100_000)):
            yield Case(name, ours, due, OURS[name])
    for stored in options.sizes(short=(0, 100_000), full=(0, 10_000, 100_000, 1_000_000)):
        yield Case(CLAIMING, ours, DUE, OURS[CLAIMING], stored)
    for module in (one for one in _PEERS if one in known()):
        peer = contender(module)
        for due in options.sizes(short=(1, 100), full=(1, 10, 100, 1_000, 10_000)):
            yield Case(peer.NAME, peer, due, {})
        for stored in options.sizes(short=(0,), full=(0, 9_000)):
            yield Case(peer.NAME, peer, DUE, {}, stored)
