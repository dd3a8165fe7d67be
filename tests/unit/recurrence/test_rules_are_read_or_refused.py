"""What a rule may look like, and what is said when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from beat.recurrence import (
    RuleError,
    describe,
    next_after,
    parse_rules,
    parse_rules_text,
    zone_names,
    zone_of,
)
from beat.recurrence.zones import to_datetime


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"kind": "hourly"}, "kind"),
        ({"kind": ["once"]}, "kind"),
        ({}, "kind"),
        ({"kind": "once", "date": "2026-02-29", "time": "09:00"}, "date"),
        ({"kind": "once", "date": "21.11.2026", "time": "09:00"}, "date"),
        ({"kind": "once", "date": "0001-01-01", "time": "09:00"}, "date"),
        ({"kind": "once", "date": "2026-11-21"}, "time"),
        ({"kind": "daily", "time": "24:00"}, "time"),
        ({"kind": "daily", "time": "09:00:00.5"}, "time"),
        ({"kind": "once", "date": "2026-11-21", "time": "09:00:00.1234"}, "time"),
        ({"kind": "once", "date": "2026-11-21", "time": "09:00.5"}, "time"),
        ({"kind": "daily", "time": "9:00"}, "time"),
        ({"kind": "daily", "time": "٠٩:٠٠"}, "time"),
        ({"kind": "daily", "time": 900}, "time"),
        ({"kind": "weekly", "time": "09:00"}, "weekdays"),
        ({"kind": "weekly", "time": "09:00", "weekdays": []}, "weekdays"),
        ({"kind": "weekly", "time": "09:00", "weekdays": ["mon"]}, "weekdays"),
        ({"kind": "weekly", "time": "09:00", "weekdays": ["monday", "monday"]}, "weekdays"),
        ({"kind": "weekly", "time": "09:00", "weekdays": "monday"}, "weekdays"),
        ({"kind": "peak", "hours": [24]}, "hours"),
        ({"kind": "peak", "hours": [8, 8]}, "hours"),
        ({"kind": "peak", "hours": [True]}, "hours"),
        ({"kind": "peak", "hours": []}, "hours"),
        ({"kind": "peak", "hours": ["8"]}, "hours"),
        ({"kind": "cron"}, "expr"),
        ({"kind": "cron", "expr": "@daily"}, "expr"),
        ({"kind": "cron", "expr": "0 0 9 * * *"}, "expr"),
        ({"kind": "cron", "expr": "0 9 * *"}, "expr"),
        ({"kind": "cron", "expr": "0 25 * * *"}, "expr"),
        ({"kind": "cron", "expr": "0 9 ? * *"}, "expr"),
        ({"kind": "cron", "expr": "0 9 * * MON#2/3"}, "expr"),
        ({"kind": "cron", "expr": "*/0 9 * * *"}, "expr"),
        ({"kind": "at", "ms": 1.5}, "ms"),
        ({"kind": "at", "ms": -1}, "ms"),
        ({"kind": "regular", "time": "09:00"}, "time"),
    ],
)
def test_a_rule_that_cannot_be_read_names_its_field_and_what_would_be_right(
    rule: dict[str, Any], field: str
) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules([rule])
    assert caught.value.field == field
    assert caught.value.reason
    assert caught.value.hint


def test_seconds_in_a_cron_expression_are_refused_in_so_many_words() -> None:
    with pytest.raises(RuleError, match="seconds are not supported"):
        parse_rules([{"kind": "cron", "expr": "0 */5 * * * *"}])
    with pytest.raises(RuleError, match="the hour field '25' cannot be read"):
        parse_rules([{"kind": "cron", "expr": "0 25 * * *"}])


@pytest.mark.parametrize("text", ["", "null", "{}", "[]", "[1]", '"regular"', '["regular"]', "[{]"])
def test_rules_that_are_no_list_of_objects_are_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse_rules_text(text)


def test_equal_rules_are_one_object_and_doubled_rules_are_one_rule() -> None:
    first = parse_rules([{"kind": "peak", "hours": [9, 8]}, {"kind": "peak", "hours": [8, 9]}])
    assert len(first) == 1
    assert parse_rules([{"kind": "peak", "hours": [9, 8]}, {"kind": "peak", "hours": [8, 9]}]) is first


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("Asia/Seul", "Asia/Seoul"),
        ("seoul", "Asia/Seoul"),
        ("asia/seoul", "Asia/Seoul"),
        ("KST", "Asia/Seoul"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_name_that_was_meant(name: str, suggested: str) -> None:
    with pytest.raises(RuleError) as caught:
        next_after(parse_rules([{"kind": "regular"}]), name, to_datetime(0))
    assert caught.value.field == "tz"
    assert suggested in caught.value.hint


@pytest.mark.parametrize("name", ["", "..", "/etc/passwd", "Asia", "localtime", "posixrules", "Asia/Seoul\0"])
def test_a_name_that_is_a_path_is_no_zone(name: str) -> None:
    with pytest.raises(RuleError):
        zone_of(name)


def test_every_listed_zone_can_be_loaded() -> None:
    assert len([zone_of(name) for name in zone_names()]) > 400


@pytest.mark.parametrize(
    ("rules", "english", "korean"),
    [
        ([{"kind": "regular"}], "every hour at :00 and :30", "매시 정각과 30분"),
        (
            [{"kind": "peak", "hours": [8, 9, 17]}],
            "every 15 minutes 08:00-10:00 and 17:00-18:00",
            "08:00~10:00, 17:00~18:00 15분마다",
        ),
        (
            [{"kind": "weekly", "time": "09:00", "weekdays": ["friday", "monday"]}],
            "every Monday and Friday at 09:00",
            "매주 월요일·금요일 09:00",
        ),
        (
            [{"kind": "daily", "time": "09:00"}, {"kind": "once", "date": "2026-11-21", "time": "09:00:30"}],
            "every day at 09:00; and once on 2026-11-21 at 09:00:30",
            "매일 09:00 그리고 2026-11-21 09:00:30에 한 번",
        ),
        (
            [{"kind": "at", "ms": 1795222800123}],
            "at 2026-11-21 10:00:00.123+09:00",
            "2026-11-21 10:00:00.123+09:00에 한 번",
        ),
    ],
)
def test_rules_are_described_in_both_languages(
    rules: list[dict[str, Any]], english: str, korean: str
) -> None:
    assert describe(parse_rules(rules), "Asia/Seoul") == f"{english} (Asia/Seoul)"
    assert describe(parse_rules(rules), "Asia/Seoul", "ko") == f"{korean} (Asia/Seoul)"


def test_a_cron_expression_is_explained() -> None:
    rules = parse_rules([{"kind": "cron", "expr": "0 9 * * mon"}])
    assert describe(rules, "Asia/Seoul") == "at 09:00 on Monday (cron 0 9 * * mon) (Asia/Seoul)"


@pytest.mark.parametrize(("text", "ms"), [("09:00:00.5", 500), ("09:00:00.125", 125), ("09:00:00.07", 70)])
def test_a_one_off_is_due_to_the_millisecond(text: str, ms: int) -> None:
    rules = parse_rules([{"kind": "once", "date": "2026-11-21", "time": text}])
    due = next_after(rules, "Asia/Seoul", to_datetime(0))
    assert due == to_datetime(1_795_219_200_000 + ms)
    assert f"09:00:00.{ms:03}" in describe(rules, "Asia/Seoul")
