"""What beats do to slots: lay down, expire, coalesce, reap, dispatch, republish; any number of them."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from models.ledger import beat
from models.states import AttemptOutcome, Phase, SlotState
from runtime.ids import SlotId
from tests.support.ledger_world import GRACE_S, LEASE_S, PONR_LEASE_S, VALIDITY_S, World, text_parts


@pytest.fixture
def schedule(world: World) -> int:
    world.room()
    return world.schedule()


def at(world: World, seconds: float) -> dt.datetime:
    return world.time.now + dt.timedelta(seconds=seconds)


# -- laying down ----------------------------------------------------------------------------------


def test_a_slot_that_stands_is_left_alone(world: World, schedule: int) -> None:
    slot = world.queued(schedule)
    promise = beat.Promise(slot, 9, at(world, 1), at(world, 2), True, False, None, 1, True, "message")
    assert beat.lay_down(world.db, [promise]) == 0
    assert world.slot(slot)["content_version"] == 1


def test_four_planners_lay_every_slot_down_once(world: World, schedule: int, ledger_url: str) -> None:
    promises = [
        beat.Promise(
            SlotId(schedule, at(world, n)),
            1,
            at(world, n),
            at(world, n),
            False,
            False,
            None,
            5,
            False,
            "message",
        )
        for n in range(200)
    ]

    def plan(turn: int) -> int:
        with psycopg.connect(ledger_url, autocommit=True) as db:
            return beat.lay_down(db, promises if turn % 2 else promises[::-1])

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(plan, range(4))) == 200
    assert world.value("SELECT count(*) FROM slots") == 200


def test_what_was_promised_while_no_beat_lived_is_laid_down_as_expired(world: World, schedule: int) -> None:
    slot = world.plan(schedule, in_s=-600, expired=True)
    assert world.state(slot) == ("expired", "scheduler_down")


def test_a_week_that_was_not_made_fails_loudly(world: World, schedule: int) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        world.plan(schedule, in_s=90 * 86400)


# -- expiring -------------------------------------------------------------------------------------


def test_what_was_never_dispatched_expires_with_that_reason(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    world.time.advance(GRACE_S)
    assert beat.expire(world.db, 100) == 0
    world.time.advance(0.001)
    assert beat.expire(world.db, 100) == 1
    assert world.state(slot) == ("expired", "not_dispatched")


def test_what_no_worker_came_for_expires_with_that_reason(world: World, schedule: int) -> None:
    slot = world.queued(schedule)
    world.time.advance(GRACE_S + 1)
    beat.expire(world.db, 100)
    assert world.state(slot) == ("expired", "no_worker")
    assert world.slot(slot)["republish_at"] is None


@pytest.mark.parametrize("reason", ["room_busy", "device_busy"])
def test_what_waited_for_a_room_or_device_names_it(world: World, schedule: int, reason: str) -> None:
    lease = world.leased(schedule)
    world.settle(lease, SlotState.WAITING, reason, delay_s=VALIDITY_S * 2)
    world.time.advance(VALIDITY_S + 1)
    beat.expire(world.db, 100)
    assert world.state(lease.slot) == ("expired", reason)


def test_what_a_newer_slot_overtook_is_superseded(world: World, schedule: int) -> None:
    lease = world.leased(schedule, superseded=True)
    world.settle(lease, SlotState.WAITING, "retry", delay_s=VALIDITY_S * 2)
    world.time.advance(VALIDITY_S + 1)
    beat.expire(world.db, 100)
    assert world.state(lease.slot) == ("expired", "superseded")


def test_what_was_admitted_has_until_finish_by(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    world.settle(lease, SlotState.WAITING, "retry", delay_s=VALIDITY_S * 2)
    world.time.advance(VALIDITY_S)
    assert beat.expire(world.db, 100) == 0
    world.time.advance(0.001)
    assert beat.expire(world.db, 100) == 1
    assert world.state(lease.slot) == ("expired", "validity")


def test_a_message_of_which_a_part_arrived_expires_as_partial(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.settle(passed, SlotState.WAITING, "part_gap", delay_s=VALIDITY_S * 2)
    world.time.advance(VALIDITY_S + 1)
    beat.expire(world.db, 100)
    assert world.state(passed.slot) == ("partial", "validity")


def test_a_message_that_may_have_arrived_expires_as_unresolved(world: World, schedule: int) -> None:
    passed = world.in_doubt(schedule)
    world.time.advance(60)
    lease = world.confirming(passed)
    world.resolve(passed, lease)
    world.settle(lease, SlotState.WAITING, "retry", delay_s=VALIDITY_S * 2)
    world.time.advance(VALIDITY_S)
    beat.expire(world.db, 100)
    assert world.state(passed.slot) == ("unresolved", "validity")


def test_confirming_never_expires(world: World, schedule: int) -> None:
    passed = world.in_doubt(schedule)
    world.time.advance(VALIDITY_S * 10)
    assert beat.expire(world.db, 100) == 0
    assert world.state(passed.slot)[0] == "waiting"


def test_what_a_worker_holds_is_not_expired_under_its_hands(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    world.time.advance(VALIDITY_S + 1)
    assert beat.expire(world.db, 100) == 0
    assert world.state(lease.slot)[0] == "leased"


# -- misfire = latest -------------------------------------------------------------------------------


def test_of_several_due_slots_only_the_newest_goes_out(world: World) -> None:
    world.room()
    schedule = world.schedule(misfire="latest")
    old, new, future = (world.plan(schedule, in_s=s) for s in (-20, -10, 60))
    assert beat.coalesce(world.db, 1.0, 100) == 1
    assert world.state(old) == ("skipped", "coalesced")
    assert [world.state(slot)[0] for slot in (new, future)] == ["planned", "planned"]


def test_with_misfire_skip_every_slot_inside_grace_goes_out(world: World, schedule: int) -> None:
    old, new = world.plan(schedule, in_s=-20), world.plan(schedule, in_s=-10)
    assert beat.coalesce(world.db, 1.0, 100) == 0
    assert set(world.dispatch()) == {old, new}


# -- reaping ----------------------------------------------------------------------------------------


def test_a_lease_that_runs_is_left_alone(world: World, schedule: int) -> None:
    world.leased(schedule)
    world.time.advance(LEASE_S)
    assert beat.reap(world.db, 10) == []


def test_before_the_point_of_no_return_a_dead_workers_slot_is_offered_again_at_once(
    world: World, schedule: int
) -> None:
    lease = world.leased(schedule)
    world.time.advance(LEASE_S + 0.001)
    assert beat.reap(world.db, 10) == [(lease.slot, "queued", "lease_expired")]
    row = world.slot(lease.slot)
    assert (row["owner"], row["fence"], row["republish_at"]) == (None, lease.fence + 1, world.time.now)


def test_after_it_the_slot_is_confirmed_and_never_sent_blindly(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.time.advance(PONR_LEASE_S + 0.001)
    assert beat.reap(world.db, 10) == [(passed.slot, "waiting", "lease_expired_after_ponr")]
    attempt = world.row("SELECT outcome, reason FROM attempts")
    assert (attempt["outcome"], attempt["reason"]) == ("unknown", "lease_expired")
    assert world.part(passed.slot)["state"] == "unknown"
    assert world.slot(passed.slot)["phase"] == "confirm"


def test_a_worker_that_died_after_the_last_answer_leaves_a_slot_to_confirm(
    world: World, schedule: int
) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.time.advance(PONR_LEASE_S + 1)
    assert beat.reap(world.db, 10) == [(passed.slot, "waiting", "lease_expired_all_sent")]


def test_a_worker_that_died_between_two_parts_leaves_the_rest_to_be_sent(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.time.advance(PONR_LEASE_S + 1)
    assert beat.reap(world.db, 10)[0][1] == "queued"
    lease = world.take(passed.slot)
    assert (lease.phase, lease.exposed) == (Phase.SEND, 1)
    world.go(lease, ord=1)


def test_a_slot_that_kills_five_workers_is_poison(world: World, schedule: int) -> None:
    slot = world.queued(schedule, finish_by=at(world, VALIDITY_S), start_by=at(world, VALIDITY_S))
    for _ in range(4):
        world.take(slot)
        world.time.advance(LEASE_S + 1)
        assert beat.reap(world.db, 10)[0][1] == "queued"
    world.take(slot)
    world.time.advance(LEASE_S + 1)
    assert beat.reap(world.db, 10)[0][1] == "failed"
    assert world.state(slot) == ("failed", "poison")


@pytest.mark.parametrize(("parts", "outcome"), [(2, "partial"), (1, "unresolved")])
def test_poison_tells_the_truth_about_what_went_before(
    world: World, schedule: int, parts: int, outcome: str
) -> None:
    if parts == 2:
        passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
        world.say(passed, AttemptOutcome.ACCEPTED)
        world.settle(passed, SlotState.WAITING, "part_gap")
    else:
        passed = world.in_doubt(schedule)
        world.time.advance(60)
        lease = world.confirming(passed)
        world.resolve(passed, lease)
        world.settle(lease, SlotState.WAITING, "retry")
    world.dispatch()
    for _ in range(5):
        world.take(passed.slot)
        world.time.advance(LEASE_S + 1)
        beat.reap(world.db, 10)
    assert world.state(passed.slot) == (outcome, "poison")


def test_passing_the_point_of_no_return_makes_a_slot_healthy_again(world: World, schedule: int) -> None:
    slot = world.queued(schedule, finish_by=at(world, VALIDITY_S), start_by=at(world, VALIDITY_S))
    for _ in range(4):
        world.take(slot)
        world.time.advance(LEASE_S + 1)
        beat.reap(world.db, 10)
    world.go(world.take(slot))
    assert world.slot(slot)["spins"] == 0


def test_several_reapers_take_each_slot_once(world: World, ledger_url: str) -> None:
    world.room()
    for _ in range(30):
        world.leased(world.schedule())
    world.time.advance(LEASE_S + 1)

    def reap(_: int) -> int:
        with psycopg.connect(ledger_url, autocommit=True) as db:
            return len(beat.reap(db, 10)) + len(beat.reap(db, 100))

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(reap, range(4))) == 30


# -- dispatching and publishing again -----------------------------------------------------------------


def test_dispatch_takes_the_earliest_first_and_tells_what_a_hint_needs(world: World) -> None:
    world.room("폰방", device="폰1")
    late, soon = (world.plan(world.schedule(room="폰방", priority=p), in_s=s) for p, s in ((1, 0), (9, -5)))
    (due,) = beat.dispatch(world.db, world.time.now, 1, 5.0, 1.0)
    assert (due.slot, due.queue, due.priority) == (soon, "send", 9)
    assert (due.channel, due.device) == ("emulator-key", "폰1")
    assert world.dispatch() == [late]


def test_what_is_prepared_ahead_is_looked_for_a_second_after_its_time(world: World, schedule: int) -> None:
    slot = world.plan(schedule, in_s=1.5)
    due_now = world.queued(world.schedule())
    assert world.dispatch(ahead_s=1.5) == [slot]
    assert world.slot(slot)["republish_at"] == slot.slot_at + dt.timedelta(seconds=1)
    assert world.slot(due_now)["republish_at"] == at(world, 5)


def test_four_beats_dispatch_each_slot_once_and_none_waits_for_another(
    world: World, schedule: int, ledger_url: str
) -> None:
    for n in range(200):
        world.plan(schedule, in_s=-n / 1000)

    now = world.time.now

    def dispatch(_: int) -> list[SlotId]:
        with psycopg.connect(ledger_url, autocommit=True) as db:
            return [due.slot for n in range(8) for due in beat.dispatch(db, now, 20 + n, 5.0, 1.0)]

    with ThreadPoolExecutor(4) as threads:
        found = [slot for part in threads.map(dispatch, range(4)) for slot in part]
    assert len(found) == len(set(found)) == 200


def test_a_beat_that_stopped_in_mid_tick_holds_up_only_what_it_holds(
    world: World, schedule: int, ledger_url: str
) -> None:
    held, free = world.plan(schedule), world.plan(world.schedule())
    with psycopg.connect(ledger_url) as stopped:
        stopped.execute("SELECT 1 FROM slots WHERE schedule_id = %s FOR UPDATE", (held.schedule_id,))
        world.db.execute("SET lock_timeout = '500ms'")
        assert world.dispatch() == [free]
        world.time.advance(GRACE_S + 1)
        assert beat.expire(world.db, 100) == 1
    assert world.dispatch() == [held]


def test_a_hint_that_looks_lost_is_published_again_every_five_seconds(world: World, schedule: int) -> None:
    slot = world.queued(schedule)
    assert beat.republish(world.db, "send", 10, 5.0, True) == []
    world.time.advance(5)
    assert beat.republish(world.db, "confirm", 10, 5.0, True) == []
    assert [due.slot for due in beat.republish(world.db, "send", 10, 5.0, True)] == [slot]
    assert beat.republish(world.db, "send", 10, 5.0, True) == []


def test_while_the_queue_is_long_a_lost_hint_is_only_looked_at_again_later(
    world: World, schedule: int
) -> None:
    slot = world.queued(schedule)
    world.time.advance(5)
    assert beat.republish(world.db, "send", 10, 5.0, False) == []
    assert world.slot(slot)["republish_at"] == at(world, 5)


def test_the_agenda_names_the_next_thing_of_each_kind(world: World, schedule: int) -> None:
    world.db.execute("UPDATE schedule_clock SET planned_to = %s", (at(world, 900),))
    planned = world.plan(world.schedule(), in_s=60)
    world.db.execute("UPDATE schedule_clock SET planned_to = %s, replan_from = NULL", (at(world, 900),))
    lease = world.leased(schedule)
    queued = world.queued(world.schedule(status="inactive"))
    agenda = beat.agenda(world.db)
    assert agenda.at == world.time.now
    assert agenda.dispatch_at == planned.slot_at
    assert agenda.expire_at == queued.slot_at + dt.timedelta(seconds=GRACE_S)
    assert agenda.lease_until == world.slot(lease.slot)["lease_until"]
    assert (agenda.send_again_at, agenda.confirm_again_at) == (at(world, 5), None)
    assert agenda.plan_at == at(world, 900)
    assert agenda.dirty is False


def test_a_silence_of_all_beats_becomes_one_incident(world: World) -> None:
    started = world.time.now
    beat.tick_done(world.db, "비트1", started, 5.0)
    world.time.advance(2)
    beat.tick_done(world.db, "비트2", started, 5.0)
    world.time.advance(60)
    beat.tick_done(world.db, "비트1", started, 5.0)
    beat.tick_done(world.db, "비트2", started, 5.0)
    (incident,) = world.rows("SELECT kind, range_from, range_to FROM incidents")
    assert incident["kind"] == "scheduler_down"
    assert incident["range_to"] - incident["range_from"] == dt.timedelta(seconds=60)
