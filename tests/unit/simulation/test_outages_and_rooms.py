"""What an outage does to promises, and how rooms decide, in single cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from beat.simulation import Load, Outage, RoomRules, simulate
from tests.unit.simulation.test_a_simulation_equals_a_minute_scan import a_clock

KST = timezone(timedelta(hours=9))
REGULAR = [{"kind": "regular"}]


def kst(text: str, day: int = 1) -> datetime:
    return datetime.fromisoformat(f"2026-12-{day:02}T{text}+09:00").astimezone(UTC)


def told(
    *clocks: Any, start: str = "08:00", end: str = "12:00", room: RoomRules | None = None, down: Any = (),
    took: float = 0.0,
) -> list[tuple[str, str, str | None, str | None]]:  # fmt: skip
    load = Load(clocks, {1: room or RoomRules()}, took={clock.schedule_id: took for clock in clocks})
    outages = [Outage(kst(a), kst(b)) for a, b in down]
    found = [one for chunk in simulate(load, kst(start), kst(end), outages=outages) for one in chunk]
    found.sort(key=lambda one: (one.promise.slot.slot_at, one.promise.slot.schedule_id))
    wall = "{:%H:%M:%S}".format
    return [
        (
            wall(one.promise.slot.slot_at.astimezone(KST)),
            one.state,
            one.reason,
            wall(one.start.astimezone(KST)) if one.start else None,
        )
        for one in found
    ]


def test_an_outage_shorter_than_grace_only_delays() -> None:
    found = told(a_clock(1, REGULAR, "Asia/Seoul"), down=[("08:58", "09:02")])
    assert ("09:00:00", "goes_out", None, "09:02:00") in found
    assert all(state == "goes_out" for _, state, _, _ in found)


def test_an_outage_names_what_was_laid_down_before_it_and_what_was_not() -> None:
    """Rows reach one horizon (15 min) into the outage: those were laid down and not dispatched."""
    found = told(a_clock(1, REGULAR, "Asia/Seoul"), down=[("08:50", "10:20")])
    assert found[1:6] == [
        ("08:30:00", "goes_out", None, "08:30:00"),
        ("09:00:00", "expired", "not_dispatched", None),
        ("09:30:00", "expired", "scheduler_down", None),
        ("10:00:00", "expired", "scheduler_down", None),
        ("10:30:00", "goes_out", None, "10:30:00"),
    ]


def test_misfire_latest_sends_only_the_newest_of_those_that_an_outage_piled_up() -> None:
    rules = [{"kind": "cron", "expr": "*/2 * * * *"}]
    clock = a_clock(1, rules, "Asia/Seoul", misfire="latest", validity_s=1800)
    found = told(clock, start="09:00", end="09:11", room=RoomRules(gap_s=5), down=[("09:01", "09:07")])
    assert found == [
        ("09:00:00", "goes_out", None, "09:00:00"),
        ("09:02:00", "skipped", "coalesced", None),
        ("09:04:00", "skipped", "coalesced", None),
        ("09:06:00", "goes_out", None, "09:07:00"),
        ("09:08:00", "goes_out", None, "09:08:00"),
        ("09:10:00", "goes_out", None, "09:10:00"),
    ]


def test_a_busy_room_serves_by_priority_and_names_who_came_too_late() -> None:
    clocks = [
        a_clock(n, [{"kind": "daily", "time": "09:00"}], "Asia/Seoul", priority=9 - n, validity_s=100)
        for n in range(1, 6)
    ]
    found = told(*clocks, room=RoomRules(gap_s=30), took=1.0)
    assert found == [
        ("09:00:00", "expired", "room_busy", None),
        ("09:00:00", "goes_out", None, "09:01:33"),
        ("09:00:00", "goes_out", None, "09:01:02"),
        ("09:00:00", "goes_out", None, "09:00:31"),
        ("09:00:00", "goes_out", None, "09:00:00"),
    ]


def test_a_device_serves_its_rooms_one_at_a_time() -> None:
    clocks = [a_clock(n, [{"kind": "daily", "time": "09:00"}], "Asia/Seoul", room_ref=n) for n in (1, 2, 3)]
    rooms = {n: RoomRules(device="phone") for n in (1, 2, 3)}
    load = Load(clocks, rooms, took={1: 2.0, 2: 2.0, 3: 2.0})
    found = [one for chunk in simulate(load, kst("08:00"), kst("10:00")) for one in chunk]
    assert [one.start for one in found] == [kst("09:00:00"), kst("09:00:02"), kst("09:00:04")]


def test_a_full_day_ends_a_slot_and_the_next_korean_day_starts_anew() -> None:
    load = Load([a_clock(1, REGULAR, "Asia/Seoul")], {1: RoomRules(quota=40)})
    found = [one for chunk in simulate(load, kst("00:00"), kst("00:00", 3)) for one in chunk]
    away = [one.promise.slot.slot_at.astimezone(KST) for one in found if one.reason == "quota"]
    assert len(found) == 96
    assert [at.strftime("%d %H:%M") for at in away[:2]] == ["01 20:00", "01 20:30"]
    assert len(away) == 16


def test_a_schedule_that_nobody_can_read_and_one_without_a_room_hold_nobody_up() -> None:
    clocks = [
        a_clock(1, [{"kind": "lunar"}], "Asia/Seoul"),
        a_clock(2, REGULAR, "Mars/Olympus"),
        a_clock(3, [{"kind": "daily", "time": "09:00"}], "Asia/Seoul", room_ref=None),
        a_clock(4, [{"kind": "daily", "time": "09:00"}], "Asia/Seoul"),
    ]
    assert told(*clocks) == [
        ("09:00:00", "failed", "no_gate", None),
        ("09:00:00", "goes_out", None, "09:00:00"),
    ]


def test_a_paused_schedule_promises_nothing() -> None:
    assert told(a_clock(1, REGULAR, "Asia/Seoul", enabled=False)) == []
