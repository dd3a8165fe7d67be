"""What people decide about slots, kept with who, when and why; and the log table that the customer reads."""

from __future__ import annotations

from typing import Any

import pytest

from models.ledger import beat, people
from models.states import AttemptOutcome, SlotState
from runtime.ids import SlotId
from tests.support.ledger_world import GRACE_S, VALIDITY_S, World, text_parts

KEY_TTL_S = 3600.0


@pytest.fixture
def room(world: World) -> int:
    return world.room()


@pytest.fixture
def schedule(world: World, room: int) -> int:
    return world.schedule()


def resend(world: World, slot: SlotId) -> SlotId:
    new = people.resend(world.db, slot, "홍길동", KEY_TTL_S, GRACE_S, VALIDITY_S, "다시")
    assert new is not None
    return new


def parts(world: World, slot: SlotId) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM parts WHERE schedule_id = %s AND slot_at = %s ORDER BY ord", *slot)


# -- cancelling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["planned", "queued", "leased"])
def test_a_slot_that_has_not_started_can_be_cancelled(world: World, schedule: int, stage: str) -> None:
    slot = world.plan(schedule)
    if stage != "planned":
        world.dispatch()
    if stage == "leased":
        world.take(slot)
    assert people.cancel(world.db, slot, "홍길동", "잘못 만듦") == "cancelled"
    row = world.slot(slot)
    assert (row["state"], row["reason"], row["owner"]) == ("cancelled", "cancelled", None)
    assert (row["cleared_by"], row["cleared_note"]) == ("홍길동", "잘못 만듦")
    assert world.row("SELECT who FROM slot_log WHERE new = 'cancelled'") == {"who": "홍길동"}


def test_what_started_ended_or_never_was_cannot_be_cancelled(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    assert people.cancel(world.db, passed.slot, "홍길동") == "started"
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.settle(passed, SlotState.DELIVERED)
    assert people.cancel(world.db, passed.slot, "홍길동") == "over"
    assert people.cancel(world.db, SlotId(10**9, world.time.now), "홍길동") == "gone"


# -- resolving ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arrived", "state"), [(True, "delivered"), (False, "failed")])
def test_a_person_says_what_became_of_an_unresolved_slot(
    world: World, schedule: int, arrived: bool, state: str
) -> None:
    passed = world.unresolved(schedule)
    assert people.resolve(world.db, passed.slot, arrived, "홍길동", "방을 봤음") == state
    row = world.slot(passed.slot)
    assert row["state"] == state
    assert (row["cleared_at"], row["cleared_by"]) == (world.time.now, "홍길동")
    assert row["cleared_note"] == "방을 봤음"
    assert row["reason"] == ("person_arrived" if arrived else "person_not_arrived")
    assert people.resolve(world.db, passed.slot, arrived, "홍길동") == "not_unresolved"


def test_a_message_that_arrived_against_a_persons_word_is_noted_and_the_word_stands(
    world: World, schedule: int
) -> None:
    passed = world.unresolved(schedule)
    people.resolve(world.db, passed.slot, False, "홍길동")
    world.say(passed, AttemptOutcome.ACCEPTED)
    assert world.slot(passed.slot)["state"] == "failed"
    noted = world.db.execute(
        "SELECT detail ->> 'said' FROM incidents"
        " WHERE kind = 'arrived_after_all' AND (schedule_id, slot_at) = (%s, %s)",
        passed.slot,
    ).fetchall()
    assert noted == [("홍길동",)]


def test_only_what_is_unresolved_can_be_resolved(world: World, schedule: int) -> None:
    assert people.resolve(world.db, world.plan(schedule), True, "홍길동") == "not_unresolved"
    assert people.resolve(world.db, SlotId(10**9, world.time.now), True, "홍길동") == "gone"


# -- sending again ------------------------------------------------------------------------------------


def test_a_resend_is_a_new_slot_of_now_that_names_the_old_one(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule)
    world.time.advance(600.0005)
    new = resend(world, passed.slot)
    row = world.slot(new)
    assert (row["origin"], row["resend_of"], row["state"]) == ("resend", str(passed.slot), "planned")
    assert new.slot_at <= world.time.now
    assert new.slot_at.microsecond % 1000 == 0
    old = world.slot(passed.slot)
    assert (old["state"], old["cleared_by"], old["cleared_note"]) == ("unresolved", "홍길동", "다시")


def test_what_still_lives_is_not_sent_again(world: World, schedule: int) -> None:
    assert people.resend(world.db, world.plan(schedule), "홍길동", 1, 1, 1) is None
    assert people.resend(world.db, SlotId(10**9, world.time.now), "홍길동", 1, 1, 1) is None


def test_two_resends_in_one_millisecond_are_two_slots(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule)
    world.time.advance(1)
    first, second = resend(world, passed.slot), resend(world, passed.slot)
    assert (second.slot_at - first.slot_at).total_seconds() == 0.001


def test_the_key_is_used_again_while_the_provider_honours_it(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule, provider_kind="key")
    world.time.advance(KEY_TTL_S - 1)
    new = resend(world, passed.slot)
    assert parts(world, new)[0]["idem_key"] == world.part(passed.slot)["idem_key"]
    assert world.slot(new)["dup_risk"] is False


@pytest.mark.parametrize(("kind", "after_s"), [("key", KEY_TTL_S + 1), ("lookup", 1.0), ("none", 1.0)])
def test_else_the_resend_is_marked_as_perhaps_the_second(
    world: World, schedule: int, kind: str, after_s: float
) -> None:
    passed = world.unresolved(schedule, provider_kind=kind)
    world.time.advance(after_s)
    new = resend(world, passed.slot)
    assert parts(world, new)[0]["idem_key"] != world.part(passed.slot)["idem_key"]
    assert world.slot(new)["dup_risk"] is True
    world.db.execute("UPDATE room_gate SET free_at = ledger_now()")
    world.dispatch()
    world.go(world.take(new))
    attempt = world.row("SELECT dup_risk FROM attempts WHERE slot_at = %s", new.slot_at)
    assert attempt == {"dup_risk": True}


def test_only_parts_that_were_not_accepted_are_sent_again(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘", "셋"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.settle(passed, SlotState.PARTIAL, "validity")
    world.time.advance(60)
    new = resend(world, passed.slot)
    assert [(p["ord"], p["body"], p["state"], p["gap_ms"]) for p in parts(world, new)] == [
        (0, "둘", "pending", 0),
        (1, "셋", "pending", 1000),
    ]
    world.dispatch()
    lease = world.take(new)
    assert lease.origin == "resend"
    world.go(lease)


def test_a_message_that_never_began_is_rendered_anew(world: World, schedule: int) -> None:
    slot = world.plan(schedule, in_s=-600, expired=True)
    new = resend(world, slot)
    assert parts(world, new) == []
    world.dispatch()
    assert (world.take(new).content or {})["message_text"] == "안녕하세요"


def test_a_resend_passes_gate_and_quota_like_any_other(world: World, schedule: int, room: int) -> None:
    passed = world.unresolved(schedule)
    world.time.advance(1)
    new = resend(world, passed.slot)
    world.db.execute("UPDATE rooms SET quota = 1")
    world.dispatch()
    lease = world.take(new)
    assert [a.verdict for a in world.ponr(world.ask(lease))] == ["room_busy"]
    world.db.execute("UPDATE room_gate SET free_at = ledger_now()")
    assert [a.verdict for a in world.ponr(world.ask(lease))] == ["quota"]


def test_a_resend_of_what_arrived_in_the_meantime_is_suspected_only_without_a_key(
    world: World, schedule: int
) -> None:
    passed = world.unresolved(schedule)
    world.time.advance(1)
    resend(world, passed.slot)
    world.say(passed, AttemptOutcome.ACCEPTED)
    row = world.slot(passed.slot)
    assert (row["state"], row["cleared_by"]) == ("delivered", "홍길동")


# -- the customer's log table ---------------------------------------------------------------------------


def logged(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM kb_schedule_logs ORDER BY scheduled_at, id")


def test_the_log_table_has_the_customers_columns(world: World) -> None:
    columns = world.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'kb_schedule_logs'"
        " ORDER BY ordinal_position"
    )
    assert [column["column_name"] for column in columns] == [
        "id", "schedule_id", "target_room_id", "sent_message_text", "sent_images", "send_order", "status",
        "error_message", "api_response", "scheduled_at", "started_at", "completed_at", "duration_ms",
        "created_at", "outcome",
    ]  # fmt: skip


def test_a_delivered_message_is_a_success_with_what_was_sent_and_answered(
    world: World, schedule: int
) -> None:
    image = {"ord": 1, "kind": "image", "body": None, "image_id": 7, "idem_key": "k1", "gap_ms": 0}
    first = world.go(world.leased(schedule), parts=[*text_parts("보낸 글"), image])
    world.say(first, AttemptOutcome.ACCEPTED, answer={"message_id": "m-1"})
    world.time.advance(1)
    world.settle(first, SlotState.WAITING, "part_gap")
    world.dispatch()
    second = world.go(world.take(first.slot), ord=1)
    world.say(second, AttemptOutcome.ACCEPTED, answer={"message_id": "m-2"})
    world.settle(second, SlotState.DELIVERED, "accepted")
    world.edit(schedule, message_text="나중 글")
    (row,) = logged(world)
    assert (row["id"], row["schedule_id"]) == (world.slot(first.slot)["id"], schedule)
    assert (row["status"], row["outcome"], row["error_message"]) == ("success", "delivered", None)
    assert (row["target_room_id"], row["sent_message_text"]) == ("방1", "보낸 글")
    assert row["sent_images"] == [{"id": 7, "state": "accepted"}]
    assert row["api_response"] == {"message_id": "m-2"}
    assert (row["scheduled_at"], row["completed_at"]) == (first.slot.slot_at, world.time.now)
    assert row["duration_ms"] == 1000


@pytest.mark.parametrize(
    ("state", "outcome", "status"),
    [
        (SlotState.PARTIAL, "partial", "partial"),
        (SlotState.UNRESOLVED, "unresolved", "failed"),
        (SlotState.FAILED, "failed", "failed"),
    ],
)
def test_every_other_end_of_an_attempt_has_its_row(
    world: World, schedule: int, state: SlotState, outcome: str, status: str
) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    said = {"partial": "accepted", "unresolved": "unknown", "failed": "rejected_final"}[outcome]
    world.say(passed, AttemptOutcome(said), reason="room_not_found")
    world.settle(passed, state, "rejected: room_not_found")
    (row,) = logged(world)
    assert (row["outcome"], row["status"]) == (outcome, status)
    assert (row["error_message"] or "").startswith("may have arrived") == (outcome == "unresolved")


def test_an_expired_slot_has_a_row_though_nothing_was_tried(world: World, schedule: int) -> None:
    world.plan(schedule, in_s=-600, expired=True)
    (row,) = logged(world)
    assert (row["status"], row["outcome"], row["error_message"]) == ("failed", "expired", "scheduler_down")
    assert row["sent_message_text"] == "안녕하세요"


def test_live_skipped_and_cancelled_slots_have_no_row(world: World, schedule: int) -> None:
    world.plan(schedule, in_s=60)
    people.cancel(world.db, world.plan(schedule), "홍길동")
    lease = world.leased(world.schedule())
    world.settle(lease, SlotState.SKIPPED, "quota")
    beat.expire(world.db, 100)
    assert logged(world) == []
