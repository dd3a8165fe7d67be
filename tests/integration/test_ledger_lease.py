"""Leases: who may work on a slot, for how long, and who is told what instead."""

from __future__ import annotations

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from models.ledger import beat, worker
from models.states import AttemptOutcome, Phase, SlotState
from runtime.ids import SlotId
from tests.support.ledger_world import GRACE_S, LEASE_S, VALIDITY_S, World, text_parts


@pytest.fixture
def schedule(world: World) -> int:
    world.room()
    return world.schedule()


def test_a_queued_slot_is_leased_with_all_that_its_worker_needs(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert (lease.room, lease.room_name, lease.channel) == ("방1", "방1", "emulator-key")
    assert (lease.phase, lease.exposed, lease.parts, lease.origin) == (Phase.SEND, 0, None, "plan")
    assert lease.content is not None
    assert lease.content["message_text"] == "안녕하세요"
    assert lease.finish_ms == VALIDITY_S * 1000
    row = world.slot(lease.slot)
    assert (row["state"], row["owner"], row["fence"]) == ("leased", world.owner, lease.fence)
    assert row["admitted_at"] == world.time.now


def test_a_lease_raises_the_fence(world: World, schedule: int) -> None:
    slot = world.queued(schedule)
    before = world.slot(slot)["fence"]
    assert world.take(slot).fence == before + 1


def test_an_early_slot_says_how_many_ms_are_left(world: World, schedule: int) -> None:
    slot = world.plan(schedule, in_s=1.25)
    assert world.dispatch(ahead_s=1.5) == [slot]
    (answer,) = world.lease(slot)
    assert (answer.verdict, answer.wait_ms) == ("early", 1250)
    assert world.slot(slot)["state"] == "queued"
    world.time.advance(1.25)
    assert world.lease(slot)[0].verdict == "leased"


def test_what_is_not_queued_is_taken_whoever_has_it(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert [a.verdict for a in world.lease(lease.slot, owner=uuid.uuid4())] == ["taken"]
    assert [a.verdict for a in world.lease(world.plan(schedule, in_s=60))] == ["taken"]


def test_a_slot_that_an_edit_removed_is_gone(world: World, schedule: int) -> None:
    assert [a.verdict for a in world.lease(SlotId(schedule, world.time.now))] == ["gone"]


def test_a_slot_past_its_grace_is_over(world: World, schedule: int) -> None:
    slot = world.queued(schedule)
    world.time.advance(GRACE_S + 0.001)
    assert world.lease(slot)[0].verdict == "over"


def test_grace_ends_when_a_worker_first_finds_the_slot_ready(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert world.settle(lease, SlotState.WAITING, "room_busy", delay_s=GRACE_S + 10)
    world.time.advance(GRACE_S + 10)
    world.dispatch()
    assert world.lease(lease.slot)[0].verdict == "leased"


def test_a_slot_past_its_validity_is_over_even_if_it_was_begun(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, AttemptOutcome.REJECTED_RETRY)
    assert world.settle(passed, SlotState.WAITING, "retry", delay_s=VALIDITY_S + 1)
    world.time.advance(VALIDITY_S + 1)
    world.dispatch()
    assert world.lease(passed.slot)[0].verdict == "over"


def test_confirming_goes_on_past_validity(world: World, schedule: int) -> None:
    passed = world.in_doubt(schedule)
    world.time.advance(VALIDITY_S * 2)
    assert world.confirming(passed).verdict == "leased"


def test_a_slot_whose_cancel_was_asked_for_is_over(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.settle(passed, SlotState.WAITING, "part_gap")
    world.db.execute("UPDATE slots SET cancel_requested = true")
    world.dispatch()
    assert world.lease(passed.slot)[0].verdict == "over"


def test_one_slot_of_a_set_never_touches_its_neighbours(world: World, schedule: int) -> None:
    other = world.schedule()
    free, early = world.queued(other), world.plan(schedule, in_s=1)
    world.dispatch(ahead_s=2)
    gone = SlotId(10**9, world.time.now)
    verdicts = {a.slot: a.verdict for a in world.lease(gone, early, free, free)}
    assert verdicts == {gone: "gone", early: "early", free: "leased"}


def test_two_workers_racing_for_the_same_slots_never_both_get_one(
    world: World, schedule: int, ledger_url: str
) -> None:
    slots = [world.plan(schedule, in_s=n / 1000) for n in range(40)]
    world.time.advance(1)
    world.dispatch()

    def race(turn: int) -> list[SlotId]:
        with psycopg.connect(ledger_url, autocommit=True) as db:
            mine = slots if turn % 2 else slots[::-1]
            return [a.slot for a in worker.lease(db, mine, uuid.uuid4(), LEASE_S) if a.verdict == "leased"]

    with ThreadPoolExecutor(4) as threads:
        got = [slot for found in threads.map(race, range(4)) for slot in found]
    assert sorted(got) == slots


def test_a_renewal_lengthens_the_leases_that_are_ours_and_names_them(world: World, schedule: int) -> None:
    lease, other = world.leased(schedule), world.queued(world.schedule())
    world.time.advance(2)
    assert worker.renew(world.db, [lease.slot, other], world.owner, LEASE_S) == {lease.slot}
    assert world.slot(lease.slot)["lease_until"] == world.time.now + dt.timedelta(seconds=LEASE_S)


def test_a_renewal_never_shortens_a_lease(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    until = world.slot(passed.slot)["lease_until"]
    assert worker.renew(world.db, [passed.slot], world.owner, LEASE_S) == {passed.slot}
    assert world.slot(passed.slot)["lease_until"] == until


def test_a_lease_that_ran_out_is_not_renewed_even_before_the_reaper_comes(
    world: World, schedule: int
) -> None:
    lease = world.leased(schedule)
    world.time.advance(LEASE_S)
    assert worker.renew(world.db, [lease.slot], world.owner, LEASE_S) == set()


def test_a_foreign_lease_is_not_renewed(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert worker.renew(world.db, [lease.slot], uuid.uuid4(), LEASE_S) == set()


def test_a_renewal_does_not_wait_for_a_slot_that_somebody_holds(
    world: World, schedule: int, ledger_url: str
) -> None:
    held, free = world.leased(schedule), world.leased(world.schedule())
    with psycopg.connect(ledger_url) as other:
        other.execute("SELECT 1 FROM slots WHERE schedule_id = %s FOR UPDATE", (schedule,))
        world.db.execute("SET lock_timeout = '1s'")
        renewed = worker.renew(world.db, [held.slot, free.slot], world.owner, LEASE_S)
    assert free.slot in renewed


def test_settling_with_an_old_fence_does_nothing(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    passed = world.go(lease)
    assert not world.settle(lease, SlotState.FAILED)
    assert world.slot(passed.slot)["state"] == "leased"


def test_settling_a_foreign_slot_does_nothing(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    world.owner = uuid.uuid4()
    assert not world.settle(lease, SlotState.FAILED)


def test_a_waiting_slot_comes_back_when_its_delay_has_passed(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert world.settle(lease, SlotState.WAITING, "retry", delay_s=60)
    row = world.slot(lease.slot)
    assert (row["wait_reason"], row["reason"], row["ended_at"], row["owner"]) == ("retry", None, None, None)
    world.time.advance(59.999)
    assert world.dispatch() == []
    world.time.advance(0.001)
    assert world.dispatch() == [lease.slot]


def test_a_slot_given_back_in_good_order_is_offered_again_and_counts_no_spin(
    world: World, schedule: int
) -> None:
    slot = world.queued(schedule)
    for _ in range(7):
        assert world.settle(world.take(slot), SlotState.QUEUED, "stopping")
    row = world.slot(slot)
    assert (row["state"], row["spins"], row["republish_at"]) == ("queued", 0, world.time.now)
    assert [due.slot for due in beat.republish(world.db, "send", 10, 5.0, True)] == [slot]


def test_a_terminal_state_keeps_its_time_and_reason(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert world.settle(lease, SlotState.SKIPPED, "quota")
    row = world.slot(lease.slot)
    assert (row["state"], row["reason"], row["ended_at"]) == ("skipped", "quota", world.time.now)


def test_polling_names_queued_slots_most_urgent_first(world: World, schedule: int) -> None:
    late = world.plan(schedule)
    soon = world.plan(world.schedule(), finish_by=world.time.now + dt.timedelta(seconds=GRACE_S))
    prepared = world.plan(world.schedule(), in_s=1)
    assert set(world.dispatch(ahead_s=2)) == {late, soon, prepared}
    assert worker.poll(world.db, Phase.SEND, 10) == [soon, late]
    assert worker.poll(world.db, Phase.SEND, 1) == [soon]
    assert worker.poll(world.db, Phase.CONFIRM, 10) == []
