"""Each gate, stopping or delaying a slot, is the one that is marked, with its evidence."""

from __future__ import annotations

import datetime as dt

import psycopg
import pytest

from models.ledger import people, worker
from models.states import AttemptOutcome, Phase, SlotState
from ops.why import GATES, Gate, render, why
from runtime.ids import SlotId
from tests.support.ledger_time import SEOUL, this_tuesday
from tests.support.world import World

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def world(pg: psycopg.Connection) -> World:
    made = World(pg)
    for name in ("방1", "방2"):
        made.room(name)
    return made


def decided(world: World, asked: SlotId | tuple[int, dt.datetime]) -> tuple[str, str, str]:
    """Name, verdict and evidence of the gate that is marked."""
    gates = why(world.db, asked)
    assert [gate.name for gate in gates] == list(GATES)
    (gate,) = [gate for gate in gates if gate.decisive]
    return gate.name, gate.verdict, gate.evidence


def gate(world: World, asked: SlotId, name: str) -> Gate:
    return next(gate for gate in why(world.db, asked) if gate.name == name)


def at(wall: str) -> dt.datetime:
    """A wall time of the world's first day (a Tuesday, 09:00)."""
    return dt.datetime.combine(this_tuesday().date(), dt.time.fromisoformat(wall), SEOUL)


def taken_up(world: World, room: str = "방1") -> SlotId:
    slot = world.once(room)
    world.go_to(slot)
    return slot


# -- nothing wrong --------------------------------------------------------------------------------


def test_a_slot_that_went_out_on_time_has_passed_every_gate(world: World) -> None:
    slot = taken_up(world)
    world.deliver(slot)
    gates = why(world.db, slot)
    assert len(gates) >= 15
    assert {gate.verdict for gate in gates} == {"passed"}
    assert not any(gate.decisive for gate in gates)
    assert gate(world, slot, "lateness").evidence == "first byte 2 ms late"
    assert gate(world, slot, "provider").evidence.startswith("part 0 at")
    assert gate(world, slot, "quota").evidence.startswith("used 1 of 50")


def quiet(world: World, slot: SlotId) -> bool:
    """No gate stopped or delayed it, and none is marked."""
    gates = why(world.db, slot)
    wrong = [gate for gate in gates if gate.decisive or gate.verdict != "passed"]
    assert wrong == []
    return True


@pytest.mark.parametrize("took_s", [1.0, 14.0])
def test_a_confirmation_within_the_first_look_up_is_no_delay(world: World, took_s: float) -> None:
    slot = taken_up(world)
    world.wait(world.send(world.take_up(slot)), "confirm", took_s, phase=Phase.CONFIRM)
    [held] = [found for found in why(world.db, slot) if found.decisive]
    assert (held.name, held.verdict) == ("confirmed", "not reached")
    confirmed(world, slot)
    assert quiet(world, slot)


def test_a_confirmation_long_after_the_first_look_up_is_a_delay(world: World) -> None:
    slot = taken_up(world)
    world.wait(world.send(world.take_up(slot)), "confirm", 20, phase=Phase.CONFIRM)
    confirmed(world, slot)
    assert decided(world, slot)[:2] == ("confirmed", "delayed")
    assert gate(world, slot, "confirmed").delay_ms == 5000


def confirmed(world: World, slot: SlotId) -> None:
    lease = world.confirm_now(slot)
    attempt = world.value("SELECT attempt_id FROM attempts WHERE schedule_id = %s", slot.schedule_id)
    worker.confirmed(world.db, [(slot, 0, attempt)])
    assert world.settle(lease, SlotState.DELIVERED, "confirmed")


def test_the_gap_between_parts_that_the_schedule_asks_for_is_no_delay(world: World) -> None:
    slot = taken_up(world)
    passed = world.send(world.take_up(slot), bodies=("하나", "둘"))
    world.by_hand("UPDATE parts SET gap_ms = 10000 WHERE ord = 1")
    world.wait(passed, "part_gap", 10)
    world.advance(10)
    passed = world.send(world.take_up(slot), ord=1)
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    assert "waited 10000 ms between parts" in gate(world, slot, "parts").evidence
    assert "2 tries for 2 parts reached the provider" in gate(world, slot, "retries").evidence
    assert quiet(world, slot)


def test_an_answer_within_two_seconds_is_no_delay(world: World) -> None:
    slot = taken_up(world)
    passed = world.send(world.take_up(slot), took_s=1.5)
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    assert quiet(world, slot)


def test_a_slot_that_is_ahead_has_passed_no_gate_that_it_has_not_come_to(world: World) -> None:
    slot = world.once()
    world.tick()
    assert decided(world, slot)[:2] == ("dispatched", "not reached")
    behind = why(world.db, slot)[GATES.index("dispatched") :]
    assert {found.verdict for found in behind} == {"not reached"}


def test_a_one_off_saved_after_its_time_but_within_grace_says_so(world: World) -> None:
    slot = world.once(in_s=-60)
    world.deliver(slot)
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("created", "delayed")
    assert "60000 ms after this instant, within its grace" in evidence
    assert gate(world, slot, "dispatched").verdict == "passed"


def test_behind_the_gate_that_decides_no_gate_is_reached_where_no_slot_exists(world: World) -> None:
    schedule = world.daily(at="08:00", valid_from=at("08:30"))
    world.tick()
    gates = why(world.db, (schedule, at("08:00")))
    [decisive] = [found for found in gates if found.decisive]
    assert decisive.name == "created"
    assert {found.verdict for found in gates[gates.index(decisive) + 1 :]} == {"not reached"}


def test_the_lines_mark_the_gate_that_decided(world: World) -> None:
    lines = render(why(world.db, (99, world.now)))
    assert lines[0] == "-> stopped      schedule            there is no schedule 99"
    assert all(line.startswith("   not reached") for line in lines[1:])


def test_gates_can_be_written_as_json(world: World) -> None:
    slot = taken_up(world)
    world.deliver(slot)
    shown = gate(world, slot, "worker").as_json()
    assert shown["name"] == "worker"
    assert shown["verdict"] == "passed"
    assert shown["at"] == slot.slot_at.isoformat()
    assert shown["delay_ms"] == 0.0


def test_a_time_without_a_zone_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        why(world.db, (1, dt.datetime(2026, 11, 21, 9)))  # noqa: DTZ001


# -- no slot exists -------------------------------------------------------------------------------


def test_gate_schedule_there_is_none(world: World) -> None:
    assert decided(world, (99, world.now)) == ("schedule", "stopped", "there is no schedule 99")


def test_gate_deleted(world: World) -> None:
    schedule = world.daily(at="12:00")
    world.go_to(at("10:00"))
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
    name, verdict, evidence = decided(world, (schedule, at("12:00")))
    assert (name, verdict) == ("deleted", "stopped")
    assert "10:00:00, by" in evidence


def test_gate_readable(world: World) -> None:
    schedule = world.daily(at="12:00")
    world.edit(schedule, message_text="  ")
    name, verdict, evidence = decided(world, (schedule, at("12:00")))
    assert (name, verdict) == ("readable", "stopped")
    assert "message_text: send_order text_only needs a text" in evidence


def test_gate_enabled_says_since_when_and_by_whom_it_was_paused(world: World) -> None:
    schedule = world.daily(at="12:00")
    world.go_to(at("10:00"))
    with world.db.transaction():
        world.db.execute("SET LOCAL jeongsi.who = '김본부'")
        world.edit(schedule, status="inactive")
    world.go_to(at("11:00"))
    world.edit(schedule, message_text="바뀐 글")
    assert decided(world, (schedule, at("12:00"))) == (
        "enabled", "stopped", f"the schedule was paused, since {at('10:00'):%Y-%m-%d} 10:00:00, by 김본부",
    )  # fmt: skip


def test_gate_created_after_the_instant(world: World) -> None:
    schedule = world.daily(at="08:00")
    name, verdict, evidence = decided(world, (schedule, at("08:00")))
    assert (name, verdict) == ("created", "stopped")
    assert "09:00:00, after this instant" in evidence


def test_gate_rule_tells_the_nearest_instants(world: World) -> None:
    schedule = world.schedule(schedule_type="regular")
    name, verdict, evidence = decided(world, (schedule, at("12:10")))
    assert (name, verdict) == ("rule", "stopped")
    assert "before it" in evidence
    assert "12:00:00 and after it" in evidence
    assert "12:30:00" in evidence


def test_gate_validity(world: World) -> None:
    schedule = world.daily(at="12:00", valid_from=at("13:00"))
    name, verdict, evidence = decided(world, (schedule, at("12:00")))
    assert (name, verdict) == ("validity", "stopped")
    assert evidence == f"before valid_from {at('13:00'):%Y-%m-%d} 13:00:00"
    world.edit(schedule, valid_from=at("00:00"), valid_until=at("11:59"))
    assert decided(world, (schedule, at("12:00")))[2].startswith("after valid_until")


def test_gate_edit_tells_which_edit_took_the_instant_back(world: World) -> None:
    schedule = world.daily(at="09:10")
    world.tick()
    world.go_to(at("09:05"))
    world.edit(schedule, schedule_time="15:00")
    world.tick()
    name, verdict, evidence = decided(world, (schedule, at("09:10")))
    assert (name, verdict) == ("edit", "stopped")
    assert "edited at" in evidence
    assert "09:05:00" in evidence
    assert "taken back" in evidence


def test_gate_scheduler_none_has_ever_ticked(world: World) -> None:
    schedule = world.daily(at="09:10")
    world.go_to(at("09:30"))
    name, verdict, evidence = decided(world, (schedule, at("09:10")))
    assert (name, verdict) == ("scheduler", "stopped")
    assert "no scheduler has ever completed a tick" in evidence


def test_gate_scheduler_names_the_silence(world: World) -> None:
    schedule = world.daily(at="09:40")
    world.tick()
    world.go_to(at("11:00"))
    world.tick()
    asked = SlotId(schedule, at("09:40"))
    name, verdict, evidence = decided(world, asked)
    assert (name, verdict) == ("scheduler", "stopped")
    assert "no scheduler was alive" in evidence
    assert "09:00:00–" in evidence
    assert evidence.endswith("11:00:00")
    assert world.state(asked) == ("expired", "scheduler_down")


def test_gate_scheduler_delays(world: World) -> None:
    slot = world.once()
    world.tick()
    world.go_to(slot.slot_at + 2 * MINUTE)
    world.deliver(slot)
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("scheduler", "delayed")
    assert gate(world, slot, "scheduler").delay_ms == 120_000
    assert "no scheduler was alive" in evidence


def test_gate_laid_down_tells_when_it_will_be(world: World) -> None:
    schedule = world.daily(at="18:00")
    world.tick()
    name, verdict, evidence = decided(world, (schedule, at("18:00")))
    assert (name, verdict) == ("laid_down", "not reached")
    assert "17:45:00" in evidence


def test_gate_laid_down_recorded_as_a_range(world: World) -> None:
    schedule = world.daily(at="09:10")
    world.go_to(at("09:20"))
    world.db.execute(
        "INSERT INTO incidents (kind, schedule_id, range_from, range_to, detail)"
        " VALUES ('slots_not_laid_down', %s, %s, %s, '{\"why\": \"too many\"}')",
        (schedule, at("09:00"), at("09:15")),
    )
    world.db.execute("SELECT beat_tick('beat-1', %s, '5 s')", (world.now,))
    name, verdict, evidence = decided(world, (schedule, at("09:10")))
    assert (name, verdict) == ("laid_down", "stopped")
    assert "stand as one range (too many)" in evidence


# -- a slot exists --------------------------------------------------------------------------------


def test_gate_coalesced(world: World) -> None:
    schedule = world.schedule(
        schedule_type="cron",
        cron_expr="*/5 * * * *",
        misfire="latest",
        grace_seconds=900,
        validity_seconds=900,
    )
    world.lay_down()
    world.go_to(at("09:06"))
    world.tick()
    name, verdict, evidence = decided(world, (schedule, at("09:00")))
    assert (name, verdict) == ("coalesced", "stopped")
    assert "only the latest goes out" in evidence


def test_gate_cancelled_by_a_person(world: World) -> None:
    slot = world.once()
    assert people.cancel(world.db, slot, "박지사", "잘못된 글") == "cancelled"
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("cancelled", "stopped")
    assert "잘못된 글" in evidence
    assert "by 박지사" in evidence


def test_gate_cancelled_by_a_pause_when_it_was_due(world: World) -> None:
    slot = taken_up(world)
    world.advance(1)
    world.edit(slot.schedule_id, status="inactive")
    name, _, evidence = decided(world, slot)
    assert name == "cancelled"
    assert evidence.startswith("the schedule was paused at")


def test_gate_dispatched_not_before_start_by(world: World) -> None:
    slot = world.once()
    world.go_to(slot.slot_at + 6 * MINUTE)
    world.db.execute("SELECT expire_due(10)")
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("dispatched", "stopped")
    assert "before start_by" in evidence


def test_gate_dispatched_late(world: World) -> None:
    slot = world.once()
    world.go_to(slot)
    world.advance(3)
    world.deliver(slot)
    assert decided(world, slot)[:2] == ("dispatched", "delayed")
    assert gate(world, slot, "dispatched").delay_ms == 3000


def test_gate_dispatched_is_waited_for(world: World) -> None:
    slot = world.once()
    world.tick()
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("dispatched", "not reached")
    assert evidence.startswith("due at")


def test_gate_worker_nobody_took_it(world: World) -> None:
    slot = taken_up(world)
    world.tick()
    world.advance(301)
    world.tick()
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("worker", "stopped")
    assert "no worker took it before start_by" in evidence


def test_gate_worker_was_lost_and_another_took_it(world: World) -> None:
    slot = taken_up(world)
    world.take_up(slot)
    world.advance(5)
    world.tick()
    passed = world.send(world.take(slot))
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("worker", "delayed")
    assert "that one was lost" in evidence
    assert gate(world, slot, "worker").delay_ms == 5000


def test_gate_worker_poison(world: World) -> None:
    slot = taken_up(world)
    world.take_up(slot)
    for _ in range(4):
        world.advance(5)
        world.tick()
        world.take(slot)
    world.advance(5)
    world.tick()
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("worker", "stopped")
    assert "worker after worker" in evidence


def test_gate_content(world: World) -> None:
    slot = taken_up(world)
    assert world.settle(world.take_up(slot), SlotState.FAILED, "bad_content: image 3 is gone")
    assert decided(world, slot) == ("content", "stopped", "the content cannot be sent: image 3 is gone")


def test_gate_room_names_its_holder(world: World) -> None:
    first, second = world.once(in_s=60), world.once(in_s=61)
    world.go_to(first)
    world.deliver(first)
    world.go_to(second)
    world.wait(world.take_up(second), "room_busy", 29.02)
    name, verdict, evidence = decided(world, second)
    assert (name, verdict) == ("room", "delayed")
    assert f"held by slot {first} until" in evidence
    world.go_to(world.slot(second)["not_before"])
    world.deliver(second)
    name, verdict, evidence = decided(world, second)
    assert (name, verdict) == ("room", "delayed")
    assert f"held by slot {first}, whose last attempt ended at" in evidence
    assert gate(world, second, "room").delay_ms == 29_020
    assert "of waiting for room or device" in gate(world, second, "lateness").evidence


def test_gate_room_busy_until_the_end(world: World) -> None:
    slot = taken_up(world)
    world.wait(world.take_up(slot), "room_busy", 30)
    world.advance(1801)
    world.tick()
    assert decided(world, slot)[:2] == ("room", "stopped")


def test_gate_room_without_a_gate(world: World) -> None:
    slot = taken_up(world)
    assert world.settle(world.take_up(slot), SlotState.FAILED, "no_gate")
    assert decided(world, slot)[:2] == ("room", "stopped")


def test_gate_device(world: World) -> None:
    world.room("방3", device="phone-1")
    world.room("방4", device="phone-1")
    first, second = world.once("방3", in_s=60), world.once("방4", in_s=60)
    world.go_to(first)
    holder = world.take_up(first)
    lease = world.take(second)
    world.send(holder)
    world.wait(lease, "device_busy", 1)
    name, verdict, evidence = decided(world, second)
    assert (name, verdict) == ("device", "delayed")
    assert f"the device is held by slot {first}" in evidence
    world.advance(1)
    world.deliver(second)
    assert decided(world, second)[:2] == ("device", "delayed")


def test_gate_quota_tells_since_when_it_was_full(world: World) -> None:
    world.room("방3", quota=1)
    first = taken_up(world, "방3")
    world.deliver(first)
    world.advance(60)
    second = taken_up(world, "방3")
    assert world.settle(world.take_up(second), SlotState.SKIPPED, "quota")
    name, verdict, evidence = decided(world, second)
    assert (name, verdict) == ("quota", "stopped")
    assert "used 1 of 1, full at" in evidence
    assert "09:01:00" in evidence


@pytest.mark.parametrize("reason", ["superseded", "validity"])
def test_gate_in_time(world: World, reason: str) -> None:
    slot = taken_up(world)
    assert world.settle(world.take_up(slot), SlotState.EXPIRED, reason)
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("in_time", "stopped")
    assert "finish_by" in evidence


def test_gate_point_of_no_return_names_the_attempt(world: World) -> None:
    slot = taken_up(world)
    passed = world.deliver(slot)
    assert str(passed.attempt_id) in gate(world, slot, "point_of_no_return").evidence


def test_gate_provider_refused(world: World) -> None:
    slot = taken_up(world)
    passed = world.send(world.take_up(slot), "rejected_final")
    assert world.settle(passed, SlotState.FAILED, "rejected:room_not_found")
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("provider", "stopped")
    assert "rejected:room_not_found" in evidence
    assert "part 0 at" in evidence


def test_gate_provider_slow(world: World) -> None:
    slot = taken_up(world)
    passed = world.send(world.take_up(slot), took_s=4)
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    assert decided(world, slot)[:2] == ("provider", "delayed")


def test_gate_retries_wait_and_are_used_up(world: World) -> None:
    slot = taken_up(world)
    passed = world.send(world.take_up(slot), "rejected_retry")
    world.wait(passed, "retry", 60)
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("retries", "delayed")
    assert "1 try reached the provider; the next one is due at" in evidence
    world.advance(60)
    passed = world.send(world.take_up(slot), "rejected_retry")
    assert world.settle(passed, SlotState.FAILED, "tries")
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("retries", "stopped")
    assert "2 tries reached the provider; no more are allowed" in evidence


def test_gate_parts_some_did_not_go_out(world: World) -> None:
    slot = taken_up(world)
    passed = world.send(world.take_up(slot), bodies=("하나", "둘"))
    world.advance(1)
    passed = world.send(passed, "rejected_final", ord=1)
    assert world.settle(passed, SlotState.PARTIAL, "too_large")
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("parts", "stopped")
    assert evidence == "1 of 2 parts accepted; part 1 is failed (too_large)"


def test_gate_confirmed_is_still_being_asked(world: World) -> None:
    slot = taken_up(world)
    world.wait(world.send(world.take_up(slot), "unknown"), "confirm", 15, phase=Phase.CONFIRM)
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("confirmed", "delayed")
    assert "being found out" in evidence


def test_gate_confirmed_nobody_can_tell_and_then_a_person_does(world: World) -> None:
    slot = taken_up(world)
    passed = world.send(world.take_up(slot), AttemptOutcome.UNKNOWN, kind="none")
    assert world.settle(passed, SlotState.UNRESOLVED, "unproven")
    name, verdict, evidence = decided(world, slot)
    assert (name, verdict) == ("confirmed", "stopped")
    assert evidence == "may have arrived, and nobody can tell (unproven)"
    assert people.resolve(world.db, slot, False, "이대리") == "failed"
    name, _, evidence = decided(world, slot)
    assert name == "confirmed"
    assert "이대리 said at" in evidence


def test_a_resend_does_not_ask_the_rule(world: World) -> None:
    slot = taken_up(world)
    world.deliver(slot)
    world.advance(60)
    resent = people.resend(world.db, slot, "김", 600, 300, 1800)
    assert resent is not None
    world.deliver(resent)
    assert f"resend of slot {slot}" in gate(world, resent, "rule").evidence
    assert {found.verdict for found in why(world.db, resent)} == {"passed"}
