"""Bad input: refused with the field, the reason and what would be right, all of it at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from beat.recurrence import Window, next_instants, parse_rules
from beat.schedule_form import (
    Checked,
    ImageFacts,
    Planned,
    Problem,
    RoomFacts,
    ScheduleForm,
    check,
    rules_from_columns,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=ZoneInfo("Asia/Seoul"))
ROOM = RoomFacts("강남-지점", "test")
PHOTO = ImageFacts("promotion.jpg", "image/jpeg", 120_000, 800, 600)
NOTICE = ScheduleForm(title="공지", room="강남-지점", text="안녕하세요", types=["daily"], time="09:00")


def checked(form: ScheduleForm, room: RoomFacts | None = ROOM, **more: Any) -> Checked:
    found = check(form, now=NOW, room=room, **more)
    assert isinstance(found, Checked), found
    return found


def refused(form: ScheduleForm, room: RoomFacts | None = ROOM, **more: Any) -> list[Problem]:
    found = check(form, now=NOW, room=room, **more)
    assert isinstance(found, list), found
    assert all(problem.reason and problem.hint for problem in found)
    return found


def only(form: ScheduleForm, room: RoomFacts | None = ROOM, **more: Any) -> Problem:
    (problem,) = refused(form, room, **more)
    return problem


def test_a_plain_daily_notice_is_accepted_with_its_columns() -> None:
    found = checked(NOTICE)
    assert found.first == datetime(2026, 11, 22, tzinfo=UTC)
    assert found.warnings == ()
    assert found.columns == {
        "title": "공지",
        "description": None,
        "target_room_id": "강남-지점",
        "target_room_type": "test",
        "message_text": "안녕하세요",
        "send_order": "text_only",
        "send_interval_seconds": 1,
        "schedule_type": "daily",
        "schedule_date": None,
        "schedule_time": time(9),
        "schedule_weekdays": None,
        "peak_hours": None,
        "cron_expr": None,
        "rules": None,
        "tz": "Asia/Seoul",
        "valid_from": NOW,
        "valid_until": datetime(2999, 12, 31, tzinfo=ZoneInfo("Asia/Seoul")),
        "misfire": "skip",
        "grace_seconds": 300,
        "validity_seconds": None,
        "priority": 5,
        "accept_limit": False,
    }


TIMINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"types": ["once"], "date": "2026-11-22", "time": "09:00:30.125"},
        {
            "schedule_type": "once",
            "schedule_date": date(2026, 11, 22),
            "schedule_time": time(9, 0, 30, 125_000),
        },
    ),
    (
        {"types": ["once"], "date": date(2026, 11, 22), "time": time(9, 0, 0, 7_000)},
        {"schedule_type": "once", "schedule_date": date(2026, 11, 22), "schedule_time": time(9, 0, 0, 7_000)},
    ),
    (
        {"types": ["once"], "date": "2026-11-22", "time": "09:00:30"},
        {"schedule_type": "once", "schedule_date": date(2026, 11, 22), "schedule_time": time(9, 0, 30)},
    ),
    (
        {"types": ["once"], "date": date(2026, 11, 22), "time": time(9)},
        {"schedule_type": "once", "schedule_date": date(2026, 11, 22), "schedule_time": time(9)},
    ),
    (
        {"types": ["weekly"], "time": "09:00", "weekdays": ["friday", "monday"]},
        {"schedule_type": "weekly", "schedule_time": time(9), "schedule_weekdays": "monday,friday"},
    ),
    ({"types": ["regular"]}, {"schedule_type": "regular", "schedule_time": None}),
    (
        {"types": ["peak"], "peak_hours": [10, 8, 9]},
        {"schedule_type": "peak", "peak_hours": "8,9,10", "schedule_time": None},
    ),
    ({"types": ["cron"], "cron": "0  9 * * 1-5"}, {"schedule_type": "cron", "cron_expr": "0  9 * * 1-5"}),
    (
        {"types": ["daily", "peak"], "time": "18:30", "peak_hours": [8]},
        {
            "schedule_type": "union",
            "schedule_time": None,
            "peak_hours": None,
            "rules": [{"kind": "daily", "time": "18:30"}, {"kind": "peak", "hours": [8]}],
        },
    ),
    (
        {"types": [], "rules": [{"kind": "daily", "time": "09:00"}, {"kind": "daily", "time": "18:00"}]},
        {"schedule_type": "union", "schedule_time": None},
    ),
]


@pytest.mark.parametrize(("timing", "columns"), TIMINGS)
def test_every_type_becomes_columns_and_comes_back_as_the_same_rules(
    timing: dict[str, Any], columns: dict[str, Any]
) -> None:
    found = checked(replace(NOTICE, **{"time": None, **timing}))
    assert {name: found.columns[name] for name in columns} == columns
    assert set(parse_rules(rules_from_columns(found.columns))) == set(found.rules)


def test_every_problem_is_reported_together() -> None:
    form = ScheduleForm(
        title=" ", room="강남지점", types=["weekly"], time="25:00", weekdays=["mon"], tz="Asia/Seul",
        interval=4000, send_order="text_first", misfire="retry", grace=-1, validity=5, priority=99,
        valid_from="2026-11-21T00:00",
    )  # fmt: skip
    fields = {problem.field for problem in refused(form, None, known_rooms=["강남-지점"])}
    assert fields >= {
        "title", "room", "text", "images", "interval", "misfire", "grace", "validity", "priority", "time",
        "tz",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"types": []}, "type", "no type"),
        ({"types": ["hourly"]}, "type", "hourly"),
        ({"types": ["at"]}, "type", "at"),
        ({"tz": "Asia/Seul"}, "tz", "Asia/Seul"),
        ({"time": "9시"}, "time", "9시"),
        ({"time": None}, "time", "None"),
        ({"types": ["regular"]}, "time", "does not use it"),
        ({"rules": [{"kind": "regular"}], "types": [], "time": "09:00"}, "time", "rules does not use it"),
        ({"rules": [], "types": [], "time": None}, "rules", "no rule"),
        ({"types": ["weekly"]}, "weekdays", "no weekday"),
        ({"types": ["weekly"], "weekdays": ["monday", "montag"]}, "weekdays", "montag"),
        ({"types": ["peak"], "time": None, "peak_hours": [8, 24]}, "peak_hours", "24"),
        ({"types": ["peak"], "time": None, "peak_hours": [8, 8]}, "peak_hours", "twice"),
        ({"types": ["cron"], "time": None, "cron": "0 0 9 * * *"}, "cron", "seconds"),
        ({"types": ["cron"], "time": None, "cron": "0 9 30 2 *"}, "cron", "never comes"),
        ({"types": ["once"], "date": "2026-02-30"}, "date", "2026-02-30"),
        ({"types": ["once"], "date": "2026-11-21", "time": "11:54"}, "date", "is past"),
        ({"valid_until": "2026-12-31T00:00:00"}, "valid_until", "no offset"),
        ({"valid_from": datetime(2026, 12, 31)}, "valid_from", "no offset"),  # noqa: DTZ001
        ({"valid_from": "tomorrow"}, "valid_from", "not a time"),
        ({"valid_until": "2026-11-20T00:00:00+09:00"}, "valid_until", "is past"),
        (
            {"valid_from": "2026-11-01T00:00:00+09:00", "valid_until": "2026-11-20T00:00:00+09:00"},
            "valid_until",
            "is past",
        ),
        ({"valid_until": "2026-11-22T08:59:59+09:00"}, "valid_until", "no instant lies between"),
        (
            {"types": ["once"], "date": "2026-12-24", "valid_until": "2026-12-01T00:00:00+09:00"},
            "date",
            "outside the validity window",
        ),
        ({"text": None}, "text", "text_only needs a text"),
        ({"text": " \n "}, "text", "text_only needs a text"),
        ({"text": "a\0b"}, "text", "NUL"),
        ({"description": "\ud83d"}, "description", "half a pair"),
        ({"title": "공" * 256}, "title", "256"),
        ({"text": "공" * 10_001}, "text", "10,001"),
        ({"text": "공" * 9_990 + "{datetime}"}, "text", "10,006"),
        ({"send_order": "images_only"}, "images", "at least one image"),
        ({"send_order": "images_first"}, "images", "at least one image"),
        ({"send_order": "text_first", "images": [PHOTO], "text": ""}, "text", "text_first needs a text"),
        ({"send_order": "random"}, "send_order", "random"),
        ({"images": [PHOTO] * 11}, "images", "11 images"),
        ({"images": [replace(PHOTO, mime="application/pdf")]}, "images", "application/pdf"),
        ({"images": [replace(PHOTO, size=10_485_761)]}, "images", "10,485,761"),
        ({"interval": -1}, "interval", "-1"),
        ({"interval": 3601}, "interval", "3601"),
        ({"interval": True}, "interval", "True"),
        ({"room_type": "live"}, "room_type", "is a test room"),
        ({"room_type": "trial"}, "room_type", "trial"),
    ],
)
def test_one_wrong_field_is_named_with_its_reason(change: dict[str, Any], field: str, says: str) -> None:
    problem = only(replace(NOTICE, **change))
    assert problem.field == field
    assert says in problem.reason


def test_an_unknown_room_and_an_unknown_zone_come_with_the_names_that_were_meant() -> None:
    room = only(replace(NOTICE, room="강남지점"), None, known_rooms=["본사-공지", "강남-지점"])
    assert room == Problem("room", "there is no room '강남지점'", "did you mean 강남-지점?")
    assert "Asia/Seoul" in only(replace(NOTICE, tz="Asia/seoul")).hint


def test_a_naive_end_is_answered_with_the_same_time_written_right() -> None:
    assert "2026-12-31T00:00:00+09:00" in only(replace(NOTICE, valid_until="2026-12-31T00:00:00")).hint


def test_a_one_off_may_be_as_late_as_its_grace_and_no_later() -> None:  # ruling 6
    once = replace(NOTICE, types=["once"], date="2026-11-21", time="11:55")
    found = checked(once)
    assert found.first == NOW - timedelta(seconds=300)
    assert found.columns["valid_from"] == found.first
    assert only(replace(once, grace=299)).field == "date"
    assert checked(replace(once, time="12:00")).first == NOW  # ruling 1: now counts
    assert checked(replace(once, time="13:00")).columns["valid_from"] == NOW


def test_a_slot_at_the_very_moment_of_saving_counts() -> None:  # ruling 1
    assert checked(replace(NOTICE, types=["regular"], time=None)).first == NOW


def test_the_content_decides_the_order_when_none_is_given() -> None:  # ruling 18
    assert checked(replace(NOTICE, images=[PHOTO])).columns["send_order"] == "text_first"
    assert checked(replace(NOTICE, images=[PHOTO], text=None)).columns["send_order"] == "images_only"


def test_what_will_not_be_sent_is_warned_about() -> None:
    (warning,) = checked(replace(NOTICE, images=[PHOTO], send_order="text_only")).warnings
    assert warning.field == "images"
    (warning,) = checked(replace(NOTICE, images=[PHOTO], send_order="images_only")).warnings
    assert warning.field == "text"


def test_a_send_must_be_over_before_the_next_slot() -> None:  # ruling 18
    form = replace(NOTICE, types=["regular"], time=None, images=[PHOTO] * 10)
    checked(replace(form, interval=179))
    problem = only(replace(form, interval=180))
    assert problem.field == "interval"
    assert problem.reason == "11 parts 180 s apart take 1800 s, but the next slot comes after 1800 s"
    assert "at most 179 s" in problem.hint
    checked(replace(form, types=["daily"], time="09:00", interval=3600))


def test_more_slots_a_day_than_the_quota_need_an_explicit_yes() -> None:  # ruling 8
    form = replace(NOTICE, types=["regular", "peak"], time=None, peak_hours=list(range(8, 20)))
    problem = only(form)
    assert problem.field == "accept_limit"
    assert problem.reason == "limit 50: from 16:30 on nothing is sent (72 slots on 2026-11-22)"
    (warning,) = checked(replace(form, accept_limit=True)).warnings
    assert warning == problem
    assert checked(form, replace(ROOM, quota=72)).warnings == ()


def test_the_quota_counts_korean_days_whatever_the_zone() -> None:
    form = replace(NOTICE, types=["cron"], time=None, cron="0,20,40 * * * *", tz="America/New_York")
    assert "limit 71: from 23:40 on" in only(form, replace(ROOM, quota=71)).reason
    checked(form, replace(ROOM, quota=72))


def test_one_busy_day_in_four_years_is_found() -> None:
    rules = [{"kind": "daily", "time": "09:00"}, {"kind": "cron", "expr": "* 9 29 2 *"}]
    form = replace(NOTICE, types=[], rules=rules, time=None)
    assert "limit 50: from 09:50 on nothing is sent (60 slots on 2028-02-29)" in only(form).reason


def test_other_schedules_of_the_room_share_its_quota_and_its_gap() -> None:
    other = Planned("정시 알림", parse_rules([{"kind": "regular"}]), "Asia/Seoul")
    room = replace(ROOM, quota=48, others=[other])
    assert (
        "limit 48: from 23:30 on nothing is sent (49 slots"
        in only(replace(NOTICE, time="09:10"), room).reason
    )
    (warning,) = checked(NOTICE, replace(room, quota=50)).warnings
    assert warning.field == "room"
    assert "정시 알림" in warning.reason
    ended = replace(other, window=Window(None, NOW))
    assert checked(NOTICE, replace(room, others=[ended])).warnings == ()


def test_two_slots_closer_than_the_rooms_gap_are_warned_about() -> None:
    rules = [{"kind": "daily", "time": "09:00:00"}, {"kind": "daily", "time": "09:00:10"}]
    (warning,) = checked(replace(NOTICE, types=[], rules=rules, time=None)).warnings
    assert (
        "2026-11-22 09:00:00 and 09:00:10 (this schedule) are closer than the room's gap of 30 s"
        in warning.reason
    )


def test_the_channels_text_limit_counts_when_it_is_lower() -> None:
    assert only(replace(NOTICE, text="가" * 201), replace(ROOM, text_limit=200)).hint == "at most 200"


def test_the_preview_is_what_the_planner_will_see() -> None:
    found = checked(
        replace(NOTICE, types=["weekly"], weekdays=["saturday"], valid_until="2026-12-05T09:00:00+09:00")
    )
    window = Window(found.columns["valid_from"], found.columns["valid_until"])
    local = [
        m.astimezone(ZoneInfo("Asia/Seoul")) for m in next_instants(found.rules, "Asia/Seoul", NOW, 5, window)
    ]
    assert [f"{moment:%m-%d %H:%M}" for moment in local] == ["11-28 09:00", "12-05 09:00"]
