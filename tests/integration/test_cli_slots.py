"""Slots by command: what became of them, and the few things that a person may decide."""

from __future__ import annotations

import pytest

from tests.support.cli import jeongsi
from tests.support.ledger_time import SEOUL
from tests.support.ledger_world import World


@pytest.fixture
def schedule(world: World, ledger_env: dict[str, str]) -> int:
    world.room("강남")
    return world.schedule("강남", title="정각 알림")


def test_slots_are_listed_newest_first_and_narrowed_down(world: World, schedule: int) -> None:
    slots = [world.plan(schedule, in_s) for in_s in (0.0, 60.0, 120.0)]
    assert [one["slot"] for one in jeongsi("slot", "list", "--json").json] == [str(slots[0])]
    listed = jeongsi("slot", "list", "--ahead", "--json").json
    assert [one["slot"] for one in listed] == [str(slot) for slot in reversed(slots)]
    assert listed[0]["title"] == "정각 알림"
    assert listed[0]["slot_at"].endswith("+09:00")
    start = slots[1].slot_at.isoformat()
    assert len(jeongsi("slot", "list", "--from", start, "--state", "planned", "--json").json) == 2
    assert len(jeongsi("slot", "list", "--to", start, "--schedule", schedule, "--json").json) == 1
    assert jeongsi("slot", "list", "--room", "부산", "--json").json == []
    assert "정각 알림" in jeongsi("slot", "list", "--limit", "1").out


def test_one_slot_is_shown_with_parts_attempts_and_moves(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule)
    shown = jeongsi("slot", "show", passed.slot, "--json").json
    assert (shown["state"], len(shown["parts"]), len(shown["attempts"])) == ("unresolved", 1, 1)
    assert shown["log"][-1]["new"] == "unresolved"
    said = jeongsi("slot", "show", passed.slot).out
    assert "Asia/Seoul" in said
    assert "leased → " in said


def test_a_slot_that_has_not_started_is_cancelled_with_a_note(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    assert jeongsi("slot", "cancel", slot, "--note", "행사 취소", "--as", "김지점").code == 0
    assert world.state(slot) == ("cancelled", "cancelled")
    row = world.slot(slot)
    assert (row["cleared_by"], row["cleared_note"], row["cleared_at"]) == (
        "김지점",
        "행사 취소",
        row["ended_at"],
    )
    assert "김지점, " in jeongsi("slot", "show", slot).out
    assert "행사 취소" in jeongsi("slot", "show", slot).out
    again = jeongsi("slot", "cancel", slot)
    assert again.code == 1
    assert "has ended already" in again.err


@pytest.mark.parametrize(
    ("word", "state", "reason"),
    [("--arrived", "delivered", "person_arrived"), ("--not-arrived", "failed", "person_not_arrived")],
)
def test_a_person_says_what_became_of_an_unresolved_slot(
    world: World, schedule: int, word: str, state: str, reason: str
) -> None:
    slot = world.unresolved(schedule).slot
    assert [one["slot"] for one in jeongsi("slot", "list", "--unresolved", "--json").json] == [str(slot)]
    answer = jeongsi("slot", "resolve", slot, word, "--note", "방에서 확인", "--as", "김지점")
    assert answer.code == 0, answer.said
    assert world.state(slot) == (state, reason)
    row = world.slot(slot)
    assert (row["cleared_by"], row["cleared_note"]) == ("김지점", "방에서 확인")
    assert jeongsi("slot", "list", "--unresolved", "--json").json == []
    assert jeongsi("slot", "resolve", slot, word).code == 1


def test_resolving_by_resend_makes_a_new_slot_and_clears_the_old_one(world: World, schedule: int) -> None:
    slot = world.unresolved(schedule).slot
    answer = jeongsi("slot", "resolve", slot, "--resend")
    assert answer.code == 0, answer.said
    made = answer.out.strip()
    assert made != str(slot)
    assert jeongsi("slot", "show", made, "--json").json["resend_of"] == str(slot)
    assert world.state(slot)[0] == "unresolved"
    assert jeongsi("slot", "list", "--unresolved", "--json").json == []


def test_a_living_slot_is_not_sent_again(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    answer = jeongsi("slot", "resend", slot)
    assert answer.code == 1
    assert "has not ended yet" in answer.err


def test_an_ended_slot_is_sent_again_as_a_new_one(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    assert jeongsi("slot", "cancel", slot).code == 0
    made = jeongsi("slot", "resend", slot)
    assert made.code == 0, made.said
    assert len(jeongsi("slot", "list", "--json").json) == 2


def test_why_answers_for_a_slot_for_a_time_and_for_an_instant_without_a_slot(
    world: World, schedule: int
) -> None:
    slot = world.plan(schedule)
    assert jeongsi("slot", "cancel", slot).code == 0
    by_id = jeongsi("slot", "why", slot, "--json").json
    wall = slot.slot_at.astimezone(SEOUL)
    assert jeongsi("slot", "why", schedule, f"{wall:%Y-%m-%d %H:%M}", "--json").json == by_id
    assert jeongsi("slot", "why", schedule, f"{wall:%H:%M}", "--json").json == by_id
    assert jeongsi("slot", "why", schedule, wall.isoformat(), "--json").json == by_id
    [decisive] = [gate for gate in by_id["gates"] if gate["decisive"]]
    assert (decisive["name"], decisive["verdict"]) == ("cancelled", "stopped")
    said = jeongsi("slot", "why", schedule, "09:07").out
    assert "-> stopped" in said
    assert jeongsi("slot", "why", schedule, "nine").code == 2
    assert jeongsi("slot", "why", "98765", "09:00").code == 0
