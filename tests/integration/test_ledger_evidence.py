"""Evidence: what is known of an attempt counts whoever says it and whenever, and only once (R4)."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest

from models.ledger import beat, people, worker
from models.ledger.worker import Evidence, Lease
from models.states import AttemptOutcome, Phase, SlotState
from tests.support.ledger_world import PONR_LEASE_S, Passed, World, text_parts

ACCEPTED, UNKNOWN = AttemptOutcome.ACCEPTED, AttemptOutcome.UNKNOWN
PROOFS = (AttemptOutcome.NOT_SENT, AttemptOutcome.REJECTED_RETRY, AttemptOutcome.REJECTED_FINAL)


@pytest.fixture
def room(world: World) -> int:
    return world.room()


@pytest.fixture
def schedule(world: World, room: int) -> int:
    return world.schedule()


def again(world: World, passed: Passed, phase: Phase = Phase.SEND) -> Lease:
    """The slot is given up to be tried at once, and leased again."""
    assert world.settle(passed, SlotState.WAITING, "retry", phase=phase)
    world.dispatch()
    return world.take(passed.slot)


def sent_twice(world: World, schedule: int, **changes: Any) -> tuple[Passed, Passed, Lease]:
    """A part whose first try is in doubt, believed absent after settle, and which is being sent again."""
    first = world.in_doubt(schedule, **changes)
    world.time.advance(60)
    confirming = world.confirming(first)
    assert world.resolve(first, confirming)
    assert world.settle(confirming, SlotState.WAITING, "retry")
    world.dispatch()
    lease = world.take(first.slot)
    return first, world.go(lease, **changes), lease


# -- one attempt --------------------------------------------------------------------------------


def test_an_accepted_answer_is_kept_whole(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.time.advance(1)
    said = world.say(
        passed, ACCEPTED, provider_msg_id="m-1", http_status=200, answer={"accepted": True}, wrote_ms=12.5
    )
    assert said == "ok"
    attempt = world.row("SELECT * FROM attempts")
    assert (attempt["outcome"], attempt["http_status"], attempt["answer"]) == (
        "accepted", 200, {"accepted": True},
    )  # fmt: skip
    assert attempt["wrote_at"] == attempt["sending_at"] + dt.timedelta(milliseconds=12.5)
    part = world.part(passed.slot)
    assert (part["state"], part["provider_msg_id"], part["done_at"]) == ("accepted", "m-1", world.time.now)
    assert world.slot(passed.slot)["started_at"] == attempt["wrote_at"]


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_saying_the_same_again_changes_nothing(
    world: World, schedule: int, room: int, outcome: AttemptOutcome
) -> None:
    passed = world.go(world.leased(schedule))
    assert world.say(passed, outcome) == "ok"
    before = (world.slot(passed.slot), world.part(passed.slot), world.used(room), world.room_free_in_s(room))
    assert world.say(passed, outcome) == "same"
    assert before == (
        world.slot(passed.slot),
        world.part(passed.slot),
        world.used(room),
        world.room_free_in_s(room),
    )
    assert world.incidents() == []


def test_the_same_fact_twice_in_one_set_counts_once(world: World, schedule: int, room: int) -> None:
    passed = world.go(world.leased(schedule))
    fact = Evidence(passed.slot, 0, passed.attempt_id, AttemptOutcome.NOT_SENT, "refused")
    assert worker.evidence(world.db, [fact, fact]) == ["ok", "same"]
    assert (world.slot(passed.slot)["exposed"], world.used(room)) == (0, 0)


def test_what_is_certain_in_a_set_outranks_what_is_not(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    unsure = Evidence(passed.slot, 0, passed.attempt_id, UNKNOWN, "timeout")
    assert worker.evidence(world.db, [unsure, replace(unsure, outcome=ACCEPTED)]) == ["same", "ok"]
    assert world.part(passed.slot)["state"] == "accepted"


def test_two_certain_answers_that_differ_are_a_conflict_on_record(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, ACCEPTED)
    assert world.say(passed, AttemptOutcome.REJECTED_FINAL) == "conflict"
    assert world.incidents() == ["evidence_conflict"]
    assert world.part(passed.slot)["state"] == "accepted"


def test_doubt_never_overrides_certainty(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, ACCEPTED)
    assert world.say(passed, UNKNOWN) == "same"
    assert world.part(passed.slot)["state"] == "accepted"


def test_evidence_of_an_attempt_that_never_committed_is_no_news(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    ghost = Passed(lease.slot, 0, uuid.uuid4(), lease.fence)
    assert world.say(ghost, AttemptOutcome.NOT_SENT) == "no_attempt"
    assert world.slot(lease.slot)["exposed"] == 0


def test_evidence_counts_though_the_lease_was_lost(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.time.advance(PONR_LEASE_S + 1)
    assert [(state, why) for _, state, why in beat.reap(world.db, 10)] == [
        ("waiting", "lease_expired_after_ponr")
    ]
    assert world.say(passed, ACCEPTED) == "ok"
    assert world.part(passed.slot)["state"] == "accepted"


# -- proof that nothing was sent ------------------------------------------------------------------


@pytest.mark.parametrize("outcome", PROOFS)
def test_proof_of_not_sent_takes_exposure_and_quota_back(
    world: World, schedule: int, room: int, outcome: AttemptOutcome
) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, outcome)
    slot = world.slot(passed.slot)
    assert (slot["exposed"], slot["quota_day"], world.used(room)) == (0, None, 0)
    assert world.room_free_in_s(room) == 0
    assert world.part(passed.slot)["state"] == ("failed" if outcome == "rejected_final" else "pending")


@pytest.mark.parametrize(
    ("outcome", "tries", "misses"),
    [(AttemptOutcome.NOT_SENT, 0, 1), (AttemptOutcome.REJECTED_RETRY, 1, 0)],
)
def test_only_tries_that_reached_the_write_count_as_tries(
    world: World, schedule: int, outcome: AttemptOutcome, tries: int, misses: int
) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, outcome)
    part = world.part(passed.slot)
    assert (part["tries"], part["misses"]) == (tries, misses)


def test_misses_start_again_once_a_try_reached_the_provider(world: World, schedule: int) -> None:
    slot = world.queued(schedule)
    for outcome, misses in [(AttemptOutcome.NOT_SENT, 1), (AttemptOutcome.NOT_SENT, 2), (PROOFS[1], 0)]:
        passed = world.go(world.take(slot))
        world.say(passed, outcome)
        assert world.part(slot)["misses"] == misses
        world.settle(passed, SlotState.WAITING, "retry")
        world.dispatch()


def test_a_message_begun_keeps_its_quota_when_a_later_part_was_not_sent(
    world: World, schedule: int, room: int
) -> None:
    first = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(first, ACCEPTED)
    lease = again(world, first)
    second = world.go(lease, ord=1)
    world.say(second, AttemptOutcome.NOT_SENT)
    slot = world.slot(first.slot)
    assert (slot["exposed"], world.used(room)) == (1, 1)
    assert slot["quota_day"] is not None
    assert world.room_free_in_s(room) == 30


def test_a_quota_unit_goes_back_to_the_day_it_came_from(world: World, schedule: int, room: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, UNKNOWN)
    day = world.slot(passed.slot)["quota_day"]
    world.time.advance(86400)
    world.say(passed, AttemptOutcome.NOT_SENT)
    assert world.rows("SELECT day, used FROM room_quota") == [{"day": day, "used": 0}]


def test_a_slot_that_was_proven_unsent_takes_quota_anew_when_it_goes_out(
    world: World, schedule: int, room: int
) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, AttemptOutcome.NOT_SENT)
    world.go(again(world, passed), parts=text_parts())
    assert world.used(room) == 1


# -- late and earlier attempts ---------------------------------------------------------------------


def test_late_proof_wakes_the_confirmer(world: World, schedule: int) -> None:
    """The bug that the state model found: nobody owned a pending part in confirm phase."""
    passed = world.go(world.leased(schedule))
    world.say(passed, UNKNOWN)
    world.settle(passed, SlotState.WAITING, "confirm", phase=Phase.CONFIRM, delay_s=60)
    assert world.dispatch() == []
    world.say(passed, AttemptOutcome.NOT_SENT)
    assert world.dispatch() == [passed.slot]
    lease = world.take(passed.slot)
    assert lease.parts is not None
    assert (lease.phase, lease.parts[0]["state"]) == (Phase.CONFIRM, "pending")


def test_late_acceptance_delivers_what_stood_unresolved(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule)
    assert world.say(passed, ACCEPTED) == "ok"
    assert world.state(passed.slot) == ("delivered", "late_evidence")
    assert world.slot(passed.slot)["cleared_at"] == world.time.now


def test_an_unresolved_message_with_a_part_still_missing_stays_on_the_list(
    world: World, schedule: int
) -> None:
    passed = world.unresolved(schedule, parts=text_parts("하나", "둘"))
    world.say(passed, ACCEPTED)
    assert world.state(passed.slot)[0] == "unresolved"


def test_late_proof_leaves_an_unresolved_slot_to_a_person(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule)
    world.say(passed, AttemptOutcome.NOT_SENT)
    assert world.state(passed.slot)[0] == "unresolved"


def test_an_earlier_try_that_arrived_is_not_sent_a_third_time(world: World, schedule: int) -> None:
    first, second, _ = sent_twice(world, schedule)
    world.say(second, AttemptOutcome.NOT_SENT)
    assert world.part(first.slot)["state"] == "pending"
    assert world.say(first, ACCEPTED) == "superseded"
    part = world.part(first.slot)
    assert (part["state"], part["attempt_id"]) == ("accepted", first.attempt_id)
    assert world.settle(second, SlotState.DELIVERED, "accepted")


def test_an_earlier_try_that_arrived_while_the_next_is_under_way_is_suspected_twice(
    world: World, schedule: int
) -> None:
    first, second, _ = sent_twice(world, schedule)
    assert world.say(first, ACCEPTED) == "superseded"
    assert world.part(first.slot)["state"] == "accepted"
    assert world.say(second, ACCEPTED) == "superseded"
    assert world.incidents() == ["dup_suspect", "dup_suspect"]
    assert world.slot(first.slot)["exposed"] == 2


def test_the_same_key_sent_twice_arrives_once_and_raises_no_suspicion(world: World, schedule: int) -> None:
    first, second, _ = sent_twice(world, schedule, provider_kind="key")
    world.say(first, ACCEPTED)
    world.say(second, ACCEPTED)
    assert world.incidents() == []


def test_a_slot_waiting_to_try_again_is_done_when_the_earlier_try_arrived(
    world: World, schedule: int
) -> None:
    passed = world.in_doubt(schedule)
    world.time.advance(60)
    confirming = world.confirming(passed)
    world.resolve(passed, confirming)
    assert world.settle(confirming, SlotState.WAITING, "retry", delay_s=600)
    assert world.say(passed, ACCEPTED) == "ok"
    assert world.dispatch() == [passed.slot]
    lease = world.take(passed.slot)
    assert lease.phase == Phase.CONFIRM
    assert world.settle(lease, SlotState.DELIVERED, "accepted")


def test_a_slot_that_arrived_late_never_expires_as_partial(world: World, schedule: int) -> None:
    first, second, _ = sent_twice(world, schedule)
    world.say(second, AttemptOutcome.REJECTED_RETRY)
    assert world.settle(second, SlotState.WAITING, "retry", delay_s=3600)
    world.say(first, ACCEPTED)
    world.time.advance(3600)
    beat.expire(world.db, 100)
    world.dispatch()
    lease = world.take(first.slot)
    assert lease.phase == Phase.CONFIRM
    assert world.settle(lease, SlotState.DELIVERED, "accepted")


def test_proof_about_every_try_in_doubt_takes_the_taint_away(world: World, schedule: int, room: int) -> None:
    first, second, _ = sent_twice(world, schedule)
    assert world.part(first.slot)["tainted"]
    world.say(second, AttemptOutcome.REJECTED_RETRY)
    assert world.part(first.slot)["tainted"]
    world.say(first, AttemptOutcome.NOT_SENT)
    assert not world.part(first.slot)["tainted"]
    assert (world.slot(first.slot)["exposed"], world.used(room)) == (0, 0)


# -- confirming ----------------------------------------------------------------------------------


def test_absence_is_believed_only_after_settle(world: World, schedule: int) -> None:
    passed = world.in_doubt(schedule)
    world.time.advance(59.999)
    lease = world.confirming(passed)
    assert not world.resolve(passed, lease, wait_s=60)
    world.time.advance(0.001)
    assert world.resolve(passed, lease, wait_s=60)
    part = world.part(passed.slot)
    assert (part["state"], part["tainted"], world.slot(passed.slot)["exposed"]) == ("pending", True, 1)


def test_absence_that_the_provider_itself_vouches_for_taints_nothing(
    world: World, schedule: int, room: int
) -> None:
    passed = world.in_doubt(schedule)
    assert world.resolve(passed, world.confirming(passed), wait_s=0, proven=True)
    part = world.part(passed.slot)
    assert (part["state"], part["tainted"]) == ("pending", False)
    assert (world.slot(passed.slot)["exposed"], world.used(room)) == (0, 0)


def test_what_was_accepted_goes_back_only_if_the_provider_vouches_for_it(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, ACCEPTED)
    world.settle(passed, SlotState.WAITING, "confirm", phase=Phase.CONFIRM)
    lease = world.confirming(passed)
    assert not world.resolve(passed, lease, wait_s=0)
    assert world.resolve(passed, lease, wait_s=0, proven=True)


def test_resolving_needs_the_live_lease_and_the_fence(world: World, schedule: int) -> None:
    passed = world.in_doubt(schedule)
    lease = world.confirming(passed)
    assert not world.resolve(passed, replace(lease, fence=lease.fence - 1), wait_s=0)
    world.time.advance(4)
    assert not world.resolve(passed, lease, wait_s=0)


def test_proof_after_the_provider_vouched_for_absence_is_not_counted_twice(
    world: World, schedule: int, room: int
) -> None:
    first = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(first, ACCEPTED)
    second = world.go(again(world, first), ord=1)
    world.say(second, UNKNOWN)
    world.settle(second, SlotState.WAITING, "confirm", phase=Phase.CONFIRM)
    assert world.resolve(second, world.confirming(second), wait_s=0, proven=True)
    world.say(second, AttemptOutcome.NOT_SENT)
    assert world.slot(first.slot)["exposed"] == 1
    assert world.used(room) == 1


def test_a_part_that_was_vouched_absent_and_arrives_after_all_is_exposed_again(
    world: World, schedule: int, room: int
) -> None:
    passed = world.in_doubt(schedule)
    lease = world.confirming(passed)
    assert world.resolve(passed, lease, wait_s=0, proven=True)
    assert world.say(passed, ACCEPTED) == "ok"
    assert (world.part(passed.slot)["state"], world.slot(passed.slot)["exposed"]) == ("accepted", 1)
    assert world.used(room) == 1


def test_a_confirmed_part_is_delivered_with_its_time(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, ACCEPTED)
    assert worker.confirmed(world.db, [(passed.slot, 0, uuid.uuid4())]) == 0
    assert worker.confirmed(world.db, [(passed.slot, 0, passed.attempt_id)]) == 1
    assert world.part(passed.slot)["confirmed_at"] == world.time.now
    assert world.settle(passed, SlotState.DELIVERED, "confirmed")


# -- the room ------------------------------------------------------------------------------------


def test_an_attempt_in_doubt_keeps_the_room_held(world: World, schedule: int, room: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, UNKNOWN)
    assert world.room_free_in_s(room) == 90


def test_only_its_holder_frees_a_room(world: World, schedule: int, room: int) -> None:
    first = world.go(world.leased(schedule))
    world.say(first, UNKNOWN)
    world.time.advance(90)
    other = world.go(world.leased(world.schedule()))
    world.say(first, ACCEPTED)
    assert world.room_free_in_s(room) == 90
    assert world.value("SELECT holder_schedule FROM room_gate") == other.slot.schedule_id


def test_waiters_are_woken_in_order_a_gap_apart(world: World, schedule: int, room: int) -> None:
    holder = world.go(world.leased(schedule))
    waiters = [world.leased(world.schedule(priority=p)) for p in (5, 5, 1)]
    for waiter in waiters:
        assert world.settle(waiter, SlotState.WAITING, "room_busy", delay_s=1000)
    world.say(holder, ACCEPTED)
    wakes = [(world.slot(w.slot)["not_before"] - world.time.now).total_seconds() for w in waiters]
    assert wakes == [60, 90, 30]


def test_waking_never_puts_a_waiter_off(world: World, schedule: int) -> None:
    holder = world.go(world.leased(schedule))
    waiter = world.leased(world.schedule())
    world.settle(waiter, SlotState.WAITING, "room_busy", delay_s=10)
    world.say(holder, ACCEPTED)
    assert world.slot(waiter.slot)["not_before"] == world.time.now + dt.timedelta(seconds=10)


# -- settling against the parts --------------------------------------------------------------------


def test_delivered_with_a_part_missing_is_not_settled(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(passed, ACCEPTED)
    assert not world.settle(passed, SlotState.DELIVERED)
    assert world.state(passed.slot)[0] == "leased"


@pytest.mark.parametrize("wanted", [SlotState.FAILED, SlotState.EXPIRED, SlotState.PARTIAL])
def test_evidence_that_came_while_the_worker_made_up_its_mind_decides(
    world: World, schedule: int, wanted: SlotState
) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, ACCEPTED)
    assert world.settle(passed, wanted)
    assert world.state(passed.slot) == ("delivered", "late_evidence")


def test_what_may_have_arrived_never_ends_as_failed(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, UNKNOWN)
    assert world.settle(passed, SlotState.FAILED, "tries")
    assert world.state(passed.slot) == ("unresolved", "tries")


def test_what_arrived_in_part_ends_as_partial(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(passed, ACCEPTED)
    assert world.settle(passed, SlotState.CANCELLED, "deleted")
    assert world.state(passed.slot) == ("partial", "deleted")


def test_an_accepted_message_that_cannot_be_looked_up_any_more_goes_to_a_person(
    world: World, schedule: int
) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, ACCEPTED)
    assert world.settle(passed, SlotState.UNRESOLVED, "lookup_unavailable")
    assert people.resolve(world.db, passed.slot, True, "홍길동") == "delivered"
