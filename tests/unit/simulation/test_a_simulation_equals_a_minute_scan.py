"""The replay under a virtual clock, held against a scan that walks minute by minute."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from beat.recurrence import Window, parse_rules, zone_of
from beat.recurrence.bruteforce import scan
from beat.simulation import Limits, Load, Outcome, RoomRules, replay, simulate
from models.ledger.beat import ClockRow, Version
from tests.support.random_rules import CHANGES, PATIENT, rules_near

ZONES: Final = ("Asia/Seoul", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati")
SPAN: Final = timedelta(hours=54)
LONG_AGO: Final = datetime(1980, 1, 1, tzinfo=UTC)
NEVER: Final = datetime(2500, 1, 1, tzinfo=UTC)


def a_clock(number: int, rules: list[dict[str, Any]], tz: str, **changes: Any) -> ClockRow:
    return ClockRow(
        **{
            "schedule_id": number, "kind": "message", "rules": json.dumps(rules), "tz": tz, "version": 1,
            "version_from": LONG_AGO, "planned_to": None, "replan_from": None, "due_at": LONG_AGO,
            "enabled": True, "valid_from": LONG_AGO, "valid_until": NEVER, "grace_s": 300, "validity_s": None,
            "misfire": "skip", "priority": 5, "room_ref": 1, **changes,
        }
    )  # fmt: skip


def a_version(number: int, since: datetime, rules: list[dict[str, Any]], tz: str) -> Version:
    return Version(
        schedule_id=1, version=number, since=since, off="paused", rules=json.dumps(rules), tz=tz,
        enabled=True, valid_from=LONG_AGO, valid_until=NEVER, grace_s=300, validity_s=None, misfire="skip",
        priority=5, room_ref=1,
    )  # fmt: skip


@st.composite
def years_of_change(draw: st.DrawFn) -> tuple[str, datetime, date]:
    tz = draw(st.sampled_from(ZONES))
    day = date.fromisoformat(draw(st.sampled_from(CHANGES[tz])))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        minutes=draw(st.integers(-900, 900))
    )
    return tz, start, day


steps = st.sampled_from([60.0, 900.0, 3_607.0, 86_400.0, 7 * 86_400.0])


@settings(PATIENT, max_examples=30)
@given(years_of_change(), steps, st.data())
def test_every_instant_of_the_scan_is_promised_once_whatever_the_step(
    when: tuple[str, datetime, date], step: float, data: st.DataObject
) -> None:
    tz, start, day = when
    lists = data.draw(st.lists(rules_near(day), min_size=1, max_size=3))
    clocks = [a_clock(number, rules, tz) for number, rules in enumerate(lists, 1)]
    wanted = {
        (number, at)
        for number, rules in enumerate(lists, 1)
        for at in scan(parse_rules(rules), zone_of(tz), start, start + SPAN)
    }
    found = [p.slot for _, ps in replay(clocks, {}, start, start + SPAN, Limits(step_s=step)) for p in ps]
    assert Counter(found) == Counter(wanted)
    assert [slot.slot_at for slot in found] == sorted(slot.slot_at for slot in found)


@settings(PATIENT, max_examples=25)
@given(years_of_change(), steps, st.integers(0, 54 * 60), st.data())
def test_an_edit_in_between_is_honoured_to_the_instant(
    when: tuple[str, datetime, date], step: float, minutes: int, data: st.DataObject
) -> None:
    tz, start, day = when
    before, after = data.draw(rules_near(day)), data.draw(rules_near(day))
    edit = start + timedelta(minutes=minutes)
    clock = a_clock(1, after, tz, version=2, version_from=edit)
    history = [a_version(1, LONG_AGO, before, tz), a_version(2, edit, after, tz)]
    zone, end = zone_of(tz), start + SPAN
    wanted = [at for at in scan(parse_rules(before), zone, start, end) if at <= edit]
    wanted += [at for at in scan(parse_rules(after), zone, start, end) if at > edit]
    chunks = replay([clock], {1: history}, start, end, Limits(step_s=step))
    assert [promise.slot.slot_at for _, promises in chunks for promise in promises] == wanted


@settings(PATIENT, max_examples=25)
@given(years_of_change(), st.integers(0, 3_000), st.integers(0, 3_000), st.data())
def test_a_window_and_a_late_birth_cut_what_lies_outside(
    when: tuple[str, datetime, date], opens: int, lasts: int, data: st.DataObject
) -> None:
    tz, start, day = when
    rules = [rule for rule in data.draw(rules_near(day)) if rule["kind"] not in ("once", "at")] or [
        {"kind": "regular"}
    ]
    opening = start + timedelta(minutes=opens)
    window = Window(opening, opening + timedelta(minutes=lasts))
    born = start + timedelta(minutes=data.draw(st.integers(0, 600)))
    clock = a_clock(
        1, rules, tz, version_from=born, valid_from=window.valid_from, valid_until=window.valid_until
    )
    wanted = [
        at
        for at in scan(parse_rules(rules), zone_of(tz), start, start + SPAN)
        if born <= at and opening <= at <= opening + timedelta(minutes=lasts)
    ]
    chunks = replay([clock], {}, start, start + SPAN, Limits())
    assert [promise.slot.slot_at for _, promises in chunks for promise in promises] == wanted


def outcomes(load: Load, start: datetime, end: datetime, step: float) -> list[Outcome]:
    return [one for chunk in simulate(load, start, end, limits=Limits(step_s=step)) for one in chunk]


@settings(PATIENT, max_examples=30)
@given(
    years_of_change(),
    steps,
    st.integers(1, 60),
    st.integers(0, 600),
    st.booleans(),
    st.integers(0, 20),
    st.data(),
)
def test_rooms_keep_gap_quota_and_device_and_lose_nothing(
    when: tuple[str, datetime, date],
    step: float,
    quota: int,
    gap: int,
    shared: bool,
    took: int,
    data: st.DataObject,
) -> None:
    """B128, B129: no room gets two within its gap, nor more than its quota on a Korean day."""
    tz, start, day = when
    lists = data.draw(st.lists(rules_near(day), min_size=1, max_size=5))
    clocks = [
        a_clock(number, rules, tz, room_ref=number % 2 + 1, priority=data.draw(st.integers(0, 9)))
        for number, rules in enumerate(lists, 1)
    ]
    rules = RoomRules(gap, quota, "phone" if shared else None)
    load = Load(clocks, {1: rules, 2: rules}, took=dict.fromkeys(range(1, 6), float(took)))
    found = outcomes(load, start, start + SPAN, step)
    promised = [p.slot for _, ps in replay(clocks, {}, start, start + SPAN, Limits()) for p in ps]
    assert Counter(one.promise.slot for one in found) == Counter(promised)
    sent = [one for one in found if one.start is not None]
    assert all(one.promise.slot.slot_at <= one.start <= one.promise.finish_by for one in sent if one.start)
    for ref in (1, 2):
        starts = sorted(one.start for one in sent if one.promise.room_ref == ref and one.start)
        assert all(b - a >= timedelta(seconds=gap + took) for a, b in pairwise(starts))
        days = Counter((at + timedelta(hours=9)).date() for at in starts)
        assert all(number <= quota for number in days.values())
    if shared:
        starts = sorted(one.start for one in sent if one.start)
        assert all(b - a >= timedelta(seconds=took) for a, b in pairwise(starts))


@settings(PATIENT, max_examples=30)
@given(years_of_change(), st.data())
def test_the_step_of_the_virtual_clock_changes_no_outcome(
    when: tuple[str, datetime, date], data: st.DataObject
) -> None:
    tz, start, day = when
    lists = data.draw(st.lists(rules_near(day), min_size=1, max_size=4))
    load = Load([a_clock(n, rules, tz) for n, rules in enumerate(lists, 1)], {1: RoomRules(120, 9)})
    fine, coarse = (outcomes(load, start, start + SPAN, step) for step in (900.0, 7 * 86_400.0))
    assert sorted(fine, key=str) == sorted(coarse, key=str)
