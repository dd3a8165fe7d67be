"""The ledger's commands of an upload: what they answer, and that none of them counts or takes twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from models.ledger import beat, tracking
from models.ledger import tracking_worker as worker
from models.ledger.tracking_worker import Item, Word
from models.queries import tracking as queries
from ops.audit.run import audit
from runtime.ids import SlotId
from tests.support import databases
from tests.support.ledger_time import this_tuesday
from tests.support.tracking import account, order
from tests.support.world import World

FIVE = this_tuesday(17)
ME, OTHER = uuid4(), uuid4()


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    with databases.connect(ledger_url) as connection:
        yield World(connection, FIVE - dt.timedelta(minutes=10))


@pytest.fixture(autouse=True)
def _settings(ledger_env: dict[str, str]) -> None:
    """The planner reads its settings."""


def orders(world: World, count: int, **columns: Any) -> list[int]:
    return [order(world.db, f"A-{n}", bundle_no=f"B-{n}", **columns) for n in range(count)]


def begun(world: World, **asked: Any) -> int:
    """A run whose orders are laid down."""
    started = tracking.start(world.db, **asked)
    assert started.verdict == "started"
    assert started.job is not None
    while worker.fill(world.db, started.job, 2) == "more":
        pass
    return started.job


def claim(world: World, job: int, limit: int = 10) -> list[Item]:
    return worker.claim(world.db, job, ME, 10, limit)


def told(items: list[Item], what: Any = "succeeded", **more: Any) -> list[Word]:
    return [Word(one.id, what, **more) for one in items]


def job_row(world: World, job: int) -> queries.Job:
    found = queries.job(world.db, job)
    assert found is not None
    return found


def slot_of(world: World) -> SlotId:
    """The account's slot of 17:00, due and queued."""
    account(world.db, enabled=True)
    world.tick()
    world.go_to(FIVE)
    beat.dispatch(world.db, world.now, 100, 5.0, 1.0)
    return SlotId(world.value("SELECT schedule_id FROM slots"), FIVE)


def test_an_account_has_one_run_at_a_time_and_a_key_makes_one_run(world: World) -> None:
    """C56, ruling 9."""
    account(world.db)
    first = tracking.start(world.db, key="k", who="mina")
    assert tracking.start(world.db, key="k") == tracking.Started("duplicate", first.job)
    assert tracking.start(world.db, key="k", dry_run=True) == tracking.Started("key_used", first.job)
    assert tracking.start(world.db) == tracking.Started("active", first.job)
    assert tracking.start(world.db, dry_run=True).verdict == "started"
    assert tracking.start(world.db, "nobody") == tracking.Started("no_account")


def test_a_run_lays_down_what_waits_in_pieces_and_no_order_twice(world: World) -> None:
    """C42, C78, C85-C88."""
    account(world.db)
    orders(world, 5)
    order(world.db, "취소", order_status="취소요청")
    order(world.db, "elsewhere", account="other")
    job = begun(world)
    assert worker.fill(world.db, job, 100) == "over"
    assert [one.order_no for one in queries.details(world.db, job)] == [f"A-{n}" for n in range(5)]
    assert (job_row(world, job).total, job_row(world, job).filled) == (5, True)


def test_a_parcel_with_two_numbers_fails_before_anything_is_sent(world: World) -> None:
    account(world.db)
    order(world.db, "A", bundle_no="B", tracking_number="1111-2222-3333")
    order(world.db, "same", bundle_no="B2", tracking_number="111122223333")
    order(world.db, "too", bundle_no="B2", tracking_number="1111-2222-3333")
    order(world.db, "another", bundle_no="B", tracking_number="9999")
    job = begun(world)
    assert {one.order_no for one in queries.details(world.db, job, error_code="e2006")} == {"A", "another"}
    assert job_row(world, job).failed == 2


def test_an_order_is_in_one_chunk_at_a_time(world: World) -> None:
    account(world.db)
    orders(world, 3)
    job = begun(world)
    assert len(claim(world, job, 2)) == 2
    assert len(worker.claim(world.db, job, OTHER, 10, 2)) == 1
    assert claim(world, job) == []


def test_orders_of_one_parcel_are_claimed_together(world: World) -> None:
    account(world.db)
    orders(world, 2)
    order(world.db, "A-0b", bundle_no="B-0")
    job = begun(world)
    first = claim(world, job, 1)
    assert [one.order_no for one in first] == ["A-0", "A-0b"]
    words = [Word(first[0].id, "later"), Word(first[1].id, "later", wait_s=5.0)]
    worker.record(world.db, first[0].chunk, ME, words, last=True)
    assert {one.order_no for one in claim(world, job, 2)} == {"A-0", "A-0b", "A-1"}


def test_successes_mark_the_orders_and_the_run_closes_with_exact_counts(world: World) -> None:
    """C47, C80, C83, C21-C24."""
    account(world.db)
    orders(world, 3)
    job = begun(world)
    items = claim(world, job)
    words = [*told(items[:2]), Word(items[2].id, "failed", code="e2003", message="wrong carrier")]
    assert worker.record(world.db, items[0].chunk, ME, words, last=True)
    assert not worker.record(world.db, items[0].chunk, ME, words, last=True)  # a lost answer, said again
    assert worker.finish(world.db, job) == "finished"
    assert worker.finish(world.db, job) == "over"
    found = job_row(world, job)
    assert (found.status, found.reason, found.total, found.success, found.failed, found.percent) == (
        "completed", "some_failed", 3, 2, 1, 100.0,
    )  # fmt: skip
    assert queries.pending_count(world.db) == 1
    assert [(one.error_code, one.orders) for one in queries.errors(world.db, job)] == [("e2003", 1)]


def test_an_order_that_was_given_another_number_meanwhile_waits_on(world: World) -> None:
    account(world.db)
    (number,) = orders(world, 1)
    job = begun(world)
    items = claim(world, job)
    world.by_hand("UPDATE orders SET tracking_number = '555566667777' WHERE id = %s", number)
    worker.record(world.db, items[0].chunk, ME, told(items), last=True)
    assert queries.pending_count(world.db) == 1


def test_a_dead_workers_orders_are_due_again_and_its_late_words_change_nothing(world: World) -> None:
    account(world.db)
    orders(world, 2)
    job = begun(world)
    items = claim(world, job)
    ids = [one.id for one in items]
    assert worker.pass_over(world.db, items[0].chunk, ME, "set", ids, 10) == "go"
    assert worker.reap(world.db) == 0
    world.advance(11)
    assert worker.reap(world.db) == 1
    again = worker.claim(world.db, job, OTHER, 10, 10)
    assert [(one.id, one.exposed, one.tries) for one in again] == [(one, True, 1) for one in ids]
    assert not worker.record(world.db, items[0].chunk, ME, told(items), last=True)
    assert worker.pass_over(world.db, items[0].chunk, ME, "set", ids, 10) == "fenced"
    assert job_row(world, job).success == 0


def test_a_worker_whose_lease_ended_cannot_pass_the_point_of_no_return(world: World) -> None:
    account(world.db)
    orders(world, 1)
    job = begun(world)
    items = claim(world, job)
    world.advance(11)
    assert worker.pass_over(world.db, items[0].chunk, ME, "set", [items[0].id], 10) == "fenced"


def test_orders_that_only_kill_their_workers_end_as_poison(world: World) -> None:
    account(world.db)
    orders(world, 1)
    job = begun(world)
    for _ in range(9):
        assert claim(world, job)
        world.advance(11)
        assert worker.reap(world.db) == 1
    assert claim(world, job) == []
    assert worker.finish(world.db, job) == "finished"
    assert [(one.state, one.error_code) for one in queries.details(world.db, job)] == [("failed", "poison")]


def test_a_try_again_waits_its_seconds(world: World) -> None:
    """C44, C81."""
    account(world.db)
    orders(world, 1)
    job = begun(world)
    items = claim(world, job)
    worker.record(world.db, items[0].chunk, ME, told(items, "later", wait_s=4.0), last=True)
    world.advance(3.9)
    assert claim(world, job) == []
    world.advance(0.2)
    assert len(claim(world, job)) == 1


def test_a_cancelled_run_says_what_was_done_and_its_orders_wait_on(world: World) -> None:
    account(world.db)
    orders(world, 4)
    job = begun(world)
    items = claim(world, job, 2)
    assert tracking.cancel(world.db, job, who="mina") == "cancelled"
    assert claim(world, job) == []
    assert worker.finish(world.db, job) == "open"  # a request is under way
    worker.record(world.db, items[0].chunk, ME, told(items), last=True)
    assert worker.finish(world.db, job) == "finished"
    found = job_row(world, job)
    assert (found.status, found.reason, found.success, found.skipped) == ("failed", "cancelled", 2, 2)
    assert found.error_message == "cancelled by mina: 2 uploaded, 0 failed, 2 not done, of 4"
    assert tracking.cancel(world.db, job, who="mina") == "over"
    assert tracking.cancel(world.db, 99, who="mina") == "gone"
    assert queries.pending_count(world.db) == 2


def test_a_redrive_takes_up_what_a_run_left_by_error_group(world: World) -> None:
    account(world.db)
    orders(world, 3)
    job = begun(world)
    items = claim(world, job)
    words = [Word(one.id, "failed", code=code) for one, code in zip(items, ("e1", "e1", "e2"), strict=True)]
    worker.record(world.db, items[0].chunk, ME, words, last=True)
    assert tracking.redrive(world.db, job).verdict == "active"
    worker.finish(world.db, job)
    again = tracking.redrive(world.db, job, "e1", who="mina")
    assert again.job is not None
    while worker.fill(world.db, again.job, 1) == "more":
        pass
    assert [one.order_no for one in queries.details(world.db, again.job)] == ["A-0", "A-1"]
    assert tracking.redrive(world.db, job, "e9") == tracking.Started("nothing", job)
    assert tracking.redrive(world.db, 99) == tracking.Started("gone")


def conflict(world: World) -> tuple[int, int]:
    """A run that met another number; answers run and detail."""
    job = begun(world)
    items = claim(world, job)
    evidence = {"theirs": {"carrier": "5", "number": "777"}}
    worker.record(
        world.db, items[0].chunk, ME, told(items, "unresolved", code="conflict", evidence=evidence), last=True
    )
    worker.finish(world.db, job)
    return job, items[0].id


def test_a_person_keeps_their_number(world: World) -> None:
    account(world.db)
    orders(world, 1)
    job, detail = conflict(world)
    (found,) = queries.conflicts(world.db)
    assert (found.our_number, found.their_number, found.their_carrier) == ("123456789012", "777", "5")
    assert tracking.keep_theirs(world.db, detail, who="mina") == "kept"
    assert tracking.keep_theirs(world.db, detail, who="mina") == "no_conflict"
    assert queries.conflicts(world.db) == []
    assert queries.pending_count(world.db) == 0
    assert (job_row(world, job).failed, job_row(world, job).skipped) == (0, 1)


def test_a_person_uses_our_number_by_a_run_of_its_own(world: World) -> None:
    account(world.db)
    orders(world, 1)
    job, detail = conflict(world)
    started = tracking.use_ours(world.db, [detail], who="mina")
    assert started.job is not None
    worker.fill(world.db, started.job, 10)
    (item,) = claim(world, started.job)
    assert item.overwrite
    assert job_row(world, started.job).redrive_of == job
    assert tracking.use_ours(world.db, [99], who="mina").verdict == "gone"


def test_a_callback_only_says_when_to_look(world: World) -> None:
    account(world.db)
    orders(world, 1)
    job = begun(world)
    items = claim(world, job)
    ids = [one.id for one in items]
    worker.pass_over(world.db, items[0].chunk, ME, "send", ids, 10)
    worker.works_begun(world.db, items[0].chunk, ["W1"], ids)
    worker.record(world.db, items[0].chunk, ME, told(items, "later", step="confirm", wait_s=60.0), last=True)
    assert tracking.heard(world.db, "W9", "succeeded") == 0
    assert claim(world, job) == []
    assert tracking.heard(world.db, "W1", "failed", ["로그인 실패"]) == 1
    (item,) = claim(world, job)
    assert item.sends == 1
    word = Word(item.id, "unresolved", code="send_unconfirmed", message="nobody saw it")
    worker.record(world.db, item.chunk, ME, [word], last=True)
    (left,) = queries.errors(world.db, job)
    assert left.message == "nobody saw it: PlayAuto said: 로그인 실패"


def test_a_slot_begins_one_run_and_ends_as_it_does(world: World) -> None:
    """C51, C77."""
    slot = slot_of(world)
    orders(world, 1)
    opened = worker.open_slot(world.db, slot, ME, 60)
    assert opened.verdict == "started"
    assert worker.open_slot(world.db, slot, OTHER, 60).verdict == "running"
    assert opened.job is not None
    worker.fill(world.db, opened.job, 10)
    items = claim(world, opened.job)
    worker.record(world.db, items[0].chunk, ME, told(items), last=True)
    assert worker.finish(world.db, opened.job) == "finished"
    assert world.rows("SELECT state, reason FROM slots") == [{"state": "delivered", "reason": "done"}]
    assert worker.open_slot(world.db, slot, ME, 60).verdict == "over"
    found = queries.job_of_slot(world.db, slot)
    assert found is not None
    assert (found.id, found.job_type) == (opened.job, "scheduled")
    assert audit(world.db).ok


def test_a_slot_whose_workers_are_gone_is_told_of_again_and_resumes_its_run(world: World) -> None:
    slot = slot_of(world)
    orders(world, 1)
    opened = worker.open_slot(world.db, slot, ME, 60)
    worker.renew(world.db, [], ME, 10, 90)
    world.advance(91)
    beat.reap(world.db, 10)
    assert world.value("SELECT state FROM slots") == "queued"
    assert worker.due_slots(world.db) == [slot]
    assert worker.open_slot(world.db, slot, OTHER, 60) == worker.Opened("resumed", opened.job, 0.0)


def test_a_slot_waits_while_another_run_of_the_account_is_on(world: World) -> None:
    slot = slot_of(world)
    by_hand = tracking.start(world.db)
    assert worker.open_slot(world.db, slot, ME, 60) == worker.Opened("active", by_hand.job, 0.0)
    assert world.value("SELECT state FROM slots") == "queued"


def test_a_run_without_orders_ends_at_once_and_says_so(world: World) -> None:
    slot = slot_of(world)
    opened = worker.open_slot(world.db, slot, ME, 60)
    assert opened.job is not None
    worker.fill(world.db, opened.job, 10)
    assert worker.finish(world.db, opened.job) == "finished"
    assert (job_row(world, opened.job).status, job_row(world, opened.job).reason) == (
        "completed", "nothing_pending",
    )  # fmt: skip
    ended = {"state": "skipped", "reason": "nothing_pending"}
    assert world.rows("SELECT state, reason FROM slots") == [ended]


def test_why_names_what_stands_in_the_way(world: World) -> None:
    """C91, C92."""
    assert queries.why(world.db).hindrances == ["no_account"]
    account(world.db)
    assert queries.why(world.db).hindrances == ["disabled", "nothing_pending"]
    orders(world, 1)
    job = begun(world)
    claim(world, job)
    told_ = queries.why(world.db)
    assert (told_.hindrances, told_.pending, told_.held_chunks) == (["disabled", "active_run"], 1, 1)
    assert told_.account is not None
    assert told_.account.active_job == job
    assert [one.id for one in queries.recent_jobs(world.db)] == [job]
