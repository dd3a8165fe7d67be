"""last_sent_at, send_count, next_send_at and `completed`, as ticks of a real planner leave them (B36-B39)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from models.ledger import people
from models.states import AttemptOutcome, SlotState
from tests.support import databases
from tests.support.ledger_time import this_tuesday
from tests.support.world import World

NINE = this_tuesday(9)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    """08:50 of a Tuesday; the planner's horizon reaches over 09:00."""
    with databases.connect(ledger_url) as connection:
        world = World(connection, NINE - dt.timedelta(minutes=10))
        world.room("방1")
        yield world


@pytest.fixture(autouse=True)
def _settings(ledger_env: dict[str, str]) -> None:
    """The planner reads its settings."""


def shown(world: World, schedule: int) -> dict[str, Any]:
    return world.row(
        "SELECT status, send_count, last_sent_at, next_send_at FROM kb_schedule WHERE id = %s", schedule
    )


def half_past(hours: int) -> dt.datetime:
    return NINE + dt.timedelta(hours=hours, minutes=30)


def test_the_next_send_is_known_at_the_first_tick(world: World) -> None:
    soon, later = world.schedule(), world.daily(at="23:00")
    world.tick()
    assert shown(world, soon)["next_send_at"] == NINE
    assert shown(world, later)["next_send_at"] == NINE + dt.timedelta(hours=14)  # no row of its own yet


def test_a_sent_slot_counts_and_the_next_unsent_one_is_named(world: World) -> None:
    schedule = world.schedule()
    world.tick()
    world.time.set(NINE)
    slot = world.tick()[0]
    assert shown(world, schedule)["next_send_at"] == NINE  # queued, not sent
    world.deliver(slot)
    world.tick()
    row = shown(world, schedule)
    assert (row["send_count"], row["next_send_at"]) == (1, half_past(0))
    assert row["last_sent_at"] == world.slot(slot)["started_at"]


def test_a_slot_on_its_way_is_not_the_next_to_be_sent(world: World) -> None:
    schedule = world.schedule()
    world.tick()
    world.time.set(NINE)
    world.pass_on(world.take_up(world.tick()[0]), 0, [_text()], "lookup")
    world.db.execute("INSERT INTO schedule_dirty (schedule_id) VALUES (%s)", (schedule,))
    world.tick()
    assert shown(world, schedule)["next_send_at"] == half_past(0)


def _text() -> dict[str, Any]:
    return {"ord": 0, "kind": "text", "body": "글", "image_id": None, "idem_key": "k", "gap_ms": 0}


def test_a_pause_leaves_no_next_send_and_resuming_brings_it_back(world: World) -> None:
    schedule = world.schedule()
    world.tick()
    world.edit(schedule, status="inactive")
    world.tick()
    assert shown(world, schedule)["next_send_at"] is None
    world.edit(schedule, status="active")
    world.tick()
    assert shown(world, schedule)["next_send_at"] == NINE


def test_an_edit_moves_the_next_send(world: World) -> None:
    schedule = world.schedule()
    world.tick()
    world.edit(schedule, schedule_type="daily", schedule_time="10:00")
    world.tick()
    assert shown(world, schedule)["next_send_at"] == NINE + dt.timedelta(hours=1)


def test_a_schedule_past_its_validity_has_no_next_send(world: World) -> None:
    schedule = world.schedule(valid_until=NINE + dt.timedelta(minutes=1))
    world.tick()
    world.time.set(NINE)
    world.deliver(world.tick()[0])
    world.tick()
    assert shown(world, schedule)["next_send_at"] is None
    assert shown(world, schedule)["status"] == "active"  # only a one-off is ever completed


def test_a_sent_one_off_is_completed_and_that_is_no_edit(world: World) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    world.deliver(slot)
    world.tick()
    row = shown(world, slot.schedule_id)
    assert (row["status"], row["send_count"], row["next_send_at"]) == ("completed", 1, None)
    history = "SELECT count(*) FROM kb_schedule_history WHERE schedule_id = %s"
    assert world.value(history, slot.schedule_id) == 1
    assert world.state(slot)[0] == "delivered"


def test_a_resend_of_a_completed_one_off_counts_too(world: World) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    world.deliver(slot)
    world.tick()
    world.advance(60)
    again = people.resend(world.db, slot, "홍길동", 3600, 300, 1800)
    assert again is not None
    world.deliver(again)
    world.tick()
    row = shown(world, slot.schedule_id)
    assert (row["status"], row["send_count"]) == ("completed", 2)
    assert row["last_sent_at"] == world.slot(again)["started_at"]


def test_a_completed_one_off_given_a_new_day_is_active_again_if_it_is_said(world: World) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    world.deliver(slot)
    world.tick()
    world.edit(slot.schedule_id, schedule_time="09:00", status="active")
    world.tick()
    assert shown(world, slot.schedule_id)["next_send_at"] == NINE
    world.time.set(NINE)
    world.deliver(world.tick()[0])
    world.tick()
    assert shown(world, slot.schedule_id)["status"] == "completed"
    assert shown(world, slot.schedule_id)["send_count"] == 2


@pytest.mark.parametrize(
    ("outcome", "state", "counted"),
    [
        (AttemptOutcome.REJECTED_FINAL, SlotState.FAILED, 0),
        (AttemptOutcome.UNKNOWN, SlotState.UNRESOLVED, 0),
        (AttemptOutcome.ACCEPTED, SlotState.PARTIAL, 1),
    ],
)
def test_what_reached_the_room_for_certain_counts(
    world: World, outcome: AttemptOutcome, state: SlotState, counted: int
) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    passed = world.send(world.take_up(slot), outcome, bodies=("하나", "둘"))
    assert world.settle(passed, state, "tries")
    assert world.state(slot)[0] == state
    world.tick()
    assert shown(world, slot.schedule_id)["send_count"] == counted
    assert shown(world, slot.schedule_id)["status"] == "completed"


def test_a_missed_one_off_is_completed_without_having_been_sent(world: World) -> None:
    slot = world.once(in_s=60)
    world.advance(3600)
    world.tick()
    world.tick()
    row = shown(world, slot.schedule_id)
    assert world.state(slot)[0] == "expired"
    assert (row["status"], row["send_count"], row["last_sent_at"]) == ("completed", 0, None)
