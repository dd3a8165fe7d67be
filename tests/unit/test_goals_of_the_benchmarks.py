"""What the page of figures says of goals: met, missed, or nothing where a run did not measure."""

from __future__ import annotations

import importlib
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from ops.bench import __main__ as bench
from ops.bench import goals, page, plot


def report(**rows: list[dict[str, Any]]) -> dict[str, Any]:
    on = {
        "processor": "a processor", "cores": 2, "memory_gb": 8, "system": "Linux", "python": "3.11",
        "fsync_us": 80, "versions": {"celery": "5.6"}, "load_before": 0.1, "load_after": 0.2,
    }  # fmt: skip
    return {"machine": on, "results": {name: {"title": name, "rows": some} for name, some in rows.items()}}


def burst(name: str, count: int, last_s: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "count": count, "first_s": 0.01, "last_s": last_s, "extrapolated": False, "cpu_us": 9.0,
        "servers_cpu_us": 9.0, "rss_mb": 60.0, "rss_growth_mb": 1.0,
    } | more  # fmt: skip


def said(text: str, goal: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {goal} |")]
    return line


def test_a_missed_goal_is_said_and_a_met_one_too() -> None:
    text = page.tables(
        report(burst=[burst(goals.AHEAD, 10_000, 0.039), burst(goals.CLAIMING, 10_000, 0.351)])
    )
    assert said(text, "10,000 due, prepared ahead: last on the broker").endswith("| 0.039 s | yes |")
    assert said(text, "10,000 due, claiming at the instant").endswith("| 0.351 s | **missed** |")


def test_what_was_not_measured_is_no_goal_met() -> None:
    text = page.tables(report(burst=[burst(goals.AHEAD, 1_000, 0.005)]))
    assert "10,000 due" not in text
    assert "sooner than" not in text


def test_a_ratio_is_told_at_the_largest_size_that_both_were_measured_at() -> None:
    rows = [
        burst(goals.AHEAD, 1_000, 0.01), burst(goals.AHEAD, 10_000, 0.05), burst(goals.AHEAD, 50_000, 0.2),
        burst("celery-redbeat", 1_000, 0.9), burst("celery-redbeat", 10_000, 4.0),
    ]  # fmt: skip
    text = page.tables(report(burst=rows))
    assert said(text, "sooner than celery-redbeat, prepared ahead").endswith("| 80 × | **missed** |")


def test_nothing_that_came_is_a_goal_missed() -> None:
    nothing = {"name": "Jeongsi", "came": 0} | dict.fromkeys(("min", "p50", "p99", "max"), float("nan"))
    text = page.tables(report(lateness=[nothing]))
    assert text.count("**missed**") == 4


def test_an_early_message_misses_the_goal() -> None:
    early = {"name": "Jeongsi", "came": 4000, "min": -0.1, "p50": 1.0, "p99": 2.0, "max": 3.0}
    assert "**missed**" in said(page.tables(report(lateness=[early])), "never early: the first comes after")


def test_a_figure_from_a_contender_cut_off_says_so() -> None:
    text = page.tables(report(burst=[burst("celery beat", 10_000, 99.0, extrapolated=True, seen=1_500)]))
    assert "~99.0 (extrapolated from 1,500)" in text


@pytest.mark.parametrize("name", bench.ALL)
def test_every_benchmark_has_its_title_and_its_columns(name: str) -> None:
    module = importlib.import_module(f"ops.bench.{name}")
    assert name == module.NAME
    assert module.TITLE
    assert callable(module.run)
    assert page.COLUMNS[name]
    assert not {goal.benchmark for goal in goals.GOALS} - set(bench.ALL)


def test_the_plots_are_well_formed_whatever_the_figures() -> None:
    drawn = plot.lines("a < b", {"Jeongsi & we": [(1, 0.001), (1_000_000, 40.0)], "one": [(10, 1.0)]})
    ET.fromstring(drawn)
    ET.fromstring(plot.bars("a < b", ["Jeongsi & we", "none"], [0.5, float("nan")], "s"))
