"""Random rules, days around clock changes, and two implementations that must agree."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beat.recurrence import (
    WEEKDAYS,
    Window,
    between,
    daily_instants,
    describe,
    max_per_day,
    next_after,
    parse_rules,
    zone_of,
)
from beat.recurrence.bruteforce import cron_matches, scan

# Each zone with days on which its clock was changed, and one plain day.
CHANGES: Final = {
    "Asia/Seoul": ["1988-05-07", "1988-10-08", "2026-11-20"],
    "America/New_York": ["2026-03-07", "2026-10-31", "2026-07-01"],
    "Australia/Lord_Howe": ["2026-04-03", "2026-10-02", "1985-10-25"],
    "Pacific/Kiritimati": ["1994-12-30", "2026-11-20"],
    "Europe/London": ["2026-03-28", "2026-10-24", "1972-03-18"],
    "Asia/Beirut": ["2026-03-28", "2026-10-24"],
    "Pacific/Apia": ["2011-12-29", "2011-04-01"],
    "America/St_Johns": ["2006-10-28", "2006-04-01"],
    "Africa/Casablanca": ["2026-02-14", "2026-03-21"],
}
SPAN: Final = timedelta(hours=60)
# A busy machine is no failure.
PATIENT: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

times = st.builds(
    "{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 14, 15, 30, 45, 59])
).flatmap(lambda text: st.sampled_from([text, f"{text}:00", f"{text}:30"]))
weekdays = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True)


def cron_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, high)
    term = st.one_of(
        st.just("*"),
        number.map(str),
        span,
        st.builds("*/{}".format, step),
        st.builds("{}/{}".format, span, step),
        st.builds("{}/{}".format, number, step),
    )
    return st.one_of(term, st.lists(number.map(str), min_size=2, max_size=4).map(",".join))


crons = st.builds(
    "{} {} {} {} {}".format,
    cron_field(0, 59),
    cron_field(0, 23),
    st.one_of(st.just("*"), cron_field(1, 31), st.sampled_from(["L", "LW", "1,L"])),
    st.one_of(st.just("*"), cron_field(1, 12), st.sampled_from(["MAR-NOV", "dec"])),
    st.one_of(st.just("*"), cron_field(0, 7), st.sampled_from(["MON-FRI", "sat", "SUN#1", "5L", "0,6"])),
)


#: A one-off may be due within a second; what repeats may not.
exact_times = st.one_of(
    times, st.builds("{}.{:03}".format, times.filter(lambda text: len(text) == 8), st.integers(0, 999))
)


def rules_near(day: date) -> st.SearchStrategy[list[dict[str, Any]]]:
    days = st.integers(-1, 3).map(lambda more: (day + timedelta(days=more)).isoformat())
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    ms = st.integers(0, 259_200_000).map(lambda more: round(midnight.timestamp() * 1000) + more)
    rule = st.one_of(
        st.fixed_dictionaries({"kind": st.just("once"), "date": days, "time": exact_times}),
        st.fixed_dictionaries({"kind": st.just("daily"), "time": times}),
        st.fixed_dictionaries({"kind": st.just("weekly"), "time": times, "weekdays": weekdays}),
        st.just({"kind": "regular"}),
        st.fixed_dictionaries(
            {
                "kind": st.just("peak"),
                "hours": st.lists(st.integers(0, 23), min_size=1, max_size=5, unique=True),
            }
        ),
        st.fixed_dictionaries({"kind": st.just("cron"), "expr": crons}),
        st.fixed_dictionaries({"kind": st.just("at"), "ms": ms}),
    )
    return st.lists(rule, min_size=1, max_size=4)


@st.composite
def situations(draw: st.DrawFn) -> tuple[str, datetime, list[dict[str, Any]]]:
    tz = draw(st.sampled_from(sorted(CHANGES)))
    day = date.fromisoformat(draw(st.sampled_from(CHANGES[tz])))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        minutes=draw(st.integers(-900, 900))
    )
    return tz, start, draw(rules_near(day))


@settings(PATIENT, max_examples=150)
@given(situations())
def test_both_ways_find_the_same_instants(situation: tuple[str, datetime, list[dict[str, Any]]]) -> None:
    tz, start, objects = situation
    rules = parse_rules(objects)
    slow = list(scan(rules, zone_of(tz), start, start + SPAN))
    assert list(between(rules, tz, start, start + SPAN)) == slow


@settings(PATIENT, max_examples=100)
@given(situations(), st.integers(0, 3_600_000_000 * 24), st.booleans())
def test_the_next_instant_is_the_first_that_the_scan_finds(
    situation: tuple[str, datetime, list[dict[str, Any]]], microseconds: int, inclusive: bool
) -> None:
    tz, start, objects = situation
    rules = parse_rules(objects)
    asked = start + timedelta(microseconds=microseconds)
    slow = [
        m for m in scan(rules, zone_of(tz), start, start + SPAN) if m > asked or (inclusive and m == asked)
    ]
    fast = next_after(rules, tz, asked, inclusive=inclusive)
    if slow:
        assert fast == slow[0]
    else:
        assert fast is None or fast >= start + SPAN


@settings(PATIENT, max_examples=100)
@given(situations(), st.integers(0, 3600), st.integers(0, 3600))
def test_a_window_takes_nothing_but_what_lies_outside(
    situation: tuple[str, datetime, list[dict[str, Any]]], opens: int, lasts: int
) -> None:
    tz, start, objects = situation
    rules = parse_rules(objects)
    first = start + timedelta(minutes=opens)
    last = first + timedelta(minutes=lasts)
    everything = between(rules, tz, start, start + SPAN * 2)
    found = list(between(rules, tz, start, start + SPAN * 2, window=Window(first, last)))
    assert found == [moment for moment in everything if first <= moment <= last]


@settings(PATIENT, max_examples=60)
@given(situations())
def test_the_days_together_hold_every_instant_once(
    situation: tuple[str, datetime, list[dict[str, Any]]],
) -> None:
    tz, start, objects = situation
    rules = parse_rules([found for found in objects if found["kind"] != "at"] or [{"kind": "regular"}])
    first = start.date() - timedelta(days=3)
    by_day = [m for n in range(9) for m in daily_instants(rules, tz, first + timedelta(days=n))]
    assert by_day == sorted(by_day)
    wanted = list(between(rules, tz, start, start + SPAN))
    assert sorted({m for m in by_day if start <= m < start + SPAN}) == wanted


@settings(PATIENT, max_examples=300)
@given(crons, st.datetimes(datetime(1972, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001 - wall clocks
def test_cron_fields_are_read_alike_by_both_readers(expr: str, wall: datetime) -> None:
    minute = wall.replace(second=0, microsecond=0, tzinfo=UTC)
    due = next_after(parse_rules([{"kind": "cron", "expr": expr}]), "UTC", minute, inclusive=True) == minute
    assert due == cron_matches(expr, minute.replace(tzinfo=None))


@settings(PATIENT, max_examples=100)
@given(situations())
def test_whatever_can_be_read_can_be_described_and_counted(
    situation: tuple[str, datetime, list[dict[str, Any]]],
) -> None:
    tz, start, objects = situation
    rules = parse_rules(objects)
    assert describe(rules, tz).endswith(f"({tz})")
    assert describe(rules, tz, "ko").endswith(f"({tz})")
    assert len(daily_instants(rules, tz, start.date())) <= max_per_day(rules, tz)


@pytest.mark.parametrize(
    "expr", ["0 0 29 2 *", "30 9 * * MON#5", "0 9 LW 2,6 *", "59 23 31 12 *", "0 0 1 1 0"]
)
def test_sparse_expressions_agree_over_eight_years_of_days(expr: str) -> None:
    rules = parse_rules([{"kind": "cron", "expr": expr}])
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC)
    minute, hour = (int(field) for field in expr.split()[:2])
    walls = (start + timedelta(days=n, hours=hour, minutes=minute) for n in range((end - start).days))
    slow = [wall for wall in walls if cron_matches(expr, wall.replace(tzinfo=None))]
    assert list(between(rules, "UTC", start, end)) == slow
