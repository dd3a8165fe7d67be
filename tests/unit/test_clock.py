"""The clock, and the lint that nobody goes past it."""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.clock import ManualClock, SystemClock, clock, set_clock

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "models", "gateways", "beat", "tasks", "workers", "api", "ops")
FORBIDDEN = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("time", "time"), ("time", "time_ns"), ("time", "monotonic"), ("time", "monotonic_ns"), ("time", "sleep"),
    ("time", "perf_counter"), ("time", "perf_counter_ns"),
}  # fmt: skip
START = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_clock() -> Iterator[None]:
    set_clock(None)
    yield
    set_clock(None)


def test_a_manual_clock_moves_only_when_told() -> None:
    manual = ManualClock(START)
    set_clock(manual)
    manual.advance(1.5)
    assert clock().now() == START + timedelta(seconds=1.5)
    assert clock().monotonic() == 1.5


def test_waiting_on_a_manual_clock_takes_its_time_and_none_of_ours() -> None:
    manual = ManualClock(START)
    assert manual.wait(3600) is False
    assert manual.monotonic() == 3600


def test_a_wait_ends_at_once_when_its_event_is_set() -> None:
    stop = threading.Event()
    stop.set()
    assert SystemClock().wait(3600, stop) is True
    assert ManualClock(START).wait(3600, stop) is True


def test_a_wait_for_nothing_returns_at_once() -> None:
    assert SystemClock().wait(-1) is False


def test_a_shifted_clock_shows_a_wrong_time_but_runs_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_CLOCK_SHIFT_S", "-3600")
    right = SystemClock()
    assert right.now() - clock().now() > timedelta(minutes=59)
    assert abs(right.monotonic() - clock().monotonic()) < 60


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001


def past_the_clock(source: str) -> list[str]:
    """Uses in `source` of the machine's clock or sleep, under whatever name they were imported."""
    tree = ast.parse(source)
    names: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: (alias.name,) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        first, *rest = ast.unparse(node).split(".")
        path = (*names.get(first, (first,)), *rest)
        if path[-2:] in FORBIDDEN:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.sleep(1)", "from time import monotonic\nmonotonic()", "import time as t\nt.time()",
     "from datetime import datetime\ndatetime.now()", "import datetime as d\nd.datetime.utcnow()",
     "from datetime import datetime\ndefault_factory=datetime.now"],
)  # fmt: skip
def test_the_lint_sees_every_way_past_the_clock(source: str) -> None:
    assert past_the_clock(source)


def test_the_lint_lets_our_clock_be() -> None:
    assert not past_the_clock("from runtime.clock import clock\nclock().now(); clock().monotonic()")


def test_only_the_clock_asks_the_machine_for_the_time() -> None:
    offenders = {
        str(path.relative_to(ROOT)): calls
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if path != ROOT / "runtime" / "clock.py"
        and (calls := past_the_clock(path.read_text(encoding="utf-8")))
    }
    assert offenders == {}
