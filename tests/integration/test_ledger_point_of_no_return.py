"""The point of no return: every reason to stop before it, and what it takes when it is passed (R5)."""

from __future__ import annotations

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from models.ledger import worker
from models.ledger.worker import Ponr
from models.states import AttemptOutcome, SlotState
from tests.support.ledger_time import this_tuesday
from tests.support.ledger_world import (
    HOLD_S,
    LEASE_S,
    MAX_TRIES,
    PONR_LEASE_S,
    World,
    text_parts,
)


@pytest.fixture
def room(world: World) -> int:
    return world.room(gap_ms=30000)


@pytest.fixture
def schedule(world: World, room: int) -> int:
    return world.schedule()


def verdict(world: World, question: Ponr) -> tuple[str, float]:
    (answer,) = world.ponr(question)
    return answer.verdict, answer.wait_ms


# -- passing ------------------------------------------------------------------------------------


def test_passing_takes_room_quota_attempt_and_a_longer_lease_in_one_step(
    world: World, schedule: int, room: int
) -> None:
    lease = world.leased(schedule)
    passed = world.go(lease, parts=text_parts("하나", "둘"))
    slot, part = world.slot(lease.slot), world.part(lease.slot)
    assert passed.fence == lease.fence + 1 == slot["fence"]
    assert (slot["exposed"], slot["quota_day"], slot["spins"]) == (1, world.time.now.date(), 0)
    assert slot["lease_until"] == world.time.now + dt.timedelta(seconds=PONR_LEASE_S)
    assert (part["state"], part["tries"], part["attempt_id"]) == ("sending", 1, passed.attempt_id)
    assert part["sending_at"] == world.time.now
    assert world.part(lease.slot, 1)["state"] == "pending"
    attempt = world.row("SELECT * FROM attempts")
    assert (attempt["attempt_id"], attempt["fence"]) == (passed.attempt_id, lease.fence)
    assert (attempt["outcome"], attempt["exposed"]) == (None, True)
    assert world.room_free_in_s(room) == HOLD_S
    assert world.used(room) == 1


def test_what_is_sent_is_kept_with_its_order_and_keys(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    image = {"ord": 1, "kind": "image", "body": None, "image_id": 7, "idem_key": "k1", "gap_ms": 2000}
    world.go(lease, parts=[*text_parts("안녕 😀"), image])
    rows = world.rows("SELECT ord, kind, body, image_id, gap_ms FROM parts ORDER BY ord")
    assert [tuple(row.values()) for row in rows] == [
        (0, "text", "안녕 😀", None, 1000),
        (1, "image", None, 7, 2000),
    ]


def test_a_day_counts_a_slot_once_however_many_parts_and_tries_it_has(
    world: World, schedule: int, room: int
) -> None:
    first = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(first, AttemptOutcome.ACCEPTED)
    lease = world.row("SELECT content_version, fence FROM slots")
    second = Ponr(first.slot, 1, lease["fence"], uuid.uuid4(), lease["content_version"], HOLD_S, "key", None)
    assert verdict(world, second)[0] == "go"
    assert world.used(room) == 1
    assert world.slot(first.slot)["exposed"] == 2


# -- every reason to stop ----------------------------------------------------------------------


def test_a_worker_that_lost_its_lease_cannot_pass(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    world.time.advance(LEASE_S + 0.001)
    assert verdict(world, world.ask(lease))[0] == "fenced"
    world.db.execute("SELECT * FROM reap(10)")
    assert verdict(world, world.ask(lease))[0] == "fenced"
    assert world.value("SELECT count(*) FROM attempts") == 0


def test_an_old_fence_a_foreign_owner_and_a_missing_slot_are_ghosts(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert verdict(world, world.ask(lease, fence=lease.fence - 1))[0] == "fenced"
    assert [a.verdict for a in world.ponr(world.ask(lease), owner=uuid.uuid4())] == ["fenced"]
    elsewhere = lease.slot._replace(schedule_id=10**9)
    assert verdict(world, world.ask(lease, slot=elsewhere))[0] == "fenced"


def test_a_slot_in_confirm_phase_sends_nothing(world: World, schedule: int) -> None:
    lease = world.confirming(world.in_doubt(schedule))
    assert verdict(world, world.ask(lease))[0] == "fenced"


def test_a_cancel_that_was_asked_for_stops_the_parts_that_are_left(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
    lease = world.slot(passed.slot)
    question = Ponr(passed.slot, 1, lease["fence"], uuid.uuid4(), 1, HOLD_S, "key", None)
    assert verdict(world, question)[0] == "cancelled"


def test_nothing_goes_out_after_finish_by(world: World, schedule: int) -> None:
    lease = world.leased(schedule, finish_by=world.time.now + dt.timedelta(seconds=2),
                         start_by=world.time.now + dt.timedelta(seconds=2))  # fmt: skip
    world.time.advance(2)
    assert verdict(world, world.ask(lease, content_version=99))[0] == "stale_content"
    world.time.advance(0.001)
    assert verdict(world, world.ask(lease))[0] == "expired"


def test_nothing_goes_out_before_its_time_even_if_it_was_leased(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    world.time.advance(-0.5)
    assert verdict(world, world.ask(lease)) == ("early", 500)


def test_content_that_was_edited_after_the_lease_is_stale(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    world.edit(schedule, message_text="새 글")
    assert verdict(world, world.ask(lease))[0] == "stale_content"
    assert world.settle(lease, SlotState.QUEUED, "stale_content")
    again = world.take(lease.slot)
    assert again.content is not None
    assert again.content["message_text"] == "새 글"
    assert verdict(world, world.ask(again))[0] == "go"


def test_a_message_once_begun_goes_on_with_the_content_it_began_with(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.edit(schedule, message_text="새 글")
    question = Ponr(passed.slot, 1, passed.fence, uuid.uuid4(), 1, HOLD_S, "key", None)
    assert verdict(world, question)[0] == "go"
    assert world.part(passed.slot, 1)["body"] == "둘"


@pytest.mark.parametrize("outcome", [None, AttemptOutcome.UNKNOWN, AttemptOutcome.REJECTED_FINAL])
def test_a_part_waits_for_every_part_before_it(
    world: World, schedule: int, outcome: AttemptOutcome | None
) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘", "셋"))
    if outcome is not None:
        world.say(passed, outcome)
    for number in (1, 2):
        question = Ponr(passed.slot, number, passed.fence, uuid.uuid4(), 1, HOLD_S, "key", None)
        assert verdict(world, question)[0] == "bad_part"


def test_a_part_that_is_under_way_or_accepted_is_not_sent_again(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    question = Ponr(passed.slot, 0, passed.fence, uuid.uuid4(), 1, HOLD_S, "key", None)
    assert verdict(world, question)[0] == "bad_part"
    world.say(passed, AttemptOutcome.ACCEPTED)
    assert verdict(world, question)[0] == "bad_part"


def test_parts_are_laid_down_from_the_first_on_and_only_once_per_call(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    assert verdict(world, world.ask(lease, ord=1))[0] == "bad_part"
    assert verdict(world, world.ask(lease, parts=None))[0] == "bad_part"
    assert [a.verdict for a in world.ponr(world.ask(lease), world.ask(lease))] == ["go", "bad_part"]


def test_tries_that_reached_the_write_are_bounded(world: World, schedule: int) -> None:
    slot = world.queued(schedule)
    for _ in range(MAX_TRIES):
        passed = world.go(world.take(slot))
        world.say(passed, AttemptOutcome.REJECTED_RETRY)
        assert world.settle(passed, SlotState.WAITING, "retry")
        world.dispatch()
    assert verdict(world, world.ask(world.take(slot)))[0] == "tries"


def test_a_room_without_a_gate_lets_nothing_pass(world: World, schedule: int, room: int) -> None:
    world.db.execute("DELETE FROM room_gate WHERE room_ref = %s", (room,))
    assert verdict(world, world.ask(world.leased(schedule)))[0] == "no_gate"
    assert world.used(room) == 0


# -- room and device ----------------------------------------------------------------------------


def test_a_held_room_answers_how_long_to_wait_but_never_longer_than_a_gap(
    world: World, schedule: int, room: int
) -> None:
    holder = world.go(world.leased(schedule))
    lease = world.leased(world.schedule())
    assert verdict(world, world.ask(lease)) == ("room_busy", 35000)
    world.say(holder, AttemptOutcome.ACCEPTED)
    world.time.advance(3)
    assert verdict(world, world.ask(lease)) == ("room_busy", 27000)


def test_the_gap_runs_from_the_end_of_the_holders_last_part(world: World, schedule: int, room: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘"))
    world.time.advance(2)
    world.say(passed, AttemptOutcome.ACCEPTED)
    assert world.room_free_in_s(room) == 30
    world.time.advance(2)
    second = Ponr(passed.slot, 1, passed.fence, uuid.uuid4(), 1, HOLD_S, "key", None)
    assert verdict(world, second)[0] == "go"
    assert world.room_free_in_s(room) == HOLD_S


def test_two_slots_of_one_room_in_one_wave_never_both_pass(world: World, room: int) -> None:
    first, second = (world.leased(world.schedule()) for _ in range(2))
    answers = world.ponr(world.ask(second), world.ask(first))
    assert [(a.sid, a.verdict, a.wait_ms) for a in answers] == [
        (second.sid, "room_busy", 30000),
        (first.sid, "go", 0),
    ]
    assert world.used(room) == 1


def test_within_a_wave_the_order_is_priority_then_time_then_id(world: World, room: int) -> None:
    late, soon, urgent = world.schedule(), world.schedule(), world.schedule(priority=1)
    slots = [world.plan(soon, in_s=0), world.plan(late, in_s=1), world.plan(urgent, in_s=1)]
    world.time.advance(1)
    world.dispatch()
    leases = {lease.sid: lease for lease in world.lease(*slots)}
    answers = {a.sid: a.verdict for a in world.ponr(*(world.ask(leases[n]) for n in (late, soon, urgent)))}
    assert answers == {late: "room_busy", soon: "room_busy", urgent: "go"}


def test_who_waited_for_the_room_goes_before_who_just_came(world: World, schedule: int, room: int) -> None:
    holder = world.go(world.leased(schedule))
    waiter = world.leased(world.schedule())
    assert world.settle(waiter, SlotState.WAITING, "room_busy", delay_s=35)
    world.time.advance(1)
    world.say(holder, AttemptOutcome.NOT_SENT)
    newcomer = world.leased(world.schedule())
    assert world.slot(waiter.slot)["state"] == "queued"
    assert verdict(world, world.ask(newcomer)) == ("room_busy", 200)
    assert verdict(world, world.ask(world.take(waiter.slot)))[0] == "go"


def test_a_waiter_that_does_not_come_holds_the_others_up_for_five_seconds_only(
    world: World, schedule: int
) -> None:
    holder = world.go(world.leased(schedule))
    waiter = world.leased(world.schedule())
    assert world.settle(waiter, SlotState.WAITING, "room_busy", delay_s=35)
    world.say(holder, AttemptOutcome.NOT_SENT)
    world.time.advance(5.001)
    assert verdict(world, world.ask(world.leased(world.schedule())))[0] == "go"


def test_a_device_carries_one_message_at_a_time(world: World) -> None:
    for number in (1, 2):
        world.room(f"방{number}", device="폰1")
    first, second = (world.leased(world.schedule(room=f"방{n}")) for n in (1, 2))
    answers = world.ponr(world.ask(first), world.ask(second))
    assert [(a.verdict, a.wait_ms) for a in answers] == [("go", 0), ("device_busy", 5000)]
    assert verdict(world, world.ask(second)) == ("device_busy", 5000)
    passed_slot = world.slot(first.slot)
    assert (passed_slot["device"], world.value("SELECT holder_schedule FROM device_gate")) == (
        "폰1",
        first.sid,
    )
    assert world.used(second.room_ref or 0) == 0


def test_a_device_is_free_at_once_when_its_message_is_known_to_be_over(world: World) -> None:
    for number in (1, 2):
        world.room(f"방{number}", device="폰1")
    first, second = (world.leased(world.schedule(room=f"방{n}")) for n in (1, 2))
    world.say(world.go(first), AttemptOutcome.ACCEPTED)
    assert verdict(world, world.ask(second))[0] == "go"


def test_lateness_counts_from_when_room_and_device_were_free(world: World, schedule: int) -> None:
    holder = world.go(world.leased(schedule))
    world.say(holder, AttemptOutcome.ACCEPTED)
    free_at = world.time.now + dt.timedelta(seconds=30)
    waiter = world.leased(world.schedule())
    assert world.settle(waiter, SlotState.WAITING, "room_busy", delay_s=30)
    world.time.advance(30.2)
    world.dispatch()
    passed = world.go(world.take(waiter.slot))
    world.say(passed, AttemptOutcome.ACCEPTED, wrote_ms=50.0)
    row = world.slot(waiter.slot)
    assert row["free_from"] == free_at
    assert row["started_at"] - row["free_from"] == dt.timedelta(seconds=0.25)
    assert world.slot(holder.slot)["free_from"] == holder.slot.slot_at


# -- quota --------------------------------------------------------------------------------------


def test_a_full_day_lets_no_further_slot_pass(world: World) -> None:
    room = world.room("작은방", gap_ms=0, quota=2)
    for _ in range(2):
        world.say(world.go(world.leased(world.schedule(room="작은방"))), AttemptOutcome.ACCEPTED)
    assert verdict(world, world.ask(world.leased(world.schedule(room="작은방"))))[0] == "quota"
    assert world.used(room) == 2


def test_the_day_is_the_korean_day(world: World) -> None:
    world.time.set(this_tuesday(hour=23) + dt.timedelta(minutes=59, seconds=59))
    world.room("작은방", gap_ms=0, quota=1)
    world.say(world.go(world.leased(world.schedule(room="작은방"))), AttemptOutcome.ACCEPTED)
    late = world.leased(world.schedule(room="작은방"))
    assert verdict(world, world.ask(late))[0] == "quota"
    world.time.advance(1)
    assert verdict(world, world.ask(late))[0] == "go"
    days = world.rows("SELECT day, used FROM room_quota ORDER BY day")
    assert [row["used"] for row in days] == [1, 1]
    assert days[1]["day"] - days[0]["day"] == dt.timedelta(days=1)


def test_a_slot_begun_before_midnight_stays_on_its_first_day(world: World) -> None:
    world.time.set(this_tuesday(hour=23) + dt.timedelta(minutes=59, seconds=59))
    room = world.room("작은방", gap_ms=0, quota=1)
    passed = world.go(world.leased(world.schedule(room="작은방")), parts=text_parts("하나", "둘"))
    world.say(passed, AttemptOutcome.ACCEPTED)
    world.time.advance(2)
    second = Ponr(passed.slot, 1, passed.fence, uuid.uuid4(), 1, HOLD_S, "key", None)
    assert verdict(world, second)[0] == "go"
    assert world.used(room) == 1


def test_one_slots_stop_never_touches_its_neighbours(world: World, schedule: int) -> None:
    for number in range(2, 5):
        world.room(f"방{number}")
    good, stale, ghost = (world.leased(world.schedule(room=f"방{n}")) for n in (2, 3, 4))
    answers = world.ponr(
        world.ask(ghost, fence=0), world.ask(good), world.ask(stale, content_version=99), world.ask(good)
    )
    assert [a.verdict for a in answers] == ["fenced", "go", "stale_content", "bad_part"]


# -- racing -------------------------------------------------------------------------------------


def test_of_four_connections_racing_for_one_room_one_passes(world: World, room: int, ledger_url: str) -> None:
    leases = [world.leased(world.schedule()) for _ in range(12)]

    def race(turn: int) -> list[str]:
        wave = [world.ask(lease) for lease in leases[turn::4]]
        with psycopg.connect(ledger_url, autocommit=True) as db:
            return [a.verdict for a in worker.ponr(db, wave, world.owner, PONR_LEASE_S, MAX_TRIES)]

    with ThreadPoolExecutor(4) as threads:
        verdicts = [verdict for found in threads.map(race, range(4)) for verdict in found]
    assert sorted(verdicts) == ["go"] + ["room_busy"] * 11
    assert world.used(room) == 1


def test_four_connections_with_the_same_wave_pass_each_part_once(world: World, ledger_url: str) -> None:
    leases = []
    for number in range(20):
        world.room(f"경주{number}")
        leases.append(world.leased(world.schedule(room=f"경주{number}")))

    def race(turn: int) -> list[str]:
        wave = [world.ask(lease) for lease in (leases if turn % 2 else leases[::-1])]
        with psycopg.connect(ledger_url, autocommit=True) as db:
            return [a.verdict for a in worker.ponr(db, wave, world.owner, PONR_LEASE_S, MAX_TRIES)]

    with ThreadPoolExecutor(4) as threads:
        verdicts = [verdict for found in threads.map(race, range(4)) for verdict in found]
    assert verdicts.count("go") == 20
    assert verdicts.count("fenced") == 60
    assert world.value("SELECT count(*) FROM attempts") == 20
