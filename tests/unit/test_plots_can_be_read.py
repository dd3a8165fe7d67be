"""The benchmarks' charts: every name is whole, and none lies on another."""

from __future__ import annotations

import re

from ops.bench.plot import bars, lines


def _height_of(name: str, chart: str) -> float:
    found = re.search(rf'y="([\d.]+)" fill="[^"]+">{name}<', chart)
    assert found, chart
    return float(found[1])


def test_a_long_name_has_room_before_its_bar() -> None:
    name = "naive task: lock, compare-and-set, POST, done (prefork 2)"
    chart = bars("sends", ["Jeongsi", name], [2.0, 1.0], "/s")
    ends_at = re.search(rf'<text x="(\d+)"[^>]*text-anchor="end">{re.escape(name)}<', chart)
    assert ends_at
    assert int(ends_at[1]) > 7 * len(name)


def test_names_of_lines_that_end_together_stand_below_each_other() -> None:
    chart = lines("growth", {one: [(1, 0.01), (1000, 1.3)] for one in ("red", "green", "blue")})
    heights = sorted(_height_of(one, chart) for one in ("red", "green", "blue"))
    assert heights[1] - heights[0] >= 14
    assert heights[2] - heights[1] >= 14


def test_names_of_lines_that_end_apart_stay_at_their_lines() -> None:
    chart = lines("growth", {"red": [(1, 0.01), (1000, 1.0)], "blue": [(1, 0.01), (1000, 0.01)]})
    assert _height_of("blue", chart) > _height_of("red", chart) + 100
