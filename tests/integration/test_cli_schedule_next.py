"""`schedule next --json`: a list of ISO 8601 instants with offset, for a saved schedule or for flags."""

from __future__ import annotations

import os
from datetime import datetime

import pytest

from tests.support.cli import jeongsi, jeongsi_script
from tests.support.ledger_world import World

AFTER = "2026-11-21T08:50:00+09:00"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--type", "regular"), ["2026-11-21T09:00:00+09:00", "2026-11-21T09:30:00+09:00"]),
        (
            ("--type", "peak", "--peak-hours", "8,9"),
            ["2026-11-21T09:00:00+09:00", "2026-11-21T09:15:00+09:00"],
        ),
        (("--type", "daily", "--time", "08:50"), ["2026-11-22T08:50:00+09:00", "2026-11-23T08:50:00+09:00"]),
        (
            ("--type", "weekly", "--time", "10:00", "--weekdays", "monday,saturday"),
            ["2026-11-21T10:00:00+09:00", "2026-11-23T10:00:00+09:00"],
        ),
        (("--type", "once", "--date", "2026-12-24", "--time", "18:00"), ["2026-12-24T18:00:00+09:00"]),
        (("--type", "once", "--date", "2026-01-01", "--time", "18:00"), []),
        (
            ("--type", "daily", "--time", "02:30", "--tz", "America/New_York"),
            ["2026-11-21T02:30:00-05:00", "2026-11-22T02:30:00-05:00"],
        ),
        (
            ("--type", "daily", "--time", "09:00", "--valid-until", "2026-11-21T09:00:00+09:00"),
            ["2026-11-21T09:00:00+09:00"],
        ),
        (
            ("--type", "regular", "--type", "peak", "--peak-hours", "9"),
            ["2026-11-21T09:00:00+09:00", "2026-11-21T09:15:00+09:00"],
        ),
    ],
)
def test_flags_are_answered_without_a_database(
    flags: tuple[str, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    answer = jeongsi("schedule", "next", *flags, "--after", AFTER, "--count", "2", "--json")
    assert (answer.code, answer.json) == (0, expected)


def test_a_saved_schedule_is_answered_by_its_number(world: World, ledger_env: dict[str, str]) -> None:
    world.room("강남")
    schedule = world.schedule("강남", schedule_type="regular")
    answer = jeongsi("schedule", "next", schedule, "--after", AFTER, "--count", "3", "--json")
    expected = ["2026-11-21T09:00:00+09:00", "2026-11-21T09:30:00+09:00", "2026-11-21T10:00:00+09:00"]
    first = world.value("SELECT valid_from FROM kb_schedule WHERE id = %s", schedule)
    assert (
        answer.json == [one for one in expected if datetime.fromisoformat(one) >= first]
        or len(answer.json) == 3
    )
    assert len(jeongsi("schedule", "next", schedule).out.splitlines()) == 10


def test_the_console_script_answers_in_json_alone() -> None:
    answer = jeongsi_script(
        "schedule", "next", "--type", "regular", "--count", "2", "--json", env=dict(os.environ)
    )
    assert answer.code == 0, answer.err
    found = [datetime.fromisoformat(one) for one in answer.json]
    assert len(found) == 2
    assert all(one.utcoffset() is not None and one.minute in (0, 30) for one in found)
