"""Fixed dates, in the words of the acceptance list."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from beat.recurrence import (
    Window,
    between,
    daily_instants,
    max_per_day,
    next_after,
    next_instants,
    parse_rules,
    zone_of,
)

SEOUL = "Asia/Seoul"
NEW_YORK = "America/New_York"
REGULAR: dict[str, Any] = {"kind": "regular"}
PEAK: dict[str, Any] = {"kind": "peak", "hours": list(range(8, 20))}


def at(text: str, tz: str = SEOUL) -> datetime:
    """A wall time of a zone as an instant (first occurrence)."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz))


def walls(rules: list[dict[str, Any]], tz: str, start: str, end: str) -> list[str]:
    found = between(parse_rules(rules), tz, at(start, tz), at(end, tz), include_end=True)
    return [f"{moment.astimezone(zone_of(tz)):%d %H:%M}" for moment in found]


def following(rule: dict[str, Any], after: str, tz: str = SEOUL, *, inclusive: bool = False) -> str | None:
    found = next_after(parse_rules([rule]), tz, at(after, tz), inclusive=inclusive)
    return None if found is None else f"{found.astimezone(zone_of(tz)):%Y-%m-%d %H:%M}"


def test_a_regular_message_is_due_at_every_hour_and_half_hour() -> None:  # A01
    found = daily_instants(parse_rules([REGULAR]), SEOUL, date(2026, 11, 21))
    local = [moment.astimezone(zone_of(SEOUL)) for moment in found]
    assert [(t.hour, t.minute) for t in local] == [(h, m) for h in range(24) for m in (0, 30)]
    assert all((t.second, t.microsecond) == (0, 0) for t in local)


def test_a_peak_message_is_due_every_15_minutes_in_the_listed_hours_only() -> None:  # A02, A37
    found = walls([{"kind": "peak", "hours": [8, 19]}], SEOUL, "2026-11-21T00:00", "2026-11-21T23:59")
    assert found == [f"21 {h:02}:{m:02}" for h in (8, 19) for m in (0, 15, 30, 45)]


def test_a_union_has_one_slot_where_its_rules_meet() -> None:  # ruling 1
    found = walls([REGULAR, PEAK], SEOUL, "2026-11-21T18:30", "2026-11-21T21:00")
    times = "18:30 18:45 19:00 19:15 19:30 19:45 20:00 20:30 21:00"
    assert found == [f"21 {time}" for time in times.split()]
    assert max_per_day(parse_rules([REGULAR, PEAK]), SEOUL) == 72


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-21T12:00:00.001", "2026-11-21 12:30"),
        ("2026-11-21T12:07:30", "2026-11-21 12:30"),
        ("2026-11-21T12:29:59.999999", "2026-11-21 12:30"),
        ("2026-11-21T12:30:00.000001", "2026-11-21 13:00"),
        ("2026-11-21T23:59:59", "2026-11-22 00:00"),
        ("2026-12-31T23:30:00", "2027-01-01 00:00"),
    ],
)
def test_the_next_regular_time_is_the_half_hour_or_the_next_hour(now: str, expected: str) -> None:  # A15
    assert following(REGULAR, now) == expected


def test_at_exactly_noon_the_slot_counts_once_and_the_next_is_half_past() -> None:  # A15, ruling 1
    assert following(REGULAR, "2026-11-21T12:00:00", inclusive=True) == "2026-11-21 12:00"
    assert following(REGULAR, "2026-11-21T12:00:00") == "2026-11-21 12:30"


def test_korean_time_is_used_whatever_zone_the_question_is_asked_in() -> None:  # A06
    rules = parse_rules([{"kind": "daily", "time": "09:00"}])
    asked = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)  # 09:00 in Seoul
    assert next_after(rules, SEOUL, asked, inclusive=True) == asked
    assert next_after(rules, SEOUL, asked.astimezone(ZoneInfo(NEW_YORK))) == asked + timedelta(days=1)


def test_a_daily_message_saved_in_the_morning_still_goes_today() -> None:  # B106, ruling 7
    assert following({"kind": "daily", "time": "18:00"}, "2026-11-21T09:00") == "2026-11-21 18:00"
    assert following({"kind": "daily", "time": "18:00"}, "2026-11-21T18:00") == "2026-11-22 18:00"


def test_a_weekly_message_includes_today_when_its_time_is_still_ahead() -> None:  # B107, ruling 7
    rule = {"kind": "weekly", "time": "09:00", "weekdays": ["saturday", "tuesday"]}
    assert following(rule, "2026-11-21T08:59") == "2026-11-21 09:00"  # a Saturday
    assert following(rule, "2026-11-21T09:00") == "2026-11-24 09:00"
    alone = {"kind": "weekly", "time": "09:00", "weekdays": ["saturday"]}
    assert following(alone, "2026-11-21T09:00") == "2026-11-28 09:00"


def test_a_one_off_is_due_once_and_then_never_again() -> None:  # B105, ruling 6
    rule = {"kind": "once", "date": "2031-01-01", "time": "09:00:30"}
    assert following(rule, "2026-11-21T09:00") == "2031-01-01 09:00"
    assert following(rule, "2031-01-01T09:00:30", inclusive=True) == "2031-01-01 09:00"
    assert following(rule, "2031-01-01T09:00:30") is None


def test_an_immediate_message_is_due_at_its_own_millisecond() -> None:
    rules = parse_rules([{"kind": "at", "ms": 1795222800123}])
    instant = datetime(2026, 11, 21, 1, 0, 0, 123000, tzinfo=UTC)
    assert next_after(rules, SEOUL, instant, inclusive=True) == instant
    assert next_after(rules, SEOUL, instant) is None
    assert daily_instants(rules, SEOUL, date(2026, 11, 21)) == (instant,)
    both = parse_rules([{"kind": "at", "ms": 1795222800123}, REGULAR])
    assert next_instants(both, SEOUL, instant - timedelta(seconds=1), 3) == [
        instant - timedelta(milliseconds=123),
        instant,
        instant + timedelta(minutes=30) - timedelta(milliseconds=123),
    ]


def test_the_validity_window_includes_both_its_ends() -> None:  # B34, B35, B102
    rules = parse_rules([REGULAR])
    window = Window(at("2026-11-21T09:00"), at("2026-11-21T10:00"))
    found = next_instants(rules, SEOUL, at("2026-11-01T00:00"), 10, window)
    assert found == [at("2026-11-21T09:00"), at("2026-11-21T09:30"), at("2026-11-21T10:00")]
    just_inside = Window(at("2026-11-21T09:00:00.001"), at("2026-11-21T09:59:59.999"))
    assert next_instants(rules, SEOUL, at("2026-11-01T00:00"), 10, just_inside) == [at("2026-11-21T09:30")]


def test_the_ends_of_a_range_are_included_as_asked() -> None:
    rules, nine, ten = parse_rules([REGULAR]), at("2026-11-21T09:00"), at("2026-11-21T10:00")
    half = at("2026-11-21T09:30")
    assert list(between(rules, SEOUL, nine, ten)) == [nine, half]
    assert list(between(rules, SEOUL, nine, ten, include_start=False, include_end=True)) == [half, ten]


def test_a_time_that_the_clock_skips_goes_out_when_the_gap_ends() -> None:
    daily = [{"kind": "daily", "time": "02:30"}]
    assert walls(daily, NEW_YORK, "2026-03-07T00:00", "2026-03-09T23:00") == [
        "07 02:30",
        "08 03:00",
        "09 02:30",
    ]
    regular = walls([REGULAR], NEW_YORK, "2026-03-08T01:00", "2026-03-08T04:00")
    assert regular == ["08 01:00", "08 01:30", "08 03:00", "08 03:30", "08 04:00"]


def test_a_time_that_comes_twice_goes_out_the_first_time_only() -> None:
    rules = parse_rules([{"kind": "daily", "time": "01:30"}])
    found = daily_instants(rules, NEW_YORK, date(2026, 11, 1))
    assert found == (datetime(2026, 11, 1, 5, 30, tzinfo=UTC),)
    assert next_after(rules, NEW_YORK, found[0]) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


def test_lord_howe_moves_its_clock_by_half_an_hour() -> None:
    zone = "Australia/Lord_Howe"
    assert walls([REGULAR], zone, "2026-10-04T01:00", "2026-10-04T03:00") == [
        f"04 {time}" for time in ("01:00", "01:30", "02:30", "03:00")
    ]
    quarter = walls([{"kind": "cron", "expr": "15 2 * * *"}], zone, "2026-10-04T00:00", "2026-10-04T12:00")
    assert quarter == ["04 02:30"]
    back = list(
        between(parse_rules([REGULAR]), zone, at("2026-04-05T01:00", zone), at("2026-04-05T02:30", zone))
    )
    assert [b - a for a, b in pairwise(back)] == [timedelta(minutes=30), timedelta(minutes=60)]
    assert following(REGULAR, "2026-04-05T01:30", zone) == "2026-04-05 02:00"


def test_seoul_kept_summer_time_in_1988() -> None:
    assert following({"kind": "daily", "time": "02:30"}, "1988-05-08T00:00") == "1988-05-08 03:00"
    first = next_after(parse_rules([{"kind": "daily", "time": "02:30"}]), SEOUL, at("1988-10-09T00:00"))
    assert first == datetime(1988, 10, 8, 16, 30, tzinfo=UTC)


def test_where_midnight_is_skipped_the_day_starts_at_one() -> None:
    beirut = "Asia/Beirut"  # 2026-03-29 begins at 01:00
    assert following({"kind": "daily", "time": "00:00"}, "2026-03-28T12:00", beirut) == "2026-03-29 01:00"
    assert walls([REGULAR], beirut, "2026-03-28T23:30", "2026-03-29T01:30") == [
        "28 23:30",
        "29 01:00",
        "29 01:30",
    ]


def test_a_day_that_the_date_line_removed_is_made_up_for_at_its_end() -> None:
    apia = "Pacific/Apia"  # there was no 30 December 2011
    rule = {"kind": "once", "date": "2011-12-30", "time": "09:00"}
    assert following(rule, "2011-12-29T12:00", apia) == "2011-12-31 00:00"
    kiritimati = "Pacific/Kiritimati"  # UTC+14; there was no 31 December 1994
    weekly = {"kind": "weekly", "time": "09:00", "weekdays": ["saturday"]}
    assert following(weekly, "1994-12-30T12:00", kiritimati) == "1995-01-01 00:00"
    assert following({"kind": "daily", "time": "09:00"}, "2026-11-21T08:00", kiritimati) == "2026-11-21 09:00"


def test_cron_days_follow_debian() -> None:
    assert following({"kind": "cron", "expr": "*/15 8-19 * * 1-5"}, "2026-11-20T19:45") == "2026-11-23 08:00"
    assert following({"kind": "cron", "expr": "0 9 13 * fri"}, "2026-11-01T00:00") == "2026-11-06 09:00"
    assert following({"kind": "cron", "expr": "0 9 L * *"}, "2026-02-01T00:00") == "2026-02-28 09:00"
    assert following({"kind": "cron", "expr": "0 9 * * MON#2"}, "2026-11-01T00:00") == "2026-11-09 09:00"
    assert following({"kind": "cron", "expr": "0 0 29 2 *"}, "2026-11-21T00:00") == "2028-02-29 00:00"
    assert following({"kind": "cron", "expr": "0 0 29 2 *"}, "2096-03-01T00:00") == "2104-02-29 00:00"


@pytest.mark.parametrize("expr", ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 */31 * MON#2"])
def test_a_cron_day_that_never_comes_ends_the_search(expr: str) -> None:
    assert following({"kind": "cron", "expr": expr}, "2026-11-21T00:00") is None
    assert max_per_day(parse_rules([{"kind": "cron", "expr": expr}]), SEOUL) == 0


def test_the_end_of_the_calendar_is_no_error() -> None:
    for rule in (REGULAR, {"kind": "cron", "expr": "0 0 30 2 *"}, {"kind": "cron", "expr": "0 0 29 2 *"}):
        assert following(rule, "9998-01-01T00:00") is None


def test_the_busiest_day_is_found_for_cron_and_one_offs_too() -> None:
    rules = [{"kind": "cron", "expr": "0 * 29 2 *"}, {"kind": "once", "date": "2028-02-29", "time": "09:10"}]
    assert max_per_day(parse_rules(rules), SEOUL) == 25


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        next_after(parse_rules([REGULAR]), SEOUL, datetime(2026, 11, 21))  # noqa: DTZ001
