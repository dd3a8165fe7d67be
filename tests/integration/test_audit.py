"""A healthy ledger passes; each invariant, broken by hand, is named and no other."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from pathlib import Path

import psycopg
import pytest

from models.ledger import people
from models.states import AttemptOutcome, Phase, SlotState
from ops.audit import Report, audit
from ops.audit.receipts import ReceiptsUnreadable
from runtime.ids import SlotId
from tests.support.world import World

UNKNOWN = AttemptOutcome.UNKNOWN
HALF_HOUR = dt.timedelta(minutes=30)


@pytest.fixture
def world(pg: psycopg.Connection) -> World:
    made = World(pg)
    for name in ("방1", "방2", "방3"):
        made.room(name)
    return made


def broken(world: World, receipts: Path | None = None) -> set[str]:
    return {violation.invariant for violation in judged(world, receipts).violations}


def judged(world: World, folder: Path | None = None) -> Report:
    return audit(world.db, receipts=None if folder is None else world.receipts_file(folder))


def delivered(world: World, *bodies: str, room: str = "방1", kind: str = "lookup") -> SlotId:
    slot = world.once(room)
    world.go_to(slot)
    world.deliver(slot, *bodies, kind=kind)
    return slot


def doubtful(world: World, kind: str = "lookup", arrives: bool = False) -> SlotId:
    """A slot whose attempt may have arrived, waiting to be confirmed."""
    slot = world.once()
    world.go_to(slot)
    passed = world.send(world.take_up(slot), UNKNOWN, kind=kind, arrives=arrives)
    world.wait(passed, "confirm", 15, phase=Phase.CONFIRM)
    return slot


def sent_again(world: World, slot: SlotId, after_s: float = 60.0, kind: str = "lookup") -> None:
    """Absent at settle: the part goes out again and is accepted."""
    first = world.row("SELECT attempt_id, ord FROM attempts WHERE schedule_id = %s AND slot_at = %s", *slot)
    world.advance(after_s)
    lease = world.take_up(slot)
    assert world.resolve_part(lease, first["ord"], first["attempt_id"], wait_s=min(after_s, 60.0))
    world.wait(lease, "retry", 0)
    world.go_to(world.now)
    passed = world.send(world.take_up(slot), kind=kind)
    assert world.settle(passed, SlotState.DELIVERED, "accepted")


# -- healthy ledgers ------------------------------------------------------------------------------


def test_an_empty_ledger_is_clean(world: World, tmp_path: Path) -> None:
    report = judged(world, tmp_path)
    assert report.as_json()["ok"] is True
    assert report.as_json()["slots"]["delivered"] == 0
    assert report.as_json()["lateness_ms"] == {"p50": None, "p95": None, "p99": None, "max": None}


def test_a_healthy_ledger_of_all_kinds_of_ends_is_clean(world: World, tmp_path: Path) -> None:
    delivered(world, "하나", "둘", "셋")
    delivered(world, room="방2", kind="key")
    sent_again(world, doubtful(world))
    world.advance(60)
    unresolved = doubtful(world, kind="none", arrives=True)
    world.advance(60)
    assert world.settle(world.take_up(unresolved), SlotState.UNRESOLVED, "unproven", phase=Phase.CONFIRM)
    cancelled, missed = world.once("방2"), world.once("방3")
    assert people.cancel(world.db, cancelled, "김") == "cancelled"
    world.go_to(missed)
    refused = world.once("방1")
    world.go_to(refused)
    assert world.settle(
        world.send(world.take_up(refused), "rejected_final"), SlotState.FAILED, "rejected:room_not_found"
    )
    world.advance(400)
    world.tick()

    report = judged(world, tmp_path)

    assert report.violations == []
    shown = report.as_json()
    assert shown["ok"] is True
    assert {state: n for state, n in shown["slots"].items() if n} == {
        "delivered": 3, "unresolved": 1, "cancelled": 1, "expired": 1, "failed": 1,
    }  # fmt: skip
    assert shown["promised"] == 7
    assert shown["lateness_ms"]["max"] < 50
    assert shown["receipts"] == {
        "read": 6, "matched": 6, "duplicates": {"key": 0, "lookup": 0, "none": 0}, "flagged_duplicates": 0,
    }  # fmt: skip


def test_edits_pauses_and_deletions_leave_the_history_and_the_slots_in_agreement(world: World) -> None:
    regular = world.schedule("방1", schedule_type="regular", message_text="정각")
    daily = world.daily("방2", at="09:20")
    world.tick()
    for minutes in range(0, 90, 5):
        world.go_to(world.began + dt.timedelta(minutes=minutes))
        world.tick()
        if minutes == 25:
            world.edit(regular, schedule_type="peak", peak_hours="9,10")
        if minutes == 10:
            world.edit(daily, status="inactive")
        if minutes == 50:
            world.edit(regular, status="inactive")
        if minutes == 70:
            world.edit(regular, status="active")
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (daily,))
    world.tick()
    report = judged(world)
    assert report.violations == []
    assert report.promised == 4  # 09:30 and 09:45 by the peak rule, 10:15 after the pause, and 09:00 itself


def test_the_fast_oracle_promises_what_the_minute_scan_promises(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.schedule("방1", schedule_type="regular")
    world.daily("방2", at="09:20")
    world.once("방3", in_s=-120)
    world.go_to(world.began + dt.timedelta(hours=1))
    world.tick()
    scanned = judged(world)
    monkeypatch.setattr("ops.audit.promises.SCAN_BUDGET_MINUTES", 0)
    fast = judged(world)
    assert (scanned.oracle, fast.oracle) == ("minute scan", "recurrence")
    assert scanned.promised == fast.promised == 5
    assert scanned.violations == fast.violations == []


def test_an_outage_leaves_expired_rows_or_a_recorded_range_and_both_count_as_rows(world: World) -> None:
    schedule = world.schedule("방1", schedule_type="regular")
    world.tick()
    world.advance(6 * 3600)
    world.tick()
    assert judged(world).violations == []
    gone = world.rows("SELECT slot_at FROM slots WHERE schedule_id = %s AND state = 'expired'", schedule)
    world.by_hand("DELETE FROM slots WHERE schedule_id = %s AND state = 'expired'", schedule)
    assert broken(world) == {"I3"}
    world.db.execute(
        "INSERT INTO incidents (kind, schedule_id, range_from, range_to)"
        " VALUES ('slots_not_laid_down', %s, %s, %s)",
        (schedule, min(row["slot_at"] for row in gone), max(row["slot_at"] for row in gone)),
    )
    assert judged(world).violations == []


def test_only_slots_from_since_on_are_judged(world: World) -> None:
    old = delivered(world)
    world.by_hand("DELETE FROM parts WHERE schedule_id = %s", old.schedule_id)
    world.advance(3600)
    new = delivered(world)
    assert broken(world) == {"I4", "I10"}
    assert audit(world.db, since=new.slot_at).ok


def test_an_audit_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    delivered(world)
    judged(world, tmp_path)
    judged(world, tmp_path)
    assert world.rows("SELECT 1 FROM pg_class WHERE relname LIKE 'audit%%'") == []
    assert world.db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_violation_is_a_sentence_with_slot_and_evidence(world: World) -> None:
    slot = delivered(world)
    world.by_hand(
        "UPDATE slots SET state = 'expired', reason = 'validity' WHERE schedule_id = %s", slot.schedule_id
    )
    (truth, log) = judged(world).violations
    assert (
        truth.detail
        == f"slot {slot}: expired (validity), but of 1 parts 1 are accepted and 0 may have arrived"
    )
    assert log.detail.startswith(f"slot {slot}: it is expired, but its log leads to delivered at")


def test_many_violations_are_told_in_part_and_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        slot = delivered(world)
        world.by_hand(
            "UPDATE attempts SET attempt_id = gen_random_uuid() WHERE schedule_id = %s", slot.schedule_id
        )
        world.advance(30)
    monkeypatch.setattr("ops.audit.run.TOLD", 2)
    assert judged(world).violations[-1].detail == "and 1 more of the same kind"


# -- each invariant, broken in the ledger ---------------------------------------------------------


def test_i1_two_slots_for_one_instant(world: World) -> None:
    slot = world.once()
    world.db.execute("ALTER TABLE slots DROP CONSTRAINT slots_pkey CASCADE")
    world.by_hand("INSERT INTO slots SELECT * FROM slots WHERE schedule_id = %s", slot.schedule_id)
    assert broken(world) == {"I1"}


def test_i2_a_provider_that_cannot_be_asked_accepted_twice(world: World) -> None:
    slot = delivered(world, kind="none")
    copy_attempt(world, slot, after_s=61)
    assert broken(world) == {"I2"}


def test_i2_sent_again_although_it_may_have_arrived(world: World) -> None:
    slot = doubtful(world)
    sent_again(world, slot)
    world.by_hand("UPDATE slots SET provider_kind = 'none' WHERE schedule_id = %s", slot.schedule_id)
    assert broken(world) == {"I2"}


def test_i2_late_acceptance_of_an_attempt_that_was_given_up(world: World) -> None:
    slot = doubtful(world, arrives=True)
    first = world.row("SELECT attempt_id FROM attempts WHERE schedule_id = %s", slot.schedule_id)[
        "attempt_id"
    ]
    sent_again(world, slot)
    assert world.late_word(slot, 0, first) == "superseded"
    assert broken(world) == {"I2"}


def test_i2_two_slots_carry_one_key(world: World) -> None:
    delivered(world)
    world.advance(60)
    delivered(world)
    world.by_hand("UPDATE parts SET idem_key = 'one key'")
    assert broken(world) == {"I2"}


def test_i3_a_promised_instant_has_no_slot(world: World) -> None:
    slot = world.once()
    world.go_to(slot)
    world.tick()
    world.by_hand("DELETE FROM slots WHERE schedule_id = %s", slot.schedule_id)
    assert broken(world) == {"I3"}


def test_i3_a_slot_that_nobody_promised(world: World) -> None:
    schedule = world.daily(at="12:00")
    world.plan(schedule, in_s=1)
    world.advance(2)
    world.tick()
    assert broken(world) == {"I3"}


def test_single_instants_just_past_are_promised_to_a_schedule_made_within_their_grace(world: World) -> None:
    """As a one-off is, so is a union of single instants: the trigger and the audit agree on it."""
    past = round((world.now - dt.timedelta(seconds=5)).timestamp() * 1000)
    rules = json.dumps([{"kind": "at", "ms": past}, {"kind": "at", "ms": past + 60_000}])
    world.schedule(schedule_type="union", rules=rules)
    world.tick()
    world.advance(120)
    world.tick()

    assert world.value("SELECT count(*) FROM slots") == 2
    assert judged(world).promised == 2
    assert not broken(world)


def test_i3_a_slot_that_lives_too_long(world: World) -> None:
    slot = world.once()
    world.go_to(slot)
    world.tick()
    world.by_hand(
        "UPDATE slots SET finish_by = start_by, phase = 'confirm' WHERE schedule_id = %s", slot.schedule_id
    )
    world.advance(300 + 10 + 120 + 10)
    world.tick()
    assert judged(world).ok
    world.advance(1)
    world.tick()
    assert broken(world) == {"I3"}


def test_i3_a_schedule_that_is_not_planned_although_beats_tick(world: World) -> None:
    schedule = world.schedule("방1", schedule_type="regular")
    world.tick()
    world.by_hand("UPDATE schedule_clock SET planned_to = %s WHERE schedule_id = %s", world.now, schedule)
    world.db.execute("UPDATE beat_pulse SET last_tick_at = last_tick_at + interval '90 s'")
    assert broken(world) == {"I3"}


@pytest.mark.parametrize(
    "change",
    [
        "state = 'delivered', reason = 'accepted' WHERE reason = 'part'",
        "state = 'partial', reason = 'x' WHERE reason = 'accepted'",
        "state = 'failed', reason = 'x' WHERE reason = 'accepted'",
        "state = 'unresolved', reason = 'x' WHERE reason = 'accepted'",
    ],
)
def test_i4_a_state_that_its_parts_do_not_bear_out(world: World, change: str) -> None:
    delivered(world)
    slot = world.once("방2")
    world.go_to(slot)
    passed = world.send(world.take_up(slot), bodies=("하나", "둘"))
    assert world.settle(passed, SlotState.PARTIAL, "part")
    assert judged(world).ok
    world.by_hand(f"UPDATE slots SET {change}")
    world.by_hand(
        "UPDATE slot_log l SET new = s.state FROM slots s"
        " WHERE s.schedule_id = l.schedule_id AND l.old = 'leased'"
    )
    assert broken(world) == {"I4"}


def test_i5_an_attempt_before_the_slots_time(world: World) -> None:
    slot = delivered(world)
    world.by_hand(
        "UPDATE attempts SET sending_at = slot_at - interval '1 ms' WHERE schedule_id = %s", slot.schedule_id
    )
    assert broken(world) == {"I5"}


def test_i5_an_attempt_after_finish_by(world: World) -> None:
    slot = delivered(world)
    world.by_hand(
        "UPDATE slots SET start_by = slot_at, finish_by = slot_at WHERE schedule_id = %s", slot.schedule_id
    )
    world.by_hand(
        "UPDATE attempts SET sending_at = slot_at + interval '1 ms' WHERE schedule_id = %s", slot.schedule_id
    )
    assert broken(world) == {"I5"}


def test_i7_two_slots_in_one_room_too_close(world: World) -> None:
    first = delivered(world)
    world.advance(30)
    second = delivered(world)
    assert judged(world).ok
    world.by_hand(
        "UPDATE attempts SET sending_at = %s WHERE schedule_id = %s", second.slot_at, second.schedule_id
    )
    late = second.slot_at - dt.timedelta(seconds=29)
    world.by_hand(
        "UPDATE attempts SET sending_at = %s, ended_at = %s WHERE schedule_id = %s",
        late,
        late,
        first.schedule_id,
    )
    assert broken(world) == {"I7"}


def test_i8_more_slots_on_a_day_than_the_rooms_quota(world: World) -> None:
    delivered(world)
    world.advance(60)
    delivered(world)
    world.db.execute("UPDATE rooms SET quota = 1")
    assert broken(world) == {"I8"}


def test_i9_a_part_before_the_one_before(world: World) -> None:
    slot = delivered(world, "하나", "둘")
    world.by_hand("UPDATE attempts SET sending_at = sending_at - interval '500 ms'"
                  " WHERE schedule_id = %s AND ord = 1",
                  slot.schedule_id)  # fmt: skip
    assert broken(world) == {"I9"}


def test_i10_a_part_whose_attempt_is_missing(world: World) -> None:
    slot = delivered(world)
    world.by_hand("DELETE FROM attempts WHERE schedule_id = %s", slot.schedule_id)
    assert broken(world) == {"I10"}


def test_i11_attempts_that_overlap(world: World) -> None:
    slot = doubtful(world)
    sent_again(world, slot)
    assert judged(world).ok
    world.by_hand("UPDATE attempts SET sending_at = sending_at + interval '58 s' WHERE outcome = 'unknown'")
    assert "I11" in broken(world)


def test_i11_a_next_attempt_before_there_was_evidence(world: World) -> None:
    slot = doubtful(world)
    sent_again(world, slot)
    world.by_hand("UPDATE attempts SET ended_at = ended_at + interval '2 min' WHERE outcome = 'unknown'")
    assert broken(world) == {"I11"}


def test_i11_a_fence_that_did_not_rise(world: World) -> None:
    slot = delivered(world, "하나", "둘")
    world.by_hand(
        "UPDATE attempts SET fence = fence - 1 WHERE schedule_id = %s AND ord = 1", slot.schedule_id
    )
    assert broken(world) == {"I11"}


def test_i11_a_fence_that_went_back_in_the_log(world: World) -> None:
    slot = world.once()
    world.go_to(slot)
    world.deliver(slot)
    world.by_hand("UPDATE slot_log SET fence = 1 WHERE new = 'delivered'")
    assert broken(world) == {"I11"}


def test_i12_too_many_tries(world: World) -> None:
    slot = delivered(world)
    for number, after_s in enumerate((60, 180, 480, 1080, 1680), start=1):
        copy_attempt(world, slot, after_s=after_s, outcome="rejected_retry")
        assert broken(world) == ({"I12"} if number == 5 else set())


def test_i12_a_retry_too_soon(world: World) -> None:
    slot = delivered(world)
    copy_attempt(world, slot, after_s=59, outcome="rejected_retry")
    assert broken(world) == {"I12"}


def test_i12_a_provider_with_keys_may_be_asked_again_after_a_second_once(world: World) -> None:
    slot = delivered(world, kind="key")
    copy_attempt(world, slot, after_s=1)
    assert broken(world) == set()
    copy_attempt(world, slot, after_s=2)
    assert broken(world) == {"I12"}


def test_i14_a_move_that_the_table_does_not_know(world: World) -> None:
    slot = delivered(world)
    world.by_hand("UPDATE slots SET state = 'skipped', reason = 'x' WHERE schedule_id = %s", slot.schedule_id)
    world.by_hand("UPDATE parts SET state = 'pending' WHERE schedule_id = %s", slot.schedule_id)
    world.by_hand(
        "INSERT INTO slot_log (at, schedule_id, slot_at, old, new, phase, fence, who)"
        " SELECT %s, schedule_id, slot_at, 'delivered', 'skipped', 'send', fence, 'nobody'"
        " FROM slots", world.now,
    )  # fmt: skip
    (violation,) = judged(world).violations
    assert violation.invariant == "I14"
    assert "from delivered to skipped" in violation.detail
    assert "by nobody" in violation.detail


def test_i14_a_state_without_a_move(world: World) -> None:
    slot = world.once()
    world.by_hand(
        "UPDATE slots SET state = 'queued', republish_at = slot_at WHERE schedule_id = %s", slot.schedule_id
    )
    assert broken(world) == {"I14"}


def test_i15_a_lease_that_nobody_takes_back(world: World) -> None:
    slot = world.once()
    world.go_to(slot)
    world.take_up(slot)
    world.advance(10)
    assert judged(world).ok  # no tick has been completed since
    world.db.execute("UPDATE beat_pulse SET last_tick_at = %s", (world.now,))
    assert broken(world) == {"I15"}


def test_i16_a_cancelled_slot_that_may_have_arrived(world: World) -> None:
    slot = world.once()
    world.go_to(slot)
    lease = world.take_up(slot)
    world.send(lease, "not_sent")
    assert people.cancel(world.db, slot, "김") == "cancelled"
    assert judged(world).ok
    world.by_hand("UPDATE attempts SET outcome = 'unknown'")
    assert broken(world) == {"I16"}


def test_i17_a_quota_that_does_not_count_its_slots(world: World) -> None:
    delivered(world)
    world.by_hand("UPDATE room_quota SET used = used + 1")
    assert broken(world) == {"I17"}


def test_i17_a_send_without_a_unit_of_quota(world: World) -> None:
    delivered(world)
    world.by_hand("UPDATE room_quota SET used = used - 1")
    world.by_hand("UPDATE slots SET quota_day = NULL")
    assert broken(world) == {"I17"}


# -- each invariant, broken in the provider's log ---------------------------------------------------


def test_receipts_i2_a_part_that_arrived_twice(world: World, tmp_path: Path) -> None:
    slot = delivered(world)
    assert judged(world, tmp_path).ok
    again(world, slot)
    assert broken(world, tmp_path) == {"I2"}
    report = judged(world, tmp_path)
    assert report.receipts is not None
    assert report.receipts.duplicates == {"key": 0, "lookup": 1, "none": 0}


def test_receipts_i2_a_double_that_a_person_risked_is_counted_apart(world: World, tmp_path: Path) -> None:
    slot = delivered(world)
    again(world, slot)
    world.by_hand("UPDATE attempts SET dup_risk = true")
    report = judged(world, tmp_path)
    assert report.ok
    assert report.receipts is not None
    assert (report.receipts.duplicates["lookup"], report.receipts.flagged_duplicates) == (0, 1)


def test_i4_accepted_and_then_not_to_be_looked_up_is_a_case_for_a_person(
    world: World, tmp_path: Path
) -> None:
    slot = world.once()
    world.go_to(slot)
    passed = world.send(world.take_up(slot))
    world.wait(passed, "confirm", 15, phase=Phase.CONFIRM)
    assert world.settle(
        world.confirm_now(slot), SlotState.UNRESOLVED, "lookup_unavailable", phase=Phase.CONFIRM
    )
    assert judged(world, tmp_path).violations == []


def test_receipts_i4_accepted_but_never_received(world: World, tmp_path: Path) -> None:
    delivered(world)
    world.advance(1)
    world.receipts.clear()
    assert broken(world, tmp_path) == {"I4"}


def test_receipts_i4_received_although_not_sent(world: World, tmp_path: Path) -> None:
    slot = world.once()
    world.go_to(slot)
    passed = world.send(world.take_up(slot), "rejected_final", arrives=True)
    assert world.settle(passed, SlotState.FAILED, "rejected:x")
    assert broken(world, tmp_path) == {"I4"}


def test_receipts_i5_received_before_the_slots_time(world: World, tmp_path: Path) -> None:
    slot = delivered(world)
    world.by_hand("UPDATE attempts SET sending_at = slot_at")
    world.receipts[0]["at"] = slot.slot_at.timestamp() - 0.0015
    assert judged(world, tmp_path).ok  # the tolerance
    world.receipts[0]["at"] = slot.slot_at.timestamp() - 0.003
    assert broken(world, tmp_path) == {"I5", "I10"}


def test_receipts_i5_received_after_its_validity(world: World, tmp_path: Path) -> None:
    slot = delivered(world)
    world.receipts[0]["at"] = slot.slot_at.timestamp() + 1800 + 11
    assert broken(world, tmp_path) == {"I5"}


def test_receipts_i7_two_slots_too_close(world: World, tmp_path: Path) -> None:
    delivered(world)
    world.advance(60)
    delivered(world)
    assert judged(world, tmp_path).ok
    world.receipts[0]["at"] = world.receipts[1]["at"] - 29.9
    assert broken(world, tmp_path) == {"I7"}


def test_receipts_i8_more_slots_than_the_quota(world: World, tmp_path: Path) -> None:
    delivered(world)
    world.advance(60)
    delivered(world)
    world.db.execute("UPDATE rooms SET quota = 1")
    world.by_hand("UPDATE slots SET quota_day = quota_day - 400")
    world.by_hand("UPDATE room_quota SET day = day - 400")
    world.by_hand("UPDATE room_quota SET used = 1")
    assert broken(world, tmp_path) == {"I8"}


def test_receipts_i9_parts_out_of_order(world: World, tmp_path: Path) -> None:
    delivered(world, "하나", "둘")
    assert judged(world, tmp_path).ok
    world.receipts[0]["at"] = world.receipts[1]["at"] + 0.001
    assert broken(world, tmp_path) == {"I9"}


def test_a_part_that_was_said_to_be_accepted_and_was_not_delivered_may_come_after_its_successors(
    world: World, tmp_path: Path
) -> None:
    slot = world.once()
    world.go_to(slot)
    first = world.send(world.take_up(slot), bodies=("하나", "둘"), arrives=False)
    world.advance(1)
    second = world.send(first, ord=1)
    world.wait(second, "confirm", 15, phase=Phase.CONFIRM)
    world.advance(60)
    lease = world.take_up(slot)
    assert world.resolve_part(lease, 0, first.attempt_id, wait_s=60.0, proven=True)
    world.wait(lease, "retry", 0)
    world.go_to(world.now)
    assert world.settle(world.send(world.take_up(slot)), SlotState.DELIVERED, "accepted")
    assert judged(world, tmp_path).violations == []


def test_receipts_i10_a_receipt_of_an_attempt_that_nobody_made(world: World, tmp_path: Path) -> None:
    delivered(world)
    world.receipts.append({**world.receipts[0], "n": 2, "attempt": str(uuid.uuid4())})
    assert broken(world, tmp_path) == {"I10"}
    world.receipts[-1]["attempt"] = "no uuid"
    assert broken(world, tmp_path) == {"I10"}


def test_receipts_i10_received_before_the_point_of_no_return(world: World, tmp_path: Path) -> None:
    slot = delivered(world)
    world.by_hand(
        "UPDATE attempts SET sending_at = sending_at + interval '5 s', ended_at = ended_at + interval '6 s'"
    )
    assert slot
    assert broken(world, tmp_path) == {"I10"}


def test_a_resend_with_the_old_key_needs_no_second_receipt(world: World, tmp_path: Path) -> None:
    slot = doubtful(world, kind="key", arrives=True)
    assert world.settle(world.confirm_now(slot), SlotState.UNRESOLVED, "tries", phase=Phase.CONFIRM)
    world.advance(90)
    resent = people.resend(world.db, slot, "김", 600, 300, 1800)
    assert resent is not None
    passed = world.send(world.take_up(resent), kind="key", arrives=False)
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    world.advance(1)
    assert judged(world, tmp_path).violations == []


def test_a_receipt_file_that_is_none_is_refused_with_its_line(world: World, tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    path.write_text(json.dumps({"at": 1.0}) + "\n", encoding="utf-8")
    with pytest.raises(ReceiptsUnreadable, match="line 1 is no receipt"):
        audit(world.db, receipts=path)


def test_a_line_that_is_just_being_written_is_left_out(world: World, tmp_path: Path) -> None:
    delivered(world)
    path = world.receipts_file(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + '{"n": 2, "at": 17', encoding="utf-8")
    assert audit(world.db, receipts=path).ok


def copy_attempt(world: World, slot: SlotId, after_s: float, outcome: str = "accepted") -> None:
    """Another attempt of part 0, so long after the first."""
    world.by_hand(
        "INSERT INTO attempts (attempt_id, schedule_id, slot_at, ord, fence, owner, sending_at, wrote_at,"
        " ended_at, outcome)"
        " SELECT gen_random_uuid(), schedule_id, slot_at, ord, max(fence) + 1, (array_agg(owner))[1],"
        " min(sending_at) + make_interval(secs => %s), min(wrote_at),"
        " min(ended_at) + make_interval(secs => %s), %s"
        " FROM attempts WHERE schedule_id = %s AND slot_at = %s GROUP BY schedule_id, slot_at, ord",
        after_s, after_s, outcome, *slot,
    )  # fmt: skip
    world.by_hand("UPDATE slots SET fence = fence + 1 WHERE schedule_id = %s", slot.schedule_id)


def again(world: World, slot: SlotId) -> None:
    """The provider received the slot's first part once more."""
    world.receipts.append({**world.receipts[0], "n": 2, "at": world.receipts[0]["at"] + 0.1})
