"""Bad input is refused with the field, the reason and what would be right, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import jeongsi
from tests.support.ledger_world import World

DAILY = ("--type", "daily", "--time", "09:00")
TEXT = ("--text", "안녕하세요")


@pytest.fixture(autouse=True)
def nothing_is_written(world: World, ledger_env: dict[str, str]) -> Iterator[None]:
    world.room("강남")
    yield
    assert world.value("SELECT (SELECT count(*) FROM kb_schedule) + (SELECT count(*) FROM images)") == 0


def add(*flags: str, title: str = "공지", room: str = "강남") -> str:
    """Try to add a schedule; what is said of it."""
    answer = jeongsi("schedule", "add", "--title", title, "--room", room, *flags)
    assert answer.code == 2, answer.said
    assert answer.out == ""
    return answer.err


@pytest.mark.parametrize(
    ("flags", "field", "reason", "hint"),
    [
        (("--type", "cron", "--cron", "0 0 30 2 *"), "cron", "never comes", "a day that exists"),
        (("--type", "cron", "--cron", "every day"), "cron", "2 fields instead of 5", "*/15 8-19"),
        ((*DAILY, "--tz", "Asia/Soul"), "tz", "Asia/Soul", "Asia/Seoul"),
        (("--type", "once", "--date", "2020-01-01", "--time", "09:00"), "date", "is past", "after"),
        ((*DAILY, "--valid-from", "2026-12-01T00:00:00"), "valid-from", "no offset", "+09:00"),
        ((*DAILY, "--valid-until", "2020-01-01T00:00:00+09:00"), "valid-until", "is past", "after"),
        (("--type", "weekly", "--time", "09:00", "--weekdays", "funday"), "weekdays", "funday", "monday"),
        (("--type", "weekly", "--time", "09:00"), "weekdays", "", "monday"),
        (("--type", "daily", "--time", "25:00"), "time", "25:00", "09:00"),
        (("--type", "peak", "--peak-hours", "24"), "peak-hours", "24", "23"),
        (("--type", "hourly"), "type", "hourly", "regular"),
        ((), "type", "no type", "daily"),
        ((*DAILY, "--weekdays", "monday"), "weekdays", "does not use it", "leave it out"),
        ((*DAILY, "--misfire", "ask"), "misfire", "ask", "skip"),
        ((*DAILY, "--priority", "10"), "priority", "10", "0 to 9"),
        ((*DAILY, "--interval", "-1"), "interval", "-1", "0 to 3600"),
        ((*DAILY, "--validity", "soon"), "validity", "soon", "auto"),
        ((*DAILY, "--grace", "-5"), "grace", "-5", "0 to"),
        ((*DAILY, "--send-order", "sideways"), "send-order", "sideways", "text_first"),
    ],
)
def test_a_wrong_value_is_named_with_its_reason_and_what_is_right(
    flags: tuple[str, ...], field: str, reason: str, hint: str
) -> None:
    said = add(*TEXT, *flags)
    assert f"--{field}: " in said
    assert reason in said
    assert hint in said


def test_text_only_without_a_text_is_refused() -> None:
    assert "--text: text_only needs a text" in add(*DAILY, "--send-order", "text_only")


def test_an_unknown_room_is_refused_and_the_near_one_is_named() -> None:
    said = add(*DAILY, *TEXT, room="강남역")
    assert "there is no room '강남역'" in said
    assert "did you mean 강남?" in said


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "공지.png"
    fake.write_text("not a picture", encoding="utf-8")
    said = add(*DAILY, *TEXT, "--image", str(fake))
    assert "--image: 공지.png is no image" in said
    assert "JPEG, PNG, GIF or WebP" in said


def test_an_image_over_the_limit_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * (10 * 1024 * 1024))
    assert "at most 10,485,760" in add(*DAILY, *TEXT, "--image", str(large))


def test_an_image_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in add(*DAILY, *TEXT, "--image", str(tmp_path / "none.png"))


def test_more_slots_a_day_than_the_quota_need_an_explicit_yes() -> None:
    said = add("--type", "regular", "--type", "peak", "--peak-hours", "8-19", *TEXT)
    assert "limit 50: from 23:00 on nothing is sent" in said  # it is 09:00; tomorrow would end at 16:30
    assert "accept_limit" in said


def test_every_problem_is_said_at_once() -> None:
    said = add("--type", "daily", "--time", "9", "--priority", "11", room="부산", title=" ")
    for field in ("title", "room", "text", "time", "priority"):
        assert f"--{field}: " in said
    assert "5 problems" in said


def test_a_message_without_content_or_with_a_past_or_naive_time_is_refused() -> None:
    for flags, reason in (
        ((), "text_only needs a text"),
        ((*TEXT, "--at", "2020-01-01T00:00:00+09:00"), "is past"),
        ((*TEXT, "--at", "2027-01-01T00:00:00"), "no offset"),
        ((*TEXT, "--at", "tomorrow"), "is not a time"),
        ((*TEXT, "--at", "2027-01-01T00:00:00.0005+09:00"), "whole milliseconds"),
    ):
        answer = jeongsi("message", "send", "--room", "강남", *flags)
        assert (answer.code, answer.out) == (2, "")
        assert reason in answer.err


def test_a_naive_after_is_refused_with_the_instant_that_was_probably_meant() -> None:
    answer = jeongsi("schedule", "next", *DAILY, "--after", "2026-11-21T08:50:00")
    assert answer.code == 2
    assert "2026-11-21T08:50:00+09:00" in answer.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("schedule", "show", "99"), "There is no schedule 99"),
        (("schedule", "edit", "99", "--time", "10:00"), "There is no schedule 99"),
        (("schedule", "delete", "99", "--yes"), "There is no schedule 99"),
        (("room", "show", "부산"), "There is no room '부산'"),
        (("room", "set", "강남"), "--gap"),
        (("slot", "show", "abc"), "812-1795222800000"),
        (("slot", "show", "1-5"), "There is no slot 1-5"),
        (("slot", "resolve", "1-5"), "exactly one of"),
        (("slot", "resolve", "1-5", "--arrived"), "There is no slot 1-5"),
        (("slot", "list", "--state", "sent"), "delivered"),
        (("slot", "list", "--from", "2026-11-21"), "no offset"),
        (("schedule", "next", "1", "--type", "daily"), "not both"),
        (("schedule", "list", "--status", "on"), "inactive"),
        (("audit", "--receipts", "/nowhere/receipts.jsonl"), "there is no file"),
    ],
)
def test_what_cannot_be_meant_ends_with_code_2_and_a_way_out(words: tuple[str, ...], hint: str) -> None:
    answer = jeongsi(*words)
    assert answer.code == 2, answer.said
    assert hint in answer.err
    assert "Traceback" not in answer.err
