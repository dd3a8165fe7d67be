"""What happens beside the send: edits, ghosts, slow ways, held rows, poisoned rows, no Redis, early hints."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from models.ledger import worker as ledger
from models.ledger.worker import Evidence, Lease, Ponr, PonrAnswer, Settle
from models.states import AttemptOutcome, SlotState
from ops.emulator import Rule
from runtime import redis_client
from runtime.events import Event, captured
from runtime.settings import get_settings
from tasks.attempt import send_slot
from tasks.carry import SEND, carry
from tests.support import databases
from tests.support.sending import Sending


def test_an_edit_between_lease_and_point_of_no_return_sends_the_new_text(sending: Sending) -> None:
    schedule = sending.schedule(sending.room("방"), message_text="옛 글")
    slot = sending.slot(schedule)
    sending.due()
    (lease,) = sending.rt.lease([slot])
    sending.db.execute("UPDATE kb_schedule SET message_text = '새 글' WHERE id = %s", (schedule,))

    ended = send_slot(sending.rt, lease)
    sending.rt.done(slot)

    assert ended is not None
    assert (ended.state, ended.reason) == ("queued", "stale_content")
    assert sending.until_ended(slot) == ["delivered"]
    assert sending.parts(slot)[0]["body"] == "새 글"
    assert sending.receipts() == 1


def test_a_pause_between_lease_and_point_of_no_return_stops_the_send(sending: Sending) -> None:
    schedule = sending.schedule(sending.room("방"))
    slot = sending.slot(schedule)
    sending.due()
    (lease,) = sending.rt.lease([slot])
    sending.db.execute("UPDATE kb_schedule SET status = 'inactive' WHERE id = %s", (schedule,))

    assert send_slot(sending.rt, lease) is None
    sending.rt.done(slot)

    assert (sending.state(slot), sending.of(slot)["reason"]) == ("cancelled", "paused")
    assert sending.receipts() == 0


def test_a_deletion_between_two_parts_leaves_a_partial_message(sending: Sending) -> None:
    images = f"[{sending.image()}]".replace("'", '"')
    schedule = sending.schedule(
        sending.room("방"), message_images=images, send_order="text_first", send_interval_seconds=3
    )
    slot = sending.slot(schedule)
    sending.once()
    assert sending.of(slot)["wait_reason"] == "part_gap"
    sending.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))

    assert sending.until_ended(slot) == ["partial"]
    assert sending.receipts() == 1


def test_a_worker_that_lost_its_lease_cannot_pass_the_point_of_no_return(
    make_sending: Callable[[], Sending],
) -> None:
    ghost, heir = make_sending(), make_sending()
    slot = ghost.promise("방")
    ghost.due()
    (lease,) = ghost.rt.lease([slot])
    ghost.rt.done(slot)  # as if it stood still: nobody renews
    assert heir.until_ended(slot) == ["delivered"]

    assert send_slot(ghost.rt, lease) is None
    assert heir.receipts() == 1


def test_a_way_to_the_write_that_took_too_long_is_not_written_and_costs_nothing(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = sending.promise("방")
    honest = sending.rt.committer.ponr
    calls: list[str] = []

    def slow_once(part: Ponr) -> PonrAnswer:
        answer = honest(part)
        if not calls:
            sending.rt.clock.wait(0.55)
        calls.append(answer.verdict)
        return answer

    monkeypatch.setattr(sending.rt.committer, "ponr", slow_once)
    sending.once()

    assert sending.attempts(slot) == ["not_sent"]
    assert sending.rows("SELECT reason FROM attempts")[0]["reason"] == "guard_missed"
    assert (sending.parts(slot)[0]["tries"], sending.parts(slot)[0]["misses"]) == (0, 1)
    assert (sending.used("방"), sending.receipts()) == (0, 0)
    assert sending.until_ended(slot) == ["delivered"]
    assert (sending.used("방"), sending.receipts()) == (1, 1)


def test_threads_that_stand_ready_together_pass_in_few_commits(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = [sending.promise(f"방{n}") for n in range(64)]
    waves: list[int] = []
    honest = ledger.ponr

    def counted(db: ledger.Connection, wave: Sequence[Ponr], *more: Any) -> list[PonrAnswer]:
        waves.append(len(wave))
        return honest(db, wave, *more)

    monkeypatch.setattr(ledger, "ponr", counted)
    due = sending.due()

    carry(sending.rt, [one.slot for one in due], SEND)

    assert sum(waves) == 64
    assert len(waves) < 48
    assert sending.receipts() == 64
    assert sending.until_ended(*slots) == ["delivered"] * 64


def test_a_slot_whose_row_somebody_holds_does_not_hold_its_neighbours_up(
    sending: Sending, scaled_env: dict[str, str]
) -> None:
    held, *others = [sending.promise(f"방{n}") for n in range(8)]
    due = [one.slot for one in sending.due()]
    leases = sending.rt.lease(due)
    with databases.connect(scaled_env["DATABASE_URL"]) as person, person.transaction():
        person.execute("SELECT 1 FROM slots WHERE schedule_id = %s FOR UPDATE", (held.schedule_id,))
        sending.rt.for_each(lambda lease: send_slot(sending.rt, lease), leases)
        for lease in leases:
            sending.rt.done(lease.slot)
        # On a busy machine one of them may miss its guard; it then goes out while the row is still held.
        sending.until(lambda: sending.receipts() == len(others))

    assert sending.until_ended(held, *others) == ["delivered"] * 8
    assert sending.receipts() == 8


def test_evidence_that_cannot_be_stored_as_it_is_is_stored_without_the_answer(sending: Sending) -> None:
    slot = sending.promise("방", "emulator-none")
    sending.due()
    (lease,) = sending.rt.lease([slot])
    part = Ponr(slot, 0, lease.fence, uuid.uuid4(), 1, 1.0, "none", [
        {"ord": 0, "kind": "text", "body": "글", "image_id": None, "idem_key": "k", "gap_ms": 0}
    ])  # fmt: skip
    assert sending.rt.committer.ponr(part).verdict == "go"
    fact = Evidence(
        slot, 0, part.attempt_id, AttemptOutcome.ACCEPTED, "a\x00b", "id\x00", 200, {"body": "\x00"}
    )

    assert sending.rt.evidence.store(fact) == "ok"
    sending.rt.done(slot)

    assert sending.attempts(slot) == ["accepted"]
    assert sending.rows("SELECT answer FROM attempts") == [{"answer": None}]


def test_without_redis_the_ledger_alone_decides(
    make_sending: Callable[[], Sending], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    redis_client.reset_clients()
    first, second = make_sending(), make_sending()
    slots = [first.promise(f"방{n}") for n in range(4)]
    due = [one.slot for one in first.due()]

    with captured() as heard, ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda one: carry(one.rt, due, SEND), (first, second)))

    assert first.until_ended(*slots) == ["delivered"] * 4
    assert first.receipts() == 4
    assert Event.LOCK_DEGRADED in [event for event, _ in heard]


def test_one_poisoned_row_does_not_fail_the_others_of_its_wave(sending: Sending) -> None:
    slots = [sending.promise(f"방{n}", "emulator-none") for n in range(6)]
    sending.due()
    leases = sending.rt.lease([*slots])
    wave = [_question(lease, "글" if n else "\x00") for n, lease in enumerate(leases)]
    hold = threading.Event()
    lane = sending.rt.committer.settle

    with ThreadPoolExecutor(8) as threads, databases.connect(get_settings().needed_database_url()) as person:
        with person.transaction():  # holds the committer up, so that the six meet in one wave
            person.execute("LOCK TABLE slots IN ACCESS EXCLUSIVE MODE")
            threads.submit(lane, Settle(slots[0], 0, SlotState.QUEUED, None))
            asked = [threads.submit(sending.rt.committer.ponr, part) for part in wave]
            hold.wait(0.1)
        ends = [one.exception() or one.result().verdict for one in asked]
    for lease in leases:
        sending.rt.done(lease.slot)

    assert isinstance(ends[0], psycopg.DataError)
    assert ends[1:] == ["go"] * 5


def _question(lease: Lease, body: str) -> Ponr:
    row = {"ord": 0, "kind": "text", "body": body, "image_id": None, "idem_key": str(lease.slot), "gap_ms": 0}
    return Ponr(lease.slot, 0, lease.fence, uuid.uuid4(), lease.content_version, 1.0, "none", [row])


def test_a_hint_that_comes_a_little_early_is_waited_out_and_never_sent_before_its_time(
    sending: Sending,
) -> None:
    schedule = sending.schedule(sending.room("방"))
    soon = sending.slot(schedule, in_s=0.2)
    later = sending.slot(schedule, in_s=0.9)
    ahead = [one.slot for one in sending.due(ahead_s=2.0)]
    assert ahead == [soon, later]

    assert list(carry(sending.rt, ahead, SEND)) == [str(soon)]

    (receipt,) = sending.emulator.receipts.all()
    assert receipt.at >= soon.slot_at.timestamp()
    assert receipt.at - soon.slot_at.timestamp() < 0.2
    assert sending.state(later) == "queued"
    assert sending.until_ended(soon, later) == ["delivered"] * 2
    assert all(row["started_at"] >= row["slot_at"] for row in sending.rows("SELECT * FROM slots"))


def test_what_may_not_go_any_more_in_the_middle_of_its_ladder_ends_there(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("429", count=None))
    slot = sending.slot(sending.schedule(sending.room("방")), valid_s=0.8, grace_s=0.5)

    assert sending.until_ended(slot) == ["expired"]
    assert sending.attempts(slot) == ["rejected_retry"]
    assert sending.used("방") == 0
