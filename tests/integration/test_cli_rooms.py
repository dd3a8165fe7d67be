"""Rooms by command: limits have hard bounds, and loosening one needs a reason that is kept."""

from __future__ import annotations

import pytest

from tests.support.cli import jeongsi
from tests.support.ledger_world import World


@pytest.fixture(autouse=True)
def _emulator(ledger_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_EMULATOR_URL", "http://127.0.0.1:9")


def add(*flags: object, room: str = "강남") -> str:
    answer = jeongsi("room", "add", room, "--channel", "emulator-key", *flags)
    assert answer.code == 0, answer.said
    return answer.out


def test_a_room_is_added_listed_and_shown(world: World) -> None:
    add("--name", "강남지점 공지방", "--type", "test")
    [listed] = jeongsi("room", "list", "--json").json
    assert listed["room"] == "강남"
    assert (listed["name"], listed["type"], listed["channel"]) == ("강남지점 공지방", "test", "emulator-key")
    assert (listed["gap_s"], listed["quota"], listed["schedules"]) == (30.0, 50, 0)
    shown = jeongsi("room", "show", "강남", "--json").json
    assert (shown["used_today"], shown["free_at"]) == (0, None)
    assert "강남지점 공지방" in jeongsi("room", "list").out


def test_a_looser_limit_needs_a_reason_and_keeps_who_gave_it(world: World) -> None:
    refused = jeongsi("room", "add", "강남", "--channel", "emulator-key", "--quota", "80")
    assert refused.code == 2
    assert "--reason: a quota of 80 (default 50) is looser" in refused.err
    add("--quota", "80", "--reason", "본사 승인", "--as", "김본사")
    shown = jeongsi("room", "show", "강남", "--json").json
    assert (shown["quota"], shown["reason"], shown["limits_by"]) == (80, "본사 승인", "김본사")


def test_a_tighter_limit_needs_no_reason(world: World) -> None:
    add("--gap", "60", "--quota", "10")
    assert jeongsi("room", "show", "강남", "--json").json["gap_s"] == 60.0


@pytest.mark.parametrize(
    ("flag", "value"), [("--gap", "4.9"), ("--gap", "86401"), ("--quota", "501"), ("--quota", "0")]
)
def test_no_reason_opens_the_hard_bounds(world: World, flag: str, value: str) -> None:
    answer = jeongsi("room", "add", "강남", "--channel", "emulator-key", flag, value, "--reason", "급함")
    assert answer.code == 2
    assert "out of bounds" in answer.err
    assert world.value("SELECT count(*) FROM rooms") == 0


def test_the_channel_must_be_one_that_the_settings_know(world: World) -> None:
    unclear = jeongsi("room", "add", "강남")
    unknown = jeongsi("room", "add", "강남", "--channel", "iris")
    for answer in (unclear, unknown):
        assert answer.code == 2
        assert "emulator-key, emulator-lookup, emulator-none" in answer.err


def test_a_room_is_not_added_twice(world: World) -> None:
    add()
    answer = jeongsi("room", "add", "강남", "--channel", "emulator-key")
    assert answer.code == 2
    assert "There is a room '강남' already" in answer.err


def test_a_room_is_changed_and_what_is_not_named_stays(world: World) -> None:
    add("--name", "강남", "--device", "갤럭시-1")
    assert jeongsi("room", "set", "강남", "--gap", "45", "--name", "강남 본점").code == 0
    shown = jeongsi("room", "show", "강남", "--json").json
    assert (shown["name"], shown["gap_s"], shown["quota"], shown["device"]) == (
        "강남 본점",
        45.0,
        50,
        "갤럭시-1",
    )
    assert jeongsi("room", "set", "강남", "--device", "").code == 0
    assert jeongsi("room", "show", "강남", "--json").json["device"] is None


def test_the_type_of_a_room_with_schedules_stays(world: World) -> None:
    world.room("강남")
    world.schedule("강남", schedule_type="daily", schedule_time="09:00")
    answer = jeongsi("room", "set", "강남", "--type", "live")
    assert answer.code == 1
    assert "1 schedule made for a test room" in answer.err
