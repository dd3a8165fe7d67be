"""Which slots a schedule promises: "No instant without a row", as a pure function."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from beat.promises import View, Walk, promises_of
from beat.recurrence import RuleError
from models.ledger.beat import ClockRow, Version

KST = timezone(timedelta(hours=9))
REGULAR = [{"kind": "regular"}]
EVERY_MINUTE = [{"kind": "cron", "expr": "* * * * *"}]
QUARTERS = [{"kind": "peak", "hours": list(range(24))}]


def kst(text: str) -> datetime:
    """`09:00` on 21 November 2026, or `20 09:00` on another day of it."""
    day, _, clock = text.rpartition(" ")
    return datetime.fromisoformat(f"2026-11-{int(day or 21):02}T{clock}+09:00").astimezone(UTC)


def a_clock(rules: Any = REGULAR, *, due: str = "08:00", **changes: Any) -> ClockRow:
    text = rules if isinstance(rules, str) else json.dumps(rules)
    return ClockRow(
        **{
            "schedule_id": 7, "kind": "message", "rules": text, "tz": "Asia/Seoul", "version": 1,
            "version_from": kst("1 00:00"), "planned_to": None, "replan_from": None, "due_at": kst(due),
            "enabled": True, "valid_from": kst("1 00:00"), "valid_until": kst("30 00:00"), "grace_s": 300,
            "validity_s": None, "misfire": "skip", "priority": 5, "room_ref": 1, **changes,
        }
    )  # fmt: skip


def a_version(number: int, since: str, rules: Any = REGULAR, **changes: Any) -> Version:
    return Version(
        **{
            "schedule_id": 7, "version": number, "since": kst(since), "off": "paused",
            "rules": json.dumps(rules), "tz": "Asia/Seoul", "enabled": True, "valid_from": kst("1 00:00"),
            "valid_until": kst("30 00:00"), "grace_s": 300, "validity_s": None, "misfire": "skip",
            "priority": 5, "room_ref": 1, **changes,
        }
    )  # fmt: skip


def edited(*versions: Version, due: str, **changes: Any) -> tuple[ClockRow, list[Version]]:
    """The clock after the last of these versions was written."""
    last = versions[-1]
    clock = a_clock(
        last.rules, due=due, version=last.version, version_from=last.since, tz=last.tz, enabled=last.enabled,
        valid_from=last.valid_from, valid_until=last.valid_until, grace_s=last.grace_s,
        room_ref=last.room_ref, **changes,
    )  # fmt: skip
    return clock, list(versions)


def view(now: str, **changes: Any) -> View:
    at = kst(now)
    return View(
        **{"now": at, "until": at + timedelta(minutes=15), "oldest": at - timedelta(days=90), **changes}
    )


def walk(clock: ClockRow, now: str, history: list[Version] | None = None, **changes: Any) -> Walk:
    return promises_of(clock, history or [], view(now, **changes))


def times(found: Walk, *, all_: bool = False) -> list[str]:
    """Slots laid down live, or with ``all_`` each with how it stands."""
    told = []
    for promise in found.promises:
        at = promise.slot.slot_at.astimezone(KST).strftime("%H:%M")
        state = promise.cancelled or ("expired" if promise.expired else "live")
        told.append(f"{at} {state}" if all_ else at)
    return told


# -- the plain way ---------------------------------------------------------------------------------


def test_slots_are_laid_down_up_to_the_horizon_and_the_cursor_stands_on_the_next() -> None:
    found = walk(a_clock(due="09:00"), "08:50")
    assert times(found) == ["09:00"]
    assert found.cursor == kst("09:30")


def test_the_cursor_itself_is_inclusive_and_so_is_the_horizon() -> None:
    assert times(walk(a_clock(EVERY_MINUTE, due="09:00"), "09:00", until=kst("09:02"))) == [
        "09:00", "09:01", "09:02",
    ]  # fmt: skip


def test_nothing_within_the_horizon_moves_only_the_cursor() -> None:
    found = walk(a_clock(due="08:31"), "08:31")
    assert found.promises == []
    assert found.cursor == kst("09:00")


def test_a_schedule_whose_window_ends_has_no_cursor_left() -> None:
    found = walk(a_clock(due="09:00", valid_until=kst("09:00")), "08:50")
    assert times(found) == ["09:00"]
    assert found.cursor is None


def test_nothing_is_promised_before_the_window_opens() -> None:
    found = walk(a_clock(EVERY_MINUTE, due="08:50", valid_from=kst("09:02")), "08:50")
    assert times(found) == ["09:02", "09:03", "09:04", "09:05"]


def test_a_union_promises_an_instant_once() -> None:
    found = walk(a_clock([*REGULAR, *QUARTERS], due="09:00"), "08:50", until=kst("09:30"))
    assert times(found) == ["09:00", "09:15", "09:30"]


# -- limits of a slot ------------------------------------------------------------------------------


def test_automatic_validity_ends_thirty_seconds_before_the_next_slot() -> None:
    (promise,) = walk(a_clock(due="09:00"), "08:50").promises
    assert promise.finish_by == kst("09:29:30")
    assert promise.start_by == kst("09:05")
    assert promise.superseded


def test_automatic_validity_is_half_an_hour_when_the_next_slot_is_far() -> None:
    (promise,) = walk(a_clock([{"kind": "daily", "time": "09:00"}], due="09:00"), "08:50").promises
    assert promise.finish_by == kst("09:30")
    assert not promise.superseded


def test_automatic_validity_is_never_below_thirty_seconds() -> None:
    first = walk(a_clock([*EVERY_MINUTE], due="09:00"), "09:00").promises[0]
    assert first.finish_by == kst("09:00:30")
    assert first.start_by == first.finish_by


def test_a_number_overrides_automatic_validity_and_bounds_grace() -> None:
    (promise,) = walk(a_clock(due="09:00", validity_s=60), "08:50").promises
    assert promise.finish_by == promise.start_by == kst("09:01")
    assert not promise.superseded


def test_the_last_slot_of_a_window_has_no_successor_to_yield_to() -> None:
    (promise,) = walk(a_clock(due="09:00", valid_until=kst("09:10")), "08:50").promises
    assert promise.finish_by == kst("09:30")


# -- outages ---------------------------------------------------------------------------------------


def test_after_an_outage_every_missed_instant_gets_a_row_and_those_in_grace_still_go_out() -> None:
    found = walk(a_clock(QUARTERS, due="07:45"), "08:32")
    assert times(found, all_=True) == [
        "07:45 expired", "08:00 expired", "08:15 expired", "08:30 live", "08:45 live",
    ]  # fmt: skip
    assert found.cursor == kst("09:00")


def test_a_slot_is_late_only_after_its_start_by_as_the_ledger_has_it() -> None:
    assert times(walk(a_clock(due="08:30"), "08:35"), all_=True) == ["08:30 live"]
    assert times(walk(a_clock(due="08:30"), "08:35:01"), all_=True) == ["08:30 expired"]


def test_more_late_slots_than_the_cap_become_one_gap() -> None:
    found = walk(a_clock(EVERY_MINUTE, due="06:00"), "08:00", catch_up_max=10)
    states = times(found, all_=True)
    assert states[:10] == [f"06:{minute:02} expired" for minute in range(10)]
    assert states[10:] == [
        *(f"07:{m:02} expired" for m in range(55, 60)), *(f"08:{m:02} live" for m in range(16)),
    ]  # fmt: skip
    (gap,) = found.gaps
    assert (gap.start, gap.end) == (kst("06:10"), kst("07:54:59.999"))


def test_nothing_is_laid_down_beyond_retention_and_the_rest_is_one_gap() -> None:
    found = walk(a_clock(QUARTERS, due="06:00"), "08:00", oldest=kst("07:00"))
    assert times(found)[0] == "07:00"
    (gap,) = found.gaps
    assert gap.start == kst("06:00")
    assert gap.end < kst("07:00")


def test_a_schedule_that_promised_nothing_so_long_ago_leaves_no_gap() -> None:
    found = walk(a_clock(QUARTERS, due="06:00", valid_from=kst("07:45")), "08:00", oldest=kst("07:00"))
    assert found.gaps == []
    assert times(found)[0] == "07:45"


# -- edits -----------------------------------------------------------------------------------------


def test_an_instant_at_an_edits_own_time_belongs_to_the_older_version() -> None:
    quarters = a_version(1, "1 00:00", QUARTERS)
    daily = a_version(2, "09:00", [{"kind": "daily", "time": "23:00"}])
    clock, history = edited(quarters, daily, due="09:00")
    assert times(walk(clock, "09:00:01", history), all_=True) == ["09:00 live"]


def test_an_instant_after_an_edit_belongs_to_the_newer_version() -> None:
    hourly = a_version(1, "1 00:00", [{"kind": "cron", "expr": "0 * * * *"}])
    quarters = a_version(2, "08:59:59.999", QUARTERS)
    clock, history = edited(hourly, quarters, due="08:59:59.999")
    assert times(walk(clock, "09:00", history)) == ["09:00", "09:15"]


def test_an_edit_away_and_back_loses_nothing() -> None:
    versions = [
        a_version(1, "1 00:00"), a_version(2, "08:50", [{"kind": "daily", "time": "23:00"}]),
        a_version(3, "08:51"),
    ]  # fmt: skip
    clock, history = edited(*versions, due="08:50")
    found = walk(clock, "08:51", history)
    assert times(found) == ["09:00"]
    assert found.cursor == kst("09:30")


def test_each_instant_of_an_outage_is_decided_by_the_version_in_force_then() -> None:
    versions = [
        a_version(1, "1 00:00", [{"kind": "cron", "expr": "0 * * * *"}]),
        a_version(2, "07:10", [{"kind": "cron", "expr": "20 * * * *"}]),
        a_version(3, "08:30", [{"kind": "cron", "expr": "40 * * * *"}]),
    ]
    clock, history = edited(*versions, due="06:00")
    assert times(walk(clock, "09:00", history, until=kst("09:45"))) == [
        "06:00", "07:00", "07:20", "08:20", "08:40", "09:40",
    ]  # fmt: skip


def test_a_slot_within_grace_that_an_edit_found_due_goes_out_with_the_new_content() -> None:
    clock, history = edited(a_version(1, "1 00:00"), a_version(2, "09:01"), due="09:00")
    (promise,) = walk(clock, "09:02", history).promises
    assert promise.version == 2
    assert not promise.expired


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"enabled": False, "off": "paused"}, "paused"),
        ({"enabled": False, "off": "deleted"}, "deleted"),
        ({"room_ref": 2}, "room_changed"),
    ],
)
def test_a_due_slot_is_called_off_by_a_pause_a_deletion_or_another_room(
    change: dict[str, Any], why: str
) -> None:
    clock, history = edited(a_version(1, "1 00:00"), a_version(2, "09:01", **change), due="09:00")
    assert times(walk(clock, "09:02", history), all_=True) == [f"09:00 {why}"]


def test_a_pause_after_grace_had_ended_calls_nothing_off() -> None:
    paused = a_version(2, "09:20", enabled=False)
    clock, history = edited(a_version(1, "1 00:00"), paused, due="09:00")
    assert times(walk(clock, "09:22", history), all_=True) == ["09:00 expired"]


def test_nothing_is_promised_while_a_schedule_is_paused() -> None:
    versions = [
        a_version(1, "1 00:00", QUARTERS), a_version(2, "07:21", QUARTERS, enabled=False),
        a_version(3, "08:20", QUARTERS),
    ]  # fmt: skip
    clock, history = edited(*versions, due="07:00")
    assert times(walk(clock, "08:25", history), all_=True) == [
        "07:00 expired", "07:15 expired", "08:30 live",
    ]  # fmt: skip


def test_a_paused_schedule_has_no_cursor() -> None:
    clock, history = edited(a_version(1, "1 00:00"), a_version(2, "08:50", enabled=False), due="08:50")
    found = walk(clock, "08:50:01", history)
    assert (found.promises, found.cursor, found.never) == ([], None, None)


def test_versions_have_zones_and_windows_of_their_own() -> None:
    nine = [{"kind": "daily", "time": "09:00"}]
    versions = [
        a_version(1, "1 00:00", nine, tz="UTC"),
        a_version(2, "20 19:00", nine, valid_from=kst("22 00:00")),
    ]
    clock, history = edited(*versions, due="20 09:00")
    found = walk(clock, "20 19:00", history)
    assert times(found, all_=True) == ["18:00 expired"]  # 09:00 in UTC, before the edit
    assert found.cursor == kst("22 09:00")


def test_an_old_version_that_nobody_could_read_promised_nothing() -> None:
    versions = [a_version(1, "1 00:00", [{"kind": "lunar"}]), a_version(2, "08:50", QUARTERS)]
    clock, history = edited(*versions, due="08:00")
    assert times(walk(clock, "08:55", history)) == ["09:00"]


# -- one-offs --------------------------------------------------------------------------------------


def once(at: str) -> list[dict[str, str]]:
    return [{"kind": "once", "date": "2026-11-21", "time": at}]


def test_a_one_off_whose_instant_is_now_is_promised() -> None:
    found = walk(a_clock(once("09:00:00"), due="08:55"), "09:00")
    assert times(found, all_=True) == ["09:00 live"]
    assert found.cursor is None
    assert found.never is None


def test_a_one_off_past_but_within_grace_is_promised() -> None:
    assert times(walk(a_clock(once("09:00:00"), due="08:57"), "09:02"), all_=True) == ["09:00 live"]


def test_a_one_off_in_the_past_never_fires() -> None:
    found = walk(a_clock(once("08:00:00"), due="08:57"), "09:02")
    assert found.promises == []
    assert found.never is not None
    assert "2026-11-21 08:00:00" in found.never


def test_an_exact_instant_is_promised_to_the_millisecond() -> None:
    at = kst("09:00") + timedelta(milliseconds=123)
    rules = [{"kind": "at", "ms": int(at.timestamp() * 1000)}]
    (promise,) = walk(a_clock(rules, due="08:59"), "09:01").promises
    assert promise.slot.slot_at == at


# -- what cannot fire ------------------------------------------------------------------------------


def test_a_rule_that_no_day_matches_never_fires() -> None:
    found = walk(a_clock([{"kind": "cron", "expr": "0 9 30 2 *"}]), "08:00")
    assert found.never == "never fires: no day or time matches the rule"


def test_a_window_without_an_instant_never_fires() -> None:
    rules = [{"kind": "daily", "time": "09:00"}]
    clock = a_clock(rules, valid_from=kst("09:01"), valid_until=kst("10:00"))
    assert "valid_from" in str(walk(clock, "08:00").never)


@pytest.mark.parametrize(
    "changes", [{"rules": '[{"kind": "lunar"}]'}, {"rules": "7"}, {"rules": "[]"}, {"tz": "Seoul"}]
)
def test_what_no_rule_can_read_is_an_error_with_its_field(changes: dict[str, Any]) -> None:
    clock = a_clock(**{"rules": REGULAR, **changes})
    with pytest.raises(RuleError):
        walk(clock, "08:00")


def test_five_thousand_schedules_of_few_rules_cost_microseconds_each() -> None:
    import time

    clocks = [
        a_clock([REGULAR, QUARTERS, EVERY_MINUTE][n % 3], due="08:50", schedule_id=n) for n in range(5000)
    ]
    look = view("08:50")
    started = time.process_time()
    count = sum(len(promises_of(clock, [], look).promises) for clock in clocks)
    each_us = (time.process_time() - started) / len(clocks) * 1e6
    assert count > 5000
    assert each_us < 200  # 20 on an idle machine; the bound holds on a busy one too
