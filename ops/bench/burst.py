"""Burst: N schedules due at one instant; how long until the last of them is on the broker."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ops.bench.contenders import contender, known
from ops.bench.farm import Farm
from ops.bench.many import lay_many
from ops.bench.options import Options
from ops.bench.watch import Seen, watch
from runtime.clock import clock

NAME = "burst"
TITLE = "Burst: N schedules due at one instant"
FAR_S = 6 * 3600.0
CUT_S = 15.0  # a contender is cut off so long after the instant, and its total extrapolated

#: Ours in its ways: (row's name, settings).
OURS = {
    "Jeongsi, prepared ahead": {"JEONGSI_HINT_MAX": "1"},
    "Jeongsi, prepared ahead, K to 100": {"JEONGSI_HINT_MAX": "100"},
    "Jeongsi, claiming at the instant": {"JEONGSI_HINT_MAX": "1", "JEONGSI_PREPARE_AHEAD_S": "0.001"},
    "Jeongsi, claiming, K to 100": {"JEONGSI_HINT_MAX": "100", "JEONGSI_PREPARE_AHEAD_S": "0.001"},
}


@dataclass(frozen=True)
class Case:
    """One row of the table. ``stored``: so many more schedules, none of them due for hours."""

    name: str
    contender: ModuleType
    count: int
    env: dict[str, str]
    stored: int = 0


def run(options: Options) -> dict[str, Any]:
    """All contenders, the sizes that they bear; answers rows."""
    rows = []
    for case in _cases(options):
        runs = [measured(case) for _ in range(options.repeat if case.name.startswith("Jeongsi") else 1)]
        rows.append(sorted(runs, key=lambda row: row["last_s"])[len(runs) // 2])
        options.say(f"  {case.name}, {case.count}: last after {rows[-1]['last_s']:.3f} s")
    return {"rows": rows}


def _cases(options: Options) -> Iterator[Case]:
    ours = contender("ours")
    for count in options.sizes(short=(1_000, 10_000), full=(1_000, 10_000, 50_000)):
        for name, env in OURS.items():
            yield Case(name, ours, count, env)
    slow = {"sqlalchemy_celery_beat_", "procrastinate_", "apscheduler_"}
    for module in known():
        for count in options.sizes(
            short=(1_000,) if module in slow else (1_000, 10_000), full=(1_000, 10_000)
        ):
            peer = contender(module)
            yield Case(peer.NAME, peer, count, {})


def measured(case: Case, lead_s: float | None = None) -> dict[str, Any]:
    """One run; again with more time ahead if laying and starting took too long."""
    lead = lead_s or 8.0 + case.count / 600 + (0 if case.contender.NAME == "Jeongsi" else case.stored / 300)
    with Farm(**case.env) as farm, farm.broker() as client:
        if case.contender.NAME == "Jeongsi" and case.stored:
            lay_many(farm, case.stored)
        due = math.ceil(clock().now().timestamp() + lead)
        far = [due + FAR_S + n for n in range(case.stored if case.contender.NAME != "Jeongsi" else 0)]
        case.contender.lay(farm, [float(due)] * case.count + far)
        case.contender.start(farm)
        ready = clock().now().timestamp()
        if ready > due - 3.0:
            return measured(case, lead + 2 * (ready - due + 6.0))
        clock().wait(due - 2.5 - ready)
        before, rss = farm.cpu_s(), farm.rss_mb("scheduler")
        seen = watch(client, case.contender, case.count, due + CUT_S, lambda: farm.running("scheduler"))
        return _row(case, due, seen, before, farm.cpu_s(), rss, farm.rss_mb("scheduler"))


def _row(
    case: Case,
    due: float,
    seen: Seen,
    before: dict[str, float],
    after: dict[str, float],
    rss: float,
    rss_after: float,
) -> dict[str, Any]:
    if seen.first is None or seen.last is None:
        raise RuntimeError(f"{case.name} pushed nothing within {CUT_S:g} s")
    last = seen.last - due
    used = {name: after[name] - before.get(name, 0.0) for name in after}
    told = max(seen.schedules, 1)
    return {
        "name": case.name, "count": case.count, "first_s": round(seen.first - due, 4),
        "last_s": round(last if seen.complete else last * case.count / told, 4),
        "extrapolated": not seen.complete, "seen": seen.schedules,
        "cpu_us": round(used.get("scheduler", 0.0) / told * 1e6, 1),
        "servers_cpu_us": round((used.get("postgres", 0.0) + used.get("redis", 0.0)) / told * 1e6, 1),
        "rss_mb": round(rss_after, 1), "rss_growth_mb": round(rss_after - rss, 1),
    }  # fmt: skip
