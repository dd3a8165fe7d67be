"""What an edit does to slots, by raw SQL and by ORM alike."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from models.ledger.worker import Ponr
from models.states import SlotState
from models.store.session import transaction
from models.tables import Schedule
from runtime.ids import SlotId
from tests.support import databases
from tests.support.edits import WAYS, Writer
from tests.support.ledger_time import this_tuesday
from tests.support.ledger_world import HOLD_S
from tests.support.world import World

NINE = this_tuesday(9)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    """08:50 of a Tuesday; the planner's horizon reaches over 09:00."""
    with databases.connect(ledger_url) as connection:
        world = World(connection, NINE - dt.timedelta(minutes=10))
        world.room("방1")
        world.room("방2")
        yield world


@pytest.fixture(params=WAYS)
def writer(world: World, ledger_env: dict[str, str], request: pytest.FixtureRequest) -> Writer:
    """Whoever writes schedules."""
    return Writer(world, request.param)


@pytest.fixture
def nine(world: World, writer: Writer) -> SlotId:
    """The slot at 09:00 of a schedule of every half hour, laid down at 08:50."""
    slot = SlotId(writer.add(), NINE)
    world.lay_down()
    assert world.state(slot) == ("planned", None)
    return slot


def row(world: World, schedule: int) -> dict[str, Any]:
    return world.row("SELECT * FROM kb_schedule WHERE id = %s", schedule)


def instants(world: World, schedule: int) -> list[str]:
    rows = world.rows(
        "SELECT to_char(slot_at, 'HH24:MI') AS at FROM slots WHERE schedule_id = %s ORDER BY slot_at",
        schedule,
    )
    return [one["at"] for one in rows]


def history(world: World, schedule: int) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM kb_schedule_history WHERE schedule_id = %s ORDER BY version", schedule)


# -- a slot that is due and has not started ---------------------------------------------------------


def test_new_content_goes_out_instead_of_the_old(world: World, writer: Writer, nine: SlotId) -> None:
    world.go_to(nine)
    assert nine in world.dispatch()
    world.advance(0.5)
    writer.edit(nine.schedule_id, message_text="새 글")
    assert world.state(nine) == ("queued", None)
    assert world.slot(nine)["content_version"] == 2
    lease = world.take(nine)
    assert lease.content is not None
    assert lease.content["message_text"] == "새 글"


def test_a_new_rule_leaves_what_was_promised(world: World, writer: Writer, nine: SlotId) -> None:
    world.go_to(nine)
    world.advance(0.5)
    writer.edit(nine.schedule_id, schedule_type="daily", schedule_time=dt.time(23))
    world.lay_down()
    assert world.state(nine) == ("planned", None)
    assert instants(world, nine.schedule_id) == ["09:00"]
    world.deliver(nine)


CALLS_OFF: list[tuple[dict[str, Any], str]] = [
    ({"status": "inactive"}, "paused"),
    ({"deleted_at": NINE}, "deleted"),
    ({"target_room_id": "방2"}, "room_changed"),
    ({"message_text": " "}, "schedule_error"),
]


@pytest.mark.parametrize(("columns", "reason"), CALLS_OFF)
def test_pause_deletion_another_room_and_nonsense_call_it_off(
    world: World, writer: Writer, nine: SlotId, columns: dict[str, Any], reason: str
) -> None:
    world.go_to(nine)
    writer.edit(nine.schedule_id, **columns)
    assert world.state(nine) == ("cancelled", reason)
    assert world.slot(nine)["ended_at"] == world.now


@pytest.mark.parametrize(("columns", "reason"), CALLS_OFF)
def test_a_worker_that_holds_a_slot_called_off_cannot_send_it(
    world: World, writer: Writer, nine: SlotId, columns: dict[str, Any], reason: str
) -> None:
    world.go_to(nine)
    lease = world.take_up(nine)
    writer.edit(nine.schedule_id, **columns)
    assert world.state(nine) == ("cancelled", reason)
    assert [answer.verdict for answer in world.ponr(world.ask(lease))] == ["fenced"]
    assert not world.settle(lease, SlotState.FAILED)


def test_a_deleted_schedules_due_slot_is_cancelled(world: World, writer: Writer, nine: SlotId) -> None:
    world.go_to(nine)
    writer.delete(nine.schedule_id)
    assert world.state(nine) == ("cancelled", "deleted")


def test_a_resend_that_waits_is_called_off_by_a_pause_but_keeps_its_text(
    world: World, writer: Writer
) -> None:
    schedule = writer.add()
    old = world.unresolved(schedule).slot
    day = dt.timedelta(days=1)
    at = world.value("SELECT slot_resend(%s, %s, %s, %s, %s, NULL)", *old, day, day, day)
    again = SlotId(schedule, at)
    writer.edit(schedule, message_text="새 글")
    assert world.slot(again)["content_version"] == 1
    writer.edit(schedule, status="inactive")
    assert world.state(again) == ("cancelled", "paused")


# -- a slot that has started ------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [columns for columns, reason in CALLS_OFF if reason != "deleted"])
def test_a_slot_that_has_started_is_finished(
    world: World, writer: Writer, nine: SlotId, columns: dict[str, Any]
) -> None:
    world.go_to(nine)
    first = world.send(world.take_up(nine), bodies=("하나", "둘"))
    room = world.slot(nine)["room_ref"]
    writer.edit(nine.schedule_id, **columns)
    second = world.send(first, ord=1)
    assert world.settle(second, SlotState.DELIVERED, "accepted")
    assert (world.slot(nine)["content_version"], world.slot(nine)["room_ref"]) == (1, room)


def test_deleting_stops_the_parts_that_are_left(world: World, writer: Writer, nine: SlotId) -> None:
    world.go_to(nine)
    first = world.send(world.take_up(nine), bodies=("하나", "둘"))
    writer.delete(nine.schedule_id)
    assert world.slot(nine)["cancel_requested"]
    question = Ponr(nine, 1, first.fence, uuid4(), 1, HOLD_S, "lookup", None)
    assert [answer.verdict for answer in world.ponr(question)] == ["cancelled"]
    assert world.settle(first, SlotState.CANCELLED, "deleted")
    assert world.state(nine)[0] == "partial"


# -- instants before, at and after an edit ----------------------------------------------------------


def test_an_instant_at_the_edits_own_time_belongs_to_the_older_version(world: World, writer: Writer) -> None:
    laid, unlaid = writer.add(), writer.add()
    world.lay_down()
    world.by_hand("DELETE FROM slots WHERE schedule_id = %s", unlaid)
    world.by_hand("UPDATE schedule_clock SET planned_to = %s WHERE schedule_id = %s", NINE, unlaid)
    world.time.set(NINE)
    for schedule in (laid, unlaid):
        writer.edit(schedule, schedule_type="daily", schedule_time=dt.time(23))
    world.lay_down()
    assert instants(world, laid) == ["09:00"]
    assert instants(world, unlaid) == ["09:00"]


def test_an_edit_leaves_what_has_ended_untouched(world: World, writer: Writer, nine: SlotId) -> None:
    world.go_to(nine)
    world.deliver(nine)
    before = world.slot(nine)
    writer.edit(nine.schedule_id, message_text="새 글")
    writer.edit(nine.schedule_id, status="inactive")
    writer.delete(nine.schedule_id)
    assert world.slot(nine) == before


def test_a_future_slot_laid_down_again_outranks_its_former_life(
    world: World, writer: Writer, nine: SlotId
) -> None:
    assert nine in world.dispatch(ahead_s=700)
    former = world.slot(nine)["fence"]
    writer.edit(nine.schedule_id, schedule_type="peak", peak_hours="23")
    assert world.lease(nine)[0].verdict == "gone"
    world.lay_down()
    assert instants(world, nine.schedule_id) == []
    writer.edit(nine.schedule_id, schedule_type="regular")
    world.lay_down()
    slot = world.slot(nine)
    assert slot["fence"] > former
    assert (slot["state"], slot["content_version"]) == ("planned", 3)


def test_a_pause_takes_future_slots_away_and_resuming_brings_them_back(
    world: World, writer: Writer, nine: SlotId
) -> None:
    writer.edit(nine.schedule_id, status="inactive")
    world.lay_down()
    assert instants(world, nine.schedule_id) == []
    writer.edit(nine.schedule_id, status="active")
    world.lay_down()
    assert instants(world, nine.schedule_id) == ["09:00"]


def test_resuming_after_its_time_promises_nothing_of_the_pause(
    world: World, writer: Writer, nine: SlotId
) -> None:
    writer.edit(nine.schedule_id, status="inactive")
    world.go_to(nine)
    world.advance(60)
    writer.edit(nine.schedule_id, status="active")
    world.advance(1200)
    world.lay_down()
    assert instants(world, nine.schedule_id) == ["09:30"]


# -- versions ---------------------------------------------------------------------------------------


def test_every_version_is_kept_with_its_time_and_who_made_it(world: World, writer: Writer) -> None:
    began = world.now
    schedule = writer.add()
    world.advance(60)
    writer.edit(schedule, message_text="둘")
    world.advance(60)
    with transaction("김지점") as session:
        session.get_one(Schedule, schedule).message_text = "셋"
    world.advance(60)
    writer.delete(schedule)
    kept = history(world, schedule)
    database_user = world.value("SELECT session_user::text")
    assert [one["version"] for one in kept] == [1, 2, 3, 4]
    assert [(one["valid_from"] - began).total_seconds() for one in kept] == [0, 60, 120, 180]
    assert [one["who"] for one in kept] == [database_user, database_user, "김지점", database_user]
    assert [one["op"] for one in kept] == ["insert", "update", "update", "delete"]
    assert [one["row"]["message_text"] for one in kept] == ["안녕하세요", "둘", "셋", "셋"]
    assert row(world, schedule)["version"] == 4


def test_two_edits_in_one_transaction_are_two_versions_of_which_the_last_counts(
    world: World, writer: Writer, nine: SlotId
) -> None:
    with writer.transaction() as edits:
        edits.edit(nine.schedule_id, schedule_type="peak", peak_hours="8,9")
        edits.edit(nine.schedule_id, message_text="새 글")
    assert [one["valid_from"] for one in history(world, nine.schedule_id)[1:]] == [world.now, world.now]
    world.lay_down()
    # 08:50 to 09:05: the peak's quarter hours
    assert instants(world, nine.schedule_id) == ["09:00"]
    assert world.slot(nine)["content_version"] == 3


def test_an_edit_that_is_rolled_back_leaves_nothing(world: World, writer: Writer, nine: SlotId) -> None:
    before = (row(world, nine.schedule_id), world.slot(nine))
    with pytest.raises(ValueError, match="no"), writer.transaction() as edits:
        edits.delete(nine.schedule_id)
        raise ValueError("no")
    assert (row(world, nine.schedule_id), world.slot(nine)) == before
    assert len(history(world, nine.schedule_id)) == 1


def test_a_title_makes_no_version_and_touches_no_slot(world: World, writer: Writer, nine: SlotId) -> None:
    before = world.slot(nine)
    world.advance(5)
    writer.edit(nine.schedule_id, title="새 제목", description="설명")
    after = row(world, nine.schedule_id)
    assert (after["version"], after["updated_at"]) == (1, world.now)
    assert world.slot(nine) == before


def test_an_edit_wakes_the_beats(world: World, writer: Writer, nine: SlotId, ledger_url: str) -> None:
    with databases.connect(ledger_url) as beat:
        beat.execute("LISTEN jeongsi_schedule")
        writer.edit(nine.schedule_id, message_text="새 글")
        assert [notice.channel for notice in beat.notifies(timeout=5, stop_after=1)] == ["jeongsi_schedule"]


# -- what nobody can read ---------------------------------------------------------------------------

UNREADABLE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"message_text": None}, {"message_text": "글"}, "message_text: send_order text_only needs a text"),
    ({"send_order": "images_only"}, {"send_order": "text_only"}, "message_images: send_order images_only"),
    ({"tz": "Asia/Pusan"}, {"tz": "Asia/Seoul"}, "tz: unknown time zone Asia/Pusan"),
    (
        {"message_images": list(range(11))},
        {"message_images": []},
        "message_images: at most 10 images, not 11",
    ),
    (
        {"message_images": "글"},
        {"message_images": None},
        "message_images: neither a list of images nor empty",
    ),
    ({"target_room_type": "live"}, {"target_room_type": "test"}, "target_room_type: room 방1 is a test room"),
]


@pytest.mark.parametrize(("broken", "mended", "reason"), UNREADABLE)
def test_what_no_rule_can_read_is_an_error_until_it_is_mended(
    world: World, writer: Writer, nine: SlotId, broken: dict[str, Any], mended: dict[str, Any], reason: str
) -> None:
    schedule = nine.schedule_id
    writer.edit(schedule, **_as_written(writer, broken))
    assert row(world, schedule)["status"] == "error"
    assert row(world, schedule)["error_reason"].startswith(reason)
    world.lay_down()
    assert instants(world, schedule) == []
    writer.edit(schedule, **_as_written(writer, mended))
    assert (row(world, schedule)["status"], row(world, schedule)["error_reason"]) == ("active", None)
    world.lay_down()
    assert instants(world, schedule) == ["09:00"]


def _as_written(writer: Writer, columns: dict[str, Any]) -> dict[str, Any]:
    """JSON as raw SQL writes it."""
    return {
        name: json.dumps(value)
        if name == "message_images" and value is not None and writer.way == "sql"
        else value
        for name, value in columns.items()
    }


def test_a_schedule_is_born_with_an_error_if_nobody_can_read_it(world: World, writer: Writer) -> None:
    schedule = writer.add(target_room_type="live")
    assert row(world, schedule)["status"] == "error"
    assert row(world, schedule)["error_reason"] == "target_room_type: room 방1 is a test room, not live"


def test_a_paused_schedule_is_not_started_by_mending_it(world: World, writer: Writer) -> None:
    schedule = writer.add(message_text=None, status="inactive")
    assert row(world, schedule)["status"] == "inactive"
    writer.edit(schedule, message_text="글")
    assert row(world, schedule)["status"] == "inactive"


# -- deleting ---------------------------------------------------------------------------------------


def test_deleting_is_a_soft_delete_that_keeps_the_proof_of_sends(
    world: World, writer: Writer, nine: SlotId
) -> None:
    world.go_to(nine)
    world.deliver(nine)
    world.advance(60)
    writer.delete(nine.schedule_id)
    kept = row(world, nine.schedule_id)
    assert (kept["status"], kept["deleted_at"]) == ("inactive", world.now)
    assert world.value("SELECT count(*) FROM kb_schedule_logs WHERE schedule_id = %s", nine.schedule_id) == 1
    assert world.value("SELECT count(*) FROM attempts WHERE schedule_id = %s", nine.schedule_id) == 1
    world.advance(60)
    writer.delete(nine.schedule_id)
    assert row(world, nine.schedule_id) == kept


def test_what_was_deleted_is_never_active_again(world: World, writer: Writer, nine: SlotId) -> None:
    writer.delete(nine.schedule_id)
    writer.edit(nine.schedule_id, status="active")
    assert row(world, nine.schedule_id)["status"] == "inactive"
    world.lay_down()
    assert instants(world, nine.schedule_id) == []
