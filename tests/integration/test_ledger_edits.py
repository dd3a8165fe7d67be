"""What an edit does to slots that are laid down already (design.md section 6, "No instant without a row")."""

from __future__ import annotations

import datetime as dt
from threading import Thread
from typing import Any

import psycopg
import pytest

from models.ledger import beat, people
from models.states import AttemptOutcome, SlotState
from runtime.ids import SlotId
from tests.support import databases
from tests.support.ledger_world import World, text_parts
from tests.support.waiting import eventually


@pytest.fixture
def schedule(world: World) -> int:
    world.room()
    world.room("방2")
    return world.schedule()


def standing(world: World, schedule: int) -> list[SlotId]:
    rows = world.rows(
        "SELECT schedule_id, slot_at FROM slots WHERE schedule_id = %s ORDER BY slot_at", schedule
    )
    return [SlotId(*row.values()) for row in rows]


def clock(world: World, schedule: int) -> dict[str, Any]:
    return world.row("SELECT * FROM schedule_clock WHERE schedule_id = %s", schedule)


# -- due and unstarted ------------------------------------------------------------------------------


def test_a_due_unstarted_slot_goes_out_with_the_new_content(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    world.edit(schedule, message_text="새 글")
    world.dispatch()
    lease = world.take(slot)
    assert (lease.content_version, (lease.content or {})["message_text"]) == (2, "새 글")


def test_a_due_unstarted_slot_stays_when_only_the_rule_changes(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    world.edit(schedule, schedule_type="daily", schedule_time="13:00")
    assert world.state(slot) == ("planned", None)


@pytest.mark.parametrize("stage", ["planned", "queued", "leased", "waiting"])
@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"status": "inactive"}, "paused"),
        ({"deleted_at": "2026-01-01 00:00+09"}, "deleted"),
        ({"target_room_id": "방2"}, "room_changed"),
        ({"send_order": "images_only"}, "schedule_error"),
    ],
)
def test_a_due_unstarted_slot_is_cancelled_with_the_reason(
    world: World, schedule: int, stage: str, columns: dict[str, str], reason: str
) -> None:
    slot = world.plan(schedule)
    if stage != "planned":
        world.dispatch()
    if stage in ("leased", "waiting"):
        lease = world.take(slot)
        if stage == "waiting":
            world.settle(lease, SlotState.WAITING, "room_busy")
    fence = world.slot(slot)["fence"]
    world.edit(schedule, **columns)
    row = world.slot(slot)
    assert (row["state"], row["reason"], row["fence"], row["owner"]) == ("cancelled", reason, fence + 1, None)
    assert world.row("SELECT reason FROM slot_log WHERE new = 'cancelled'") == {"reason": reason}


def test_a_worker_that_prepared_a_cancelled_slot_cannot_pass(world: World, schedule: int) -> None:
    lease = world.leased(schedule)
    world.edit(schedule, status="inactive")
    assert [answer.verdict for answer in world.ponr(world.ask(lease))] == ["fenced"]
    assert not world.settle(lease, SlotState.WAITING, "retry")


def test_a_deletion_stops_the_parts_that_are_left_and_a_pause_does_not(world: World, schedule: int) -> None:
    other = world.schedule(room="방2")
    slots = []
    for number, change in (
        (schedule, "DELETE FROM kb_schedule"),
        (other, "UPDATE kb_schedule SET status = 'inactive'"),
    ):
        passed = world.go(world.leased(number), parts=text_parts("하나", "둘"))
        world.say(passed, AttemptOutcome.ACCEPTED)
        world.db.execute(f"{change} WHERE id = {number}".encode())
        assert world.settle(passed, SlotState.WAITING, "part_gap")
        slots.append(passed.slot)
    beat.expire(world.db, 100)
    assert world.state(slots[0]) == ("partial", "deleted")
    assert world.state(slots[1]) == ("waiting", None)


def test_a_message_that_was_proven_unsent_is_unstarted_again(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule))
    world.say(passed, AttemptOutcome.NOT_SENT)
    world.settle(passed, SlotState.WAITING, "not_sent")
    world.edit(schedule, message_text="새 글")
    world.dispatch()
    lease = world.take(passed.slot)
    world.go(lease, parts=text_parts("새 글"))
    assert world.part(passed.slot)["body"] == "새 글"


def test_a_shorter_message_after_an_edit_leaves_no_old_part_behind(world: World, schedule: int) -> None:
    passed = world.go(world.leased(schedule), parts=text_parts("하나", "둘", "셋"))
    world.say(passed, AttemptOutcome.NOT_SENT)
    world.settle(passed, SlotState.WAITING, "not_sent")
    world.edit(schedule, message_text="하나뿐")
    world.dispatch()
    again = world.go(world.take(passed.slot), parts=text_parts("하나뿐"))
    world.say(again, AttemptOutcome.ACCEPTED)
    assert world.value("SELECT count(*) FROM parts") == 1
    assert world.settle(again, SlotState.DELIVERED)


# -- future slots -----------------------------------------------------------------------------------


def test_slots_after_the_edit_are_taken_away_also_those_queued_ahead(world: World, schedule: int) -> None:
    now, soon, later = (world.plan(schedule, in_s=s) for s in (0, 1, 600))
    world.dispatch(ahead_s=2)
    world.edit(schedule, schedule_type="daily", schedule_time="13:00")
    assert standing(world, schedule) == [now]
    assert [answer.verdict for answer in world.lease(soon)] == ["gone"]
    assert clock(world, schedule)["replan_from"] == world.time.now
    gone = {row["slot_at"] for row in world.rows("SELECT slot_at FROM slot_log WHERE new = 'deleted'")}
    assert gone == {soon.slot_at, later.slot_at}


def test_an_edit_never_touches_an_instant_at_its_own_time(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    assert slot.slot_at == world.time.now
    world.edit(schedule, schedule_type="daily", schedule_time="13:00")
    assert standing(world, schedule) == [slot]


def test_an_edit_that_had_to_wait_for_a_slot_counts_from_when_it_was_let_in(
    world: World, schedule: int, ledger_url: str
) -> None:
    slot = world.plan(schedule, in_s=0.002)
    with (
        databases.connect(ledger_url) as worker,
        databases.connect(ledger_url) as person,
        worker.transaction(),
    ):
        worker.execute("SELECT 1 FROM slots WHERE schedule_id = %s FOR UPDATE", (schedule,))
        change = "UPDATE kb_schedule SET schedule_type = 'daily', schedule_time = '23:00' WHERE id = %s"
        edit = Thread(target=person.execute, args=(change, (schedule,)))
        edit.start()
        eventually(lambda: world.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        let_in = world.time.advance(1.0)
        worker.execute("SELECT 1")  # the worker is done, and the slot's time has come meanwhile
    edit.join(10)

    assert standing(world, schedule) == [slot]
    assert clock(world, schedule)["version_from"] == let_in


def test_a_slot_laid_down_again_outranks_its_former_life(world: World, schedule: int) -> None:
    slot = world.plan(schedule, in_s=60)
    before = world.slot(slot)["fence"]
    world.edit(schedule, message_text="새 글")
    assert world.plan(schedule, in_s=60) == slot
    assert world.slot(slot)["fence"] > before + 2**19


def test_two_edits_in_a_row_walk_from_the_earlier_one(world: World, schedule: int) -> None:
    beat.move_cursors(world.db, [(schedule, world.time.now + dt.timedelta(seconds=900))])
    first = world.time.now
    world.edit(schedule, schedule_type="daily", schedule_time="13:00")
    world.time.advance(30)
    world.edit(schedule, schedule_type="regular", schedule_time=None)
    row = clock(world, schedule)
    assert row["due_at"] == row["replan_from"] == first


def test_a_resend_is_not_taken_away_by_an_edit_of_the_rule(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule)
    resend = people.resend(world.db, passed.slot, "홍길동", 3600, 300, 1800)
    assert resend is not None
    world.time.advance(-0.5)
    world.edit(schedule, schedule_type="daily", schedule_time="13:00")
    assert world.state(resend)[0] == "planned"


def test_a_schedule_that_is_renamed_moves_no_slot_and_makes_no_version(world: World, schedule: int) -> None:
    slot = world.plan(schedule, in_s=60)
    world.edit(schedule, title="새 이름", description="설명")
    assert standing(world, schedule) == [slot]
    assert world.value("SELECT version FROM kb_schedule WHERE id = %s", schedule) == 1


def test_a_room_that_gets_another_name_is_still_the_same_room(world: World, schedule: int) -> None:
    slot = world.plan(schedule)
    world.db.execute("UPDATE rooms SET room_id = '새방' WHERE room_id = '방1'")
    assert world.value("SELECT target_room_id FROM kb_schedule WHERE id = %s", schedule) == "새방"
    assert world.state(slot) == ("planned", None)
    world.dispatch()
    assert world.take(slot).room == "새방"


# -- versions ---------------------------------------------------------------------------------------


def test_every_version_is_kept_whole_with_who_and_since_when(world: World, schedule: int) -> None:
    made = world.time.now
    world.time.advance(10)
    with world.db.transaction():
        world.db.execute("SET LOCAL jeongsi.who = '홍길동'")
        world.edit(schedule, message_text="새 글")
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
    rows = world.rows("SELECT * FROM kb_schedule_history WHERE schedule_id = %s ORDER BY version", schedule)
    assert [(r["version"], r["op"], r["valid_from"]) for r in rows] == [
        (1, "insert", made),
        (2, "update", world.time.now),
        (3, "delete", world.time.now),
    ]
    assert (rows[1]["who"], rows[1]["row"]["message_text"]) == ("홍길동", "새 글")
    assert [r["clock"]["enabled"] for r in rows] == [True, True, False]


def test_versions_never_go_back_in_time_though_the_clock_does(world: World, schedule: int) -> None:
    world.time.advance(-60)
    world.edit(schedule, message_text="새 글")
    since = [
        row["valid_from"] for row in world.rows("SELECT valid_from FROM kb_schedule_history ORDER BY version")
    ]
    assert since == sorted(since)


def test_a_deleted_schedule_stays_as_proof_of_what_was_sent(world: World, schedule: int) -> None:
    assert world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,)).rowcount == 0
    row = world.row("SELECT status, deleted_at FROM kb_schedule WHERE id = %s", schedule)
    assert row == {"status": "inactive", "deleted_at": world.time.now}
    assert clock(world, schedule)["enabled"] is False
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
    assert world.value("SELECT max(version) FROM kb_schedule_history") == 2


def test_a_paused_schedule_is_walked_again_from_its_resumption(world: World, schedule: int) -> None:
    world.edit(schedule, status="inactive")
    beat.move_cursors(world.db, [(schedule, None)])
    assert clock(world, schedule)["due_at"] is None
    world.time.advance(3600)
    world.edit(schedule, status="active")
    row = clock(world, schedule)
    assert (row["enabled"], row["due_at"]) == (True, world.time.now)


# -- what is promised when a schedule is made -----------------------------------------------------------


def test_a_new_schedule_is_walked_from_its_creation(world: World, schedule: int) -> None:
    row = clock(world, schedule)
    assert (row["planned_to"], row["rules"], row["tz"]) == (
        world.time.now,
        [{"kind": "regular"}],
        "Asia/Seoul",
    )


def test_a_new_one_off_is_promised_though_its_instant_is_past_within_grace(
    world: World, schedule: int
) -> None:
    once = world.schedule(
        schedule_type="once", schedule_date="2026-11-17", schedule_time="09:00", grace_seconds=120
    )
    row = clock(world, once)
    assert row["planned_to"] == world.time.now - dt.timedelta(seconds=120)
    assert row["rules"] == [{"kind": "once", "date": "2026-11-17", "time": "09:00:00"}]


@pytest.mark.parametrize(
    ("columns", "rules"),
    [
        ({"schedule_type": "daily", "schedule_time": "07:05"}, [{"kind": "daily", "time": "07:05:00"}]),
        (
            {"schedule_type": "weekly", "schedule_time": "07:05", "schedule_weekdays": "monday,friday"},
            [{"kind": "weekly", "time": "07:05:00", "weekdays": ["monday", "friday"]}],
        ),
        ({"schedule_type": "peak", "peak_hours": "8,9,18"}, [{"kind": "peak", "hours": [8, 9, 18]}]),
        ({"schedule_type": "cron", "cron_expr": "*/5 9 * * 1"}, [{"kind": "cron", "expr": "*/5 9 * * 1"}]),
        ({"schedule_type": "union", "rules": '[{"kind": "regular"}]'}, [{"kind": "regular"}]),
    ],
)
def test_raw_columns_become_rules(
    world: World, schedule: int, columns: dict[str, str], rules: list[dict[str, Any]]
) -> None:
    assert clock(world, world.schedule(**columns))["rules"] == rules


# -- what no rule can read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"tz": "Mars/Phobos"}, "tz: unknown time zone Mars/Phobos"),
        ({"message_text": "  "}, "message_text: send_order text_only needs a text"),
        ({"message_text": None}, "message_text: send_order text_only needs a text"),
        ({"send_order": "images_only"}, "message_images: send_order images_only needs at least one image"),
        ({"message_images": "[1,2,3,4,5,6,7,8,9,10,11]"}, "message_images: at most 10 images, not 11"),
        ({"message_images": '{"images": 3}'}, "message_images: cannot be read"),
        ({"target_room_type": "live"}, "target_room_type: room 방1 is a test room, not live"),
    ],
)
def test_raw_sql_that_cannot_be_sent_is_kept_as_an_error_with_the_reason(
    world: World, schedule: int, columns: dict[str, Any], sentence: str
) -> None:
    bad = world.schedule(**columns)
    row = world.row("SELECT status, error_reason FROM kb_schedule WHERE id = %s", bad)
    assert row["status"] == "error"
    assert row["error_reason"].startswith(sentence)
    assert clock(world, bad)["enabled"] is False
    world.edit(schedule, **columns)
    assert world.value("SELECT status FROM kb_schedule WHERE id = %s", schedule) == "error"


def test_an_error_that_was_mended_is_active_again(world: World) -> None:
    world.room()
    bad = world.schedule(tz="Mars/Phobos")
    world.edit(bad, tz="Asia/Seoul", status="active")
    row = world.row("SELECT status, error_reason FROM kb_schedule WHERE id = %s", bad)
    assert row == {"status": "active", "error_reason": None}
    assert clock(world, bad)["enabled"] is True


@pytest.mark.parametrize(
    "columns",
    [
        {"title": " "},
        {"schedule_type": "once"},
        {"schedule_type": "daily"},
        {"schedule_type": "weekly", "schedule_time": "09:00"},
        {"schedule_type": "weekly", "schedule_time": "09:00", "schedule_weekdays": "mon,fri"},
        {"schedule_type": "peak"},
        {"schedule_type": "peak", "peak_hours": "8,24"},
        {"schedule_type": "cron"},
        {"schedule_type": "union"},
        {"schedule_type": "union", "rules": "[]"},
        {"schedule_type": "union", "rules": '{"kind": "regular"}'},
        {"schedule_type": "regular", "schedule_time": "09:00"},
        {"valid_until": "2019-12-31 00:00+09"},
        {"grace_seconds": -1},
        {"validity_seconds": 0},
        {"misfire": "ask"},
        {"target_room_id": "없는방"},
    ],
)
def test_a_row_that_means_nothing_is_refused(world: World, columns: dict[str, Any]) -> None:
    world.room()
    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        world.schedule(**columns)
    assert "kb_schedule" in str(refused.value)


def test_a_rule_that_only_the_planner_finds_unreadable_stops_nothing_else(
    world: World, schedule: int
) -> None:
    odd = world.schedule(schedule_type="cron", cron_expr="nonsense")
    slot = world.plan(odd, in_s=0)
    assert beat.mark_unreadable(world.db, odd, 1, "cron_expr: nonsense has 1 field, 5 are needed")
    row = world.row("SELECT status, error_reason FROM kb_schedule WHERE id = %s", odd)
    assert (row["status"], row["error_reason"][:9]) == ("error", "cron_expr")
    assert world.state(slot) == ("cancelled", "schedule_error")
    assert not beat.mark_unreadable(world.db, odd, 1, "again")
    assert world.value("SELECT status FROM kb_schedule WHERE id = %s", schedule) == "active"


# -- counters -----------------------------------------------------------------------------------------


def sent(world: World, schedule: int) -> SlotId:
    passed = world.go(world.leased(schedule))
    world.say(passed, AttemptOutcome.ACCEPTED)
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    return passed.slot


def counters(world: World, schedule: int) -> dict[str, Any]:
    return world.row(
        "SELECT send_count, last_sent_at, next_send_at, status FROM kb_schedule WHERE id = %s", schedule
    )


def test_counters_follow_in_one_statement(world: World, schedule: int) -> None:
    slot = sent(world, schedule)
    following = world.plan(schedule, in_s=60)
    beat.move_cursors(world.db, [(schedule, world.time.now + dt.timedelta(seconds=1800))])
    assert beat.refresh(world.db, 100) == 1
    assert counters(world, schedule) == {
        "send_count": 1, "last_sent_at": world.slot(slot)["started_at"],
        "next_send_at": following.slot_at, "status": "active",
    }  # fmt: skip
    assert beat.refresh(world.db, 100) == 0
    assert world.value("SELECT version FROM kb_schedule WHERE id = %s", schedule) == 1


def test_a_schedule_that_somebody_edits_is_skipped_and_counted_later(
    world: World, schedule: int, ledger_url: str
) -> None:
    other = world.schedule(room="방2")
    sent(world, schedule)
    sent(world, other)
    with psycopg.connect(ledger_url) as editor:
        editor.execute("SELECT 1 FROM kb_schedule WHERE id = %s FOR UPDATE", (schedule,))
        world.db.execute("SET lock_timeout = '500ms'")
        beat.refresh(world.db, 100)
        assert (counters(world, schedule)["send_count"], counters(world, other)["send_count"]) == (0, 1)
    beat.refresh(world.db, 100)
    assert (counters(world, schedule)["send_count"], counters(world, other)["send_count"]) == (1, 1)


def test_a_one_off_is_completed_once_its_slot_has_ended(world: World, schedule: int) -> None:
    once = world.schedule(schedule_type="once", schedule_date="2026-11-17", schedule_time="09:00")
    beat.move_cursors(world.db, [(once, None)])
    slot = world.queued(once)
    beat.refresh(world.db, 100)
    assert counters(world, once)["status"] == "active"
    lease = world.take(slot)
    world.settle(lease, SlotState.SKIPPED, "quota")
    beat.refresh(world.db, 100)
    assert counters(world, once) == {
        "send_count": 0, "last_sent_at": None, "next_send_at": None, "status": "completed",
    }  # fmt: skip
    assert world.state(slot)[0] == "skipped"


def test_late_evidence_is_counted_when_it_comes(world: World, schedule: int) -> None:
    passed = world.unresolved(schedule)
    beat.refresh(world.db, 100)
    assert counters(world, schedule)["send_count"] == 0
    world.say(passed, AttemptOutcome.ACCEPTED)
    beat.refresh(world.db, 100)
    assert counters(world, schedule)["send_count"] == 1
