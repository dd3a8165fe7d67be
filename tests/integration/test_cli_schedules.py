"""Schedules by command: saved as the columns say, changed with a view of what that does, never lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.support.cli import Answer, jeongsi
from tests.support.ledger_world import World


@pytest.fixture(autouse=True)
def _rooms(world: World, ledger_env: dict[str, str]) -> None:
    world.room("강남")
    world.room("서초")


def add(*flags: object, title: str = "공지", room: str = "강남", text: str = "안녕 {time}") -> int:
    answer = jeongsi("schedule", "add", "--title", title, "--room", room, "--text", text, *flags, "--json")
    assert answer.code == 0, answer.said
    return int(answer.json["id"])


def edit(schedule: int, *flags: object) -> Answer:
    answer = jeongsi("schedule", "edit", schedule, *flags)
    assert answer.code == 0, answer.said
    return answer


def show(schedule: int) -> dict[str, object]:
    found: dict[str, object] = jeongsi("schedule", "show", schedule, "--json").json
    return found


def picture(folder: Path, name: str) -> Path:
    path = folder / name
    Image.new("RGB", (8, 8), "yellow").save(path)
    return path


@pytest.mark.parametrize(
    ("flags", "rules"),
    [
        (("--type", "daily", "--time", "09:00"), [{"kind": "daily", "time": "09:00:00"}]),
        (
            ("--type", "weekly", "--time", "18:30", "--weekdays", "friday,monday"),
            [{"kind": "weekly", "time": "18:30:00", "weekdays": ["monday", "friday"]}],
        ),
        (("--type", "regular"), [{"kind": "regular"}]),
        (("--type", "peak", "--peak-hours", "8-10"), [{"kind": "peak", "hours": [8, 9, 10]}]),
        (("--type", "cron", "--cron", "0 17 25 * *"), [{"kind": "cron", "expr": "0 17 25 * *"}]),
        (
            ("--type", "regular", "--type", "peak", "--peak-hours", "9", "--accept-limit"),
            [{"kind": "regular"}, {"kind": "peak", "hours": [9]}],
        ),
    ],
)
def test_every_kind_is_saved_as_the_planner_reads_it(
    world: World, flags: tuple[str, ...], rules: list[dict[str, object]]
) -> None:
    schedule = add(*flags)
    assert show(schedule)["rules"] == rules
    assert world.value("SELECT rules FROM schedule_clock WHERE schedule_id = %s", schedule) == rules


def test_who_adds_a_schedule_stands_in_its_history(world: World) -> None:
    schedule = add("--type", "regular", "--as", "김지점")
    assert world.value("SELECT who FROM kb_schedule_history WHERE schedule_id = %s", schedule) == "김지점"


def test_images_are_kept_under_dated_numbered_names(world: World, tmp_path: Path) -> None:
    schedule = add(
        "--type", "daily", "--time", "09:00",
        "--image", picture(tmp_path, "promotion.png"), "--image", picture(tmp_path, "행사.png"),
    )  # fmt: skip
    images = show(schedule)["images"]
    assert isinstance(images, list)
    assert [one["original_name"] for one in images] == ["promotion.png", "행사.png"]
    assert re.fullmatch(r"promotion_\d{8}_001\.png", images[0]["filename"])
    assert re.fullmatch(r"image_\d{8}_001\.png", images[1]["filename"])
    assert show(schedule)["send_order"] == "text_first"
    assert world.value("SELECT data FROM images WHERE id = %s", images[0]["id"])[:4] == b"\x89PNG"


def test_the_same_image_is_kept_once(world: World, tmp_path: Path) -> None:
    for title in ("하나", "둘"):
        add("--type", "daily", "--time", "09:00", "--image", picture(tmp_path, "a.png"), title=title)
    assert world.value("SELECT count(*) FROM images") == 1


def test_more_slots_than_the_quota_are_saved_when_accepted_and_the_warning_stays(world: World) -> None:
    answer = jeongsi(
        "schedule", "add", "--title", "피크", "--room", "강남", "--text", "x", "--type", "regular",
        "--type", "peak", "--peak-hours", "8-19", "--accept-limit",
    )  # fmt: skip
    assert answer.code == 0
    assert "limit 50" in answer.err
    assert "limit" not in answer.out


def test_lists_show_what_people_made(world: World) -> None:
    add("--type", "regular", title="장부 모니터링")
    world.schedule(
        "서초", schedule_type="once", schedule_date="2999-01-01", schedule_time="09:00", origin="demo"
    )
    listed = jeongsi("schedule", "list", "--json").json
    assert [one["title"] for one in listed] == ["장부 모니터링"]
    assert listed[0]["when"] == "every hour at :00 and :30 (Asia/Seoul)"
    assert len(jeongsi("schedule", "list", "--all", "--json").json) == 2
    assert jeongsi("schedule", "list", "--room", "서초", "--all", "--json").json[0]["origin"] == "demo"
    assert "장부 모니터링" in jeongsi("schedule", "list").out


def test_an_edit_shows_what_changes_and_keeps_the_rest(world: World) -> None:
    schedule = add("--type", "daily", "--time", "09:00", "--priority", "3")
    said = edit(schedule, "--time", "10:00").out
    assert "schedule_time: 09:00:00 -> 10:00:00" in said
    assert "Saved as version 2" in said
    shown = show(schedule)
    assert (shown["priority"], shown["text"]) == (3, "안녕 {time}")


def test_an_edit_says_what_happens_to_slots_that_stand_already(world: World) -> None:
    schedule = add("--type", "regular")
    world.plan(schedule)
    assert (
        "1 slot due, not started: each keeps its time and goes out with the new content"
        in edit(schedule, "--text", "새 글").out
    )
    assert "1 slot due, not started: each is cancelled (room_changed)" in edit(schedule, "--room", "서초").out


def test_a_dry_run_writes_nothing(world: World) -> None:
    schedule = add("--type", "daily", "--time", "09:00")
    assert "Not saved" in edit(schedule, "--time", "10:00", "--dry-run").out
    assert show(schedule)["version"] == 1


def test_a_new_type_begins_the_timing_anew(world: World) -> None:
    schedule = add("--type", "daily", "--time", "09:00")
    edit(schedule, "--type", "regular")
    assert show(schedule)["rules"] == [{"kind": "regular"}]
    refused = jeongsi("schedule", "edit", schedule, "--time", "10:00")
    assert refused.code == 2
    assert "--time: regular does not use it" in refused.err


def test_images_come_and_go_and_the_send_order_follows(world: World, tmp_path: Path) -> None:
    schedule = add("--type", "daily", "--time", "09:00")
    edit(schedule, "--image", picture(tmp_path, "a.png"))
    assert show(schedule)["send_order"] == "text_first"
    edit(schedule, "--no-images")
    assert (show(schedule)["send_order"], show(schedule)["images"]) == ("text_only", [])


def test_a_new_title_touches_no_slot(world: World) -> None:
    schedule = add("--type", "regular")
    edit(schedule, "--title", "새 제목")
    assert (show(schedule)["title"], show(schedule)["version"]) == ("새 제목", 1)


def test_the_same_values_again_change_nothing(world: World) -> None:
    schedule = add("--type", "daily", "--time", "09:00")
    assert "Nothing changes" in edit(schedule, "--time", "09:00").out


def test_a_paused_schedule_sends_nothing_until_it_is_resumed(world: World) -> None:
    schedule = add("--type", "regular")
    world.plan(schedule)
    assert "1 slot will not be sent" in jeongsi("schedule", "pause", schedule).out
    assert world.value("SELECT reason FROM slots WHERE schedule_id = %s", schedule) == "paused"
    assert show(schedule)["status"] == "inactive"
    assert "is inactive already" in jeongsi("schedule", "pause", schedule).out
    assert "runs again. Next: " in jeongsi("schedule", "resume", schedule).out
    assert show(schedule)["status"] == "active"


def test_a_one_off_that_is_past_is_not_resumed(world: World) -> None:
    schedule = world.schedule(
        "강남", schedule_type="once", schedule_date="2020-01-01", schedule_time="09:00", status="inactive"
    )
    answer = jeongsi("schedule", "resume", schedule)
    assert answer.code == 2
    assert "is past" in answer.err


def test_deleting_asks_first_and_keeps_the_proof(world: World) -> None:
    schedule = add("--type", "regular")
    world.plan(schedule)
    asked = jeongsi("schedule", "delete", schedule)
    assert asked.code != 0
    assert jeongsi("schedule", "delete", schedule, "--yes").code == 0
    assert jeongsi("schedule", "show", schedule).code == 2
    assert (
        world.value("SELECT state || ' ' || reason FROM slots WHERE schedule_id = %s", schedule)
        == "cancelled deleted"
    )
    assert world.value("SELECT count(*) FROM kb_schedule WHERE id = %s", schedule) == 1
