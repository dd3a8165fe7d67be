"""Random rules, days around clock changes, and two implementations that must agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beat.recurrence import (
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
from tests.support.random_rules import PATIENT, crons, situations

SPAN: Final = timedelta(hours=60)


@settings(PATIENT, max_examples=80)
@given(situations())
def test_both_ways_find_the_same_instants(situation: tuple[str, datetime, list[dict[str, Any]]]) -> None:
    tz, start, objects = situation
    rules = parse_rules(objects)
    slow = list(scan(rules, zone_of(tz), start, start + SPAN))
    assert list(between(rules, tz, start, start + SPAN)) == slow


@settings(PATIENT, max_examples=60)
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


@settings(PATIENT, max_examples=60)
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


@settings(PATIENT, max_examples=150)
@given(crons, st.datetimes(datetime(1972, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001 - wall clocks
def test_cron_fields_are_read_alike_by_both_readers(expr: str, wall: datetime) -> None:
    minute = wall.replace(second=0, microsecond=0, tzinfo=UTC)
    due = next_after(parse_rules([{"kind": "cron", "expr": expr}]), "UTC", minute, inclusive=True) == minute
    assert due == cron_matches(expr, minute.replace(tzinfo=None))


@settings(PATIENT, max_examples=60)
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
