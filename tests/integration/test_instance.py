"""A database that no beat has vouched for lets nothing out, whoever asks; a person's release does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest

from models.ledger import beat, instance
from models.ledger.worker import poll
from models.states import AttemptOutcome, Phase, SlotState
from ops.audit import audit
from ops.why import why
from runtime.ids import SlotId
from tests.support.cli import jeongsi
from tests.support.world import World

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def world(pg: psycopg.Connection[Any], env: dict[str, str]) -> World:
    """Time stands at nine, and a beat has marked the database; one room, no gap."""
    world = World(pg)
    world.room("방1", gap_ms=0)
    beat_once(world)
    return world


def beat_once(world: World) -> None:
    """A beat marks the database now."""
    assert instance.advance(world.db) is not None


def test_a_held_database_gives_no_lease_no_point_of_no_return_and_no_hint(world: World) -> None:
    queued, running, waits = world.once(in_s=60), world.once(in_s=61), world.once(in_s=80)
    world.advance(70)
    assert set(world.dispatch()) == {queued, running}
    world.advance(20)
    taken = world.take(running)

    assert instance.hold(world.db, "a drill")

    assert [one.verdict for one in world.lease(queued, waits)] == ["held", "held"]
    assert [one.verdict for one in world.ponr(world.ask(taken))] == ["held"]
    assert poll(world.db, Phase.SEND, 10) == []
    assert world.dispatch() == []
    assert beat.republish(world.db, "send", 10, 5, publish=True) == []
    assert world.state(waits)[0] == SlotState.PLANNED


def test_while_held_nothing_is_called_expired_skipped_or_due(world: World) -> None:
    slot = world.once(in_s=60)
    schedule = world.daily(at="12:00")
    instance.hold(world.db, "a drill")
    world.advance(4 * 3600)

    assert beat.expire(world.db, 10) == 0
    assert beat.coalesce(world.db, 1, 10) == 0
    assert beat.reap(world.db, 10) == []
    assert world.lay_down() == []
    agenda = beat.agenda(world.db)
    assert (agenda.dispatch_at, agenda.expire_at, agenda.plan_at) == (None, None, None)
    assert world.state(slot) == ("planned", None)
    assert world.rows("SELECT 1 FROM slots WHERE schedule_id = %s", schedule) == []


def test_what_is_on_its_way_when_it_is_held_is_still_finished(world: World) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    world.dispatch()
    passed = world.go(world.take(slot))
    instance.hold(world.db, "a drill")
    assert world.say(passed, AttemptOutcome.ACCEPTED) == "ok"
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    assert world.state(slot)[0] == "delivered"


def test_a_release_leaves_the_past_to_a_person_and_lets_the_future_go_out(world: World) -> None:
    past, soon = world.once(in_s=60), world.once(in_s=4 * 3600)
    noon = SlotId(world.daily(at="10:00"), world.now.replace(hour=10))
    instance.hold(world.db, "a drill")
    world.advance(2 * 3600)

    assert instance.release(world.db, "unresolved", "the original is off", "kim") == 1

    assert world.state(past) == ("unresolved", "restored")
    world.lay_down()
    assert world.state(noon) == ("unresolved", "restored")
    world.advance(2 * 3600)
    world.lay_down()
    assert world.state(soon) == ("planned", None)
    beat.expire(world.db, 10)
    assert world.dispatch() == [soon]
    (kept,) = world.rows("SELECT detail FROM incidents WHERE kind = 'instance_released'")
    assert kept["detail"]["who"] == "kim"
    assert kept["detail"]["why"] == "the original is off"


def test_what_was_over_an_hour_before_the_last_mark_is_not_in_doubt(world: World) -> None:
    noon = SlotId(world.daily(at="12:00"), world.now.replace(hour=12))
    world.go_to(world.now.replace(hour=14))
    beat_once(world)
    instance.hold(world.db, "a drill")
    instance.release(world.db, "unresolved", "", "kim")
    world.lay_down()
    assert world.state(noon) == ("expired", "scheduler_down")


def test_a_schedule_that_was_made_after_the_release_is_not_in_doubt(world: World) -> None:
    instance.hold(world.db, "a drill")
    instance.release(world.db, "unresolved", "", "kim")
    world.advance(30)
    slot = world.once(in_s=-60)
    assert slot.slot_at < world.now - MINUTE / 2
    assert world.state(slot) == ("planned", None)


@pytest.mark.parametrize(("past", "ends"), [("send", ("queued", None)), ("expire", ("expired", "restored"))])
def test_a_person_may_say_otherwise(world: World, past: instance.Past, ends: tuple[str, str | None]) -> None:
    slot = world.once(in_s=60)
    instance.hold(world.db, "a drill")
    world.advance(90)
    instance.release(world.db, past, "", "kim")
    beat.expire(world.db, 10)
    world.dispatch()
    assert world.state(slot) == ends


def test_what_was_all_on_its_way_is_looked_up_and_not_left_to_a_person(world: World) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    world.dispatch()
    world.go(world.take(slot))
    beat_once(world)
    instance.hold(world.db, "a drill")
    world.advance(120)
    assert instance.release(world.db, "unresolved", "", "kim") == 0
    beat.reap(world.db, 10)
    assert world.rows("SELECT state, phase FROM slots") == [{"state": "waiting", "phase": "confirm"}]


def test_a_restored_slot_that_is_sent_again_is_marked_as_perhaps_the_second(world: World) -> None:
    slot = world.once(in_s=60)
    instance.hold(world.db, "a drill")
    world.advance(90)
    instance.release(world.db, "unresolved", "", "kim")
    answer = jeongsi("slot", "resolve", slot, "--resend", "--note", "방에 없음")
    assert answer.code == 0, answer.said
    assert world.rows("SELECT dup_risk FROM slots WHERE origin = 'resend'") == [{"dup_risk": True}]


def test_the_audit_of_a_released_database_is_clean(world: World) -> None:
    world.once(in_s=60)
    instance.hold(world.db, "a drill")
    world.advance(400)
    assert audit(world.db).ok
    instance.release(world.db, "unresolved", "", "kim")
    world.tick()
    report = audit(world.db)
    assert report.ok, report.as_json()


def test_show_doctor_and_why_name_the_hold_and_the_command_that_ends_it(world: World) -> None:
    slot = world.once(in_s=60)
    assert jeongsi("instance", "show", "--json").json["held"] is False
    assert jeongsi("instance", "hold", "--note", "복원 준비", "--as", "kim").code == 0
    world.advance(60)

    shown = jeongsi("instance", "show").out
    assert "kim: 복원 준비" in shown
    assert "jeongsi instance release" in shown
    (finding,) = [one for one in jeongsi("doctor", "--json").json["checks"] if one["check"] == "instance"]
    assert finding["level"] == "fail"
    assert "jeongsi instance release" in finding["todo"]
    (gate,) = [one for one in why(world.db, slot) if one.decisive]
    assert (gate.name, gate.verdict) == ("dispatched", "not reached")
    assert "jeongsi instance release" in gate.evidence

    assert jeongsi("instance", "release", "--note", "끝").code == 2  # nobody was asked
    assert jeongsi("instance", "release", "--note", "끝", "--past", "nothing", "--yes").code == 2
    answer = jeongsi("instance", "release", "--note", "끝", "--as", "kim", "--yes")
    assert answer.code == 0, answer.said
    assert "1 slots of the past were closed" in answer.out
    assert jeongsi("instance", "release", "--note", "끝", "--yes").code == 1
    assert "kim: 끝" in jeongsi("instance", "show").out
    (gate,) = [one for one in why(world.db, slot) if one.decisive]
    assert "had forgotten whether it was sent" in gate.evidence
