"""The figures of a run as tables and plots: `python -m ops.bench.page bench.json` writes docs/performance.md.

What a person wrote around the tables stays: only what stands between the two marks is written anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.bench import goals
from ops.bench.growth import DUE
from ops.bench.plot import bars, lines

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "performance.md"
IMAGES = _ROOT / "docs" / "images" / "bench"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

#: Per benchmark: (column's head, key), the value to plot and its unit.
COLUMNS: dict[str, list[tuple[str, str]]] = {
    "burst": [
        ("contender", "name"), ("N", "count"), ("first (s)", "first_s"), ("last (s)", "last_s"),
        ("scheduler CPU (µs/slot)", "cpu_us"), ("servers CPU (µs/slot)", "servers_cpu_us"),
        ("RSS (MB)", "rss_mb"), ("grew (MB)", "rss_growth_mb"),
    ],
    "idle": [
        ("contender", "name"), ("stored", "count"), ("start-up (s)", "start_s"), ("imports (s)", "import_s"),
        ("RSS (MB)", "rss_mb"),
        ("scheduler CPU (s/min)", "cpu_s_per_minute"), ("servers CPU (s/min)", "servers_cpu_s_per_minute"),
    ],
    "lateness": [
        ("contender", "name"), ("came", "came"), ("min (ms)", "min"), ("p50 (ms)", "p50"),
        ("p99 (ms)", "p99"), ("max (ms)", "max"),
    ],
    "growth": [
        ("contender", "name"), ("due", "due"), ("stored", "stored"), ("last (s)", "last_s"),
        ("scheduler CPU (µs/slot)", "cpu_us"), ("servers CPU (µs/slot)", "servers_cpu_us"),
        ("RSS (MB)", "rss_mb"),
    ],
    "sends": [
        ("", "name"), ("slots", "slots"), ("twice", "twice"), ("per second", "per_s"),
        ("CPU in all (µs/slot)", "cpu_us_in_all"), ("of it", "cpu_us_per_slot"),
    ],
    "confirm": [
        ("", "name"), ("slots", "slots"), ("per second", "per_s"),
        ("CPU in all, with the start of the workers (µs/slot)", "cpu_us_in_all"),
        ("of it", "cpu_us_per_slot"),
    ],
    "endtoend": [("", "name"), ("rooms", "slots"), ("twice", "twice"), ("late (s)", "late_s")],
    "iris": [
        ("", "name"), ("rooms", "rooms"), ("twice", "twice"), ("per second", "per_s"),
        ("the devices' own limit", "limit_per_s"), ("share", "share"), ("last (s)", "last_s"),
        ("CPU without the emulator (µs/message)", "cpu_us_in_all"),
    ],
    "tracking": [
        ("", "name"), ("orders", "orders"), ("took (s)", "took_s"), ("orders a second", "per_s"),
        ("times the loop", "times"), ("calls", "calls"), ("failed", "failed"),
        ("stored again", "stored_again"), ("overwritten", "overwritten"), ("RSS of a worker (MB)", "rss_mb"),
        ("CPU (µs/order)", "cpu_us_per_order"),
    ],
    "stock": [
        ("", "name"), ("sends", "sends"), ("kills", "kills"), ("posted twice", "twice"),
        ("never posted", "never"), ("still waiting", "stuck"), ("unresolved", "unresolved"),
    ],
}  # fmt: skip
PLOTS = {
    "burst": ("last_s", "s"),
    "idle": ("rss_mb", "MB"),
    "lateness": ("p99", "ms"),
    "sends": ("per_s", "/s"),
}


def tables(report: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = [_machine(report), _goals(report["results"])]
    for name, result in report["results"].items():
        parts += [f"### {result['title']}", _table(COLUMNS[name], result["rows"])]
        if result.get("error"):
            parts.append(f"It ended early: `{result['error']}`")
        if name == "burst":
            parts.append(_ratios(result["rows"]))
        if result.get("sends"):
            heads = [("messages at the provider", "name"), ("came", "came"), ("p50 (ms)", "p50"),
                     ("p99 (ms)", "p99"), ("max (ms)", "max")]  # fmt: skip
            parts.append(_table(heads, result["sends"]))
        if result.get("schedulers"):
            heads = [("scheduler killed in a burst", "name"), ("schedules", "schedules"),
                     ("on the broker 20 s later", "on_the_broker"), ("missing", "missing")]  # fmt: skip
            parts.append(_table(heads, result["schedulers"]))
    return "\n\n".join(part for part in parts if part)


def _machine(report: Mapping[str, Any]) -> str:
    on = report["machine"]
    versions = ", ".join(f"{name} {found}" for name, found in on["versions"].items())
    return (
        f"{on['processor']}, {on['cores']} cores, {on['memory_gb']} GB, {on['system']},"
        f" Python {on['python']}; an fsync takes {on['fsync_us']} µs; load before {on['load_before']:.1f},"
        f" after {on['load_after']:.1f}. "
        f"{versions}."
    )


def _goals(results: Mapping[str, Any]) -> str:
    """Every goal beside its figure; a missed one stands in bold."""
    rows = [
        {
            "told": goal.told, "goal": f"{'≥' if goal.least else '≤'} {goal.limit:,g} {goal.unit}".strip(),
            "measured": f"{value:,.3g} {goal.unit}".strip() if value < 1000 else f"{value:,.0f} {goal.unit}",
            "met": "yes" if goal.met(value) else "**missed**",
        }
        for goal, value in goals.measured(results)
    ]  # fmt: skip
    heads = [("", "told"), ("goal", "goal"), ("measured", "measured"), ("met", "met")]
    return _table(heads, rows) if rows else ""


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| " + " | ".join(head for head, _ in columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row, key) for _, key in columns) + " |" for row in rows]
    return "\n".join(lines)


def _shown(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one:,}" for name, one in value.items())
    text = f"{value:,}" if isinstance(value, int | float) else str(value)
    return (
        f"~{text} (extrapolated from {row['seen']:,})"
        if key == "last_s" and row.get("extrapolated")
        else text
    )


def _ratios(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many times faster ours is, prepared ahead and claiming, at each peer's largest size."""
    ours = {(row["name"], row["count"]): row["last_s"] for row in rows}
    lines = []
    for row in rows:
        ahead = ours.get(("Jeongsi, prepared ahead", row["count"]))
        claiming = ours.get(("Jeongsi, claiming at the instant", row["count"]))
        if not row["name"].startswith("Jeongsi") and ahead and claiming:
            lines.append({
                "name": row["name"], "count": row["count"], "ahead": round(row["last_s"] / ahead),
                "claiming": round(row["last_s"] / claiming),
            })  # fmt: skip
    heads = [
        ("times faster than", "name"),
        ("N", "count"),
        ("prepared ahead", "ahead"),
        ("claiming", "claiming"),
    ]
    return _table(heads, lines) if lines else ""


def draw(report: Mapping[str, Any]) -> list[str]:
    """A plot for each benchmark into docs/images/bench; answers the Markdown that shows them."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    shown = []
    for name, (key, unit) in PLOTS.items():
        result = report["results"].get(name)
        if not result or not result["rows"]:
            continue
        labels = [f"{r['name']}" + (f", {r['count']:,}" if "count" in r else "") for r in result["rows"]]
        svg = bars(result["title"], labels, [float(row[key]) for row in result["rows"]], unit)
        (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")
        shown.append(f"![{result['title']}](images/bench/{name}.svg)")
    if growth := report["results"].get("growth", {}).get("rows"):
        for by in ("due", "stored"):
            title = f"Seconds until the last message of a burst, against schedules {by}"
            (IMAGES / f"growth-{by}.svg").write_text(lines(title, _series(growth, by)), encoding="utf-8")
            shown.append(f"![{title}](images/bench/growth-{by}.svg)")
    return shown


def _series(rows: Sequence[Mapping[str, Any]], by: str) -> dict[str, list[tuple[float, float]]]:
    """Each contender's points: all of it due at once, or one burst with ever more stored beside it."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        alone = row["due"] == row["stored"]
        if alone if by == "due" else row["due"] == DUE:
            found.setdefault(row["name"], []).append((float(row[by]), float(row["last_s"])))
    return {name: sorted(points) for name, points in found.items() if len(points) > 1}


def main() -> int:
    """Write the page from a run's raw figures."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    figures = "\n\n".join([tables(report), *draw(report)])
    PAGE.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
