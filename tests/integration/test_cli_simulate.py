"""`jeongsi simulate`: what the schedules of a real database would send."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.cli import jeongsi
from tests.support.environment import clear_caches
from tests.support.ledger_world import World

SPAN = ("--from", "2027-03-01", "--to", "2027-03-02")


def test_a_day_is_counted_by_room_and_what_stays_away_has_its_remedy(
    world: World, ledger_env: dict[str, str]
) -> None:
    world.room("강남", quota=40)
    world.room("부산")
    world.schedule("강남", schedule_type="regular")
    world.schedule("부산", schedule_type="daily", schedule_time="09:00")
    answer = jeongsi("simulate", *SPAN)
    assert answer.code == 0, answer.err
    assert "49 promised, 41 go out, 8 stay away." in answer.out
    assert "Fullest minute: 2027-03-01 09:00:00 with 2 due." in answer.out
    assert "First skipped: quota" in answer.out
    assert "2027-03-01 20:00:00" in answer.out
    assert "jeongsi room set 강남 --quota" in answer.out


def test_programs_get_json_with_every_slot(world: World, ledger_env: dict[str, str]) -> None:
    world.room("강남")
    schedule = world.schedule("강남", schedule_type="regular")
    told = jeongsi("simulate", *SPAN, "--schedule", schedule, "--each", "--json").json
    assert told["promised"] == 48
    assert told["states"] == {"goes_out": 48}
    assert told["each"][1]["at"] == "2027-03-01T00:30:00+09:00"
    assert told["each"][1]["slot"].startswith(f"{schedule}-")
    assert told["rooms"]["강남"]["goes_out"] == 48


def test_rooms_of_one_iris_device_take_turns(
    world: World, ledger_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAKAO_BOT_URL", "phone=iris+http://127.0.0.1:1")
    clear_caches()
    for room in ("101", "102"):
        world.room(room)
        world.schedule(room, schedule_type="daily", schedule_time="09:00")
    world.db.execute("UPDATE rooms SET channel = 'phone'")
    told = jeongsi("simulate", *SPAN, "--send-seconds", 5, "--json").json
    assert sorted(room["longest_wait_s"] for room in told["rooms"].values()) == [0.0, 5.0]


def test_an_outage_shows_what_it_would_cost(world: World, ledger_env: dict[str, str]) -> None:
    world.room("강남")
    world.schedule("강남", schedule_type="regular")
    down = "2027-03-01 08:50..2027-03-01 10:20"
    told = jeongsi("simulate", *SPAN, "--down", down, "--json").json
    assert told["rooms"]["강남"]["stays_away"] == {"expired: not_dispatched": 1, "expired: scheduler_down": 2}


def test_every_slot_goes_into_a_file_that_a_spreadsheet_reads(
    world: World, ledger_env: dict[str, str], tmp_path: Path
) -> None:
    world.room("강남")
    world.schedule("강남", schedule_type="peak", peak_hours="9")
    path = tmp_path / "simulated.csv"
    assert jeongsi("simulate", *SPAN, "--csv", path).code == 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["time"][11:] for row in rows] == ["09:00:00", "09:15:00", "09:30:00", "09:45:00"]


def test_the_past_is_replayed_by_its_history(world: World, ledger_env: dict[str, str]) -> None:
    world.room("강남")
    schedule = world.schedule("강남", schedule_type="regular")
    born = world.time.now
    world.time.advance(2 * 3600)
    world.db.execute(
        "UPDATE kb_schedule SET schedule_type = 'daily', schedule_time = '00:07' WHERE id = %s", (schedule,)
    )
    start, end = born - timedelta(hours=1), born + timedelta(hours=26)
    told = jeongsi("simulate", "--from", start.isoformat(), "--to", end.isoformat(), "--each", "--json").json
    minutes = [one["at"][14:16] for one in told["each"]]
    assert len(minutes) in (5, 6)  # two hours of halves, then one day's single time
    assert set(minutes[:-1]) == {"00", "30"}
    assert minutes[-1] == "07"


def test_a_span_that_runs_backwards_and_a_time_that_is_none_are_refused(
    world: World, ledger_env: dict[str, str]
) -> None:
    backwards = jeongsi("simulate", "--from", "2027-03-02", "--to", "2027-03-01")
    assert backwards.code == 2
    assert "is not after" in backwards.err
    assert "Write 2026-12-01" in jeongsi("simulate", "--from", "soon", "--to", "2027-03-01").err
    assert "is no time span" in jeongsi("simulate", *SPAN, "--down", "2027-03-01").err
    assert "no such schedule" in jeongsi("simulate", *SPAN, "--schedule", "99").err
