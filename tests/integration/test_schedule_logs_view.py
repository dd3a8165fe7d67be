"""kb_schedule_logs tells what was sent and why it ended so, also after edits and deletion (B46-B59)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from models.ledger import beat, people
from models.states import AttemptOutcome, SlotState
from tests.support.ledger_world import World, text_parts


@pytest.fixture
def schedule(world: World) -> int:
    world.room("방1")
    world.room("방2")
    return world.schedule("방1")


def logged(world: World) -> dict[str, Any]:
    return world.row("SELECT * FROM kb_schedule_logs")


def test_a_message_that_a_deletion_cut_short_says_so_and_not_what_its_last_part_said(
    world: World, schedule: int
) -> None:
    first = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    assert world.say(first, AttemptOutcome.ACCEPTED) == "ok"
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
    assert world.settle(first, SlotState.CANCELLED, "deleted")
    row = logged(world)
    assert (row["status"], row["outcome"], row["error_message"]) == ("partial", "partial", "deleted")


def test_a_refused_message_tells_the_providers_reason(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, AttemptOutcome.REJECTED_FINAL, reason="room_not_found", http_status=404)
    world.settle(passed, SlotState.FAILED, "rejected:room_not_found")
    assert (logged(world)["status"], logged(world)["error_message"]) == ("failed", "room_not_found")


def test_what_may_have_arrived_is_failed_and_says_that_it_may_have(world: World, schedule: int) -> None:
    world.unresolved(schedule)
    row = logged(world)
    assert (row["status"], row["outcome"]) == ("failed", "unresolved")
    assert row["error_message"] == "may have arrived: unproven"


@pytest.mark.parametrize(("arrived", "status"), [(True, "success"), (False, "failed")])
def test_a_persons_word_changes_the_row(world: World, schedule: int, arrived: bool, status: str) -> None:
    people.resolve(world.db, world.unresolved(schedule).slot, arrived, "홍길동")
    assert logged(world)["status"] == status


def test_a_message_of_images_alone_has_no_sent_text(world: World, schedule: int) -> None:
    world.edit(schedule, send_order="images_only", message_images="[7]")
    image = {"ord": 0, "kind": "image", "body": None, "image_id": 7, "idem_key": "k", "gap_ms": 0}
    passed = world.go(world.leased(schedule), parts=[image])
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.settle(passed, SlotState.DELIVERED, "accepted")
    row = logged(world)
    assert (row["send_order"], row["sent_message_text"]) == ("images_only", None)
    assert row["sent_images"] == [{"id": 7, "state": "accepted"}]


def test_an_images_only_schedule_that_was_missed_claims_no_text_either(world: World, schedule: int) -> None:
    world.edit(schedule, send_order="images_only", message_images="[7]")
    world.plan(schedule, in_s=-600, expired=True)
    row = logged(world)
    assert (row["sent_message_text"], row["duration_ms"], row["api_response"]) == (None, None, None)


def test_the_row_names_the_room_and_text_of_its_own_time(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("그때 글"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.time.advance(1.5)
    world.settle(passed, SlotState.DELIVERED, "accepted")
    before = logged(world)
    world.edit(schedule, target_room_id="방2", message_text="나중 글")
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
    assert logged(world) == before
    assert (before["target_room_id"], before["sent_message_text"]) == ("방1", "그때 글")
    assert before["completed_at"] - before["started_at"] == dt.timedelta(milliseconds=before["duration_ms"])
    assert before["duration_ms"] == 1500


def test_one_row_a_slot_however_many_tries_it_took(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, AttemptOutcome.REJECTED_RETRY, reason="http_503")
    assert world.value("SELECT count(*) FROM kb_schedule_logs") == 0
    world.settle(passed, SlotState.WAITING, "retry", delay_s=1.0)
    world.time.advance(60)
    assert passed.slot in world.dispatch()
    lease = world.take(passed.slot)
    again = world.go(lease)
    world.say(again, AttemptOutcome.ACCEPTED)
    world.settle(again, SlotState.DELIVERED, "accepted")
    beat.refresh(world.db, 100)
    assert (logged(world)["status"], logged(world)["error_message"]) == ("success", None)
