"""What keeps an upload from doing something twice, or for an order that has changed meanwhile."""

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
from tests.support import databases
from tests.support.ledger_time import this_tuesday
from tests.support.tracking import account, order
from tests.support.world import World

ME = uuid4()


@pytest.fixture
def world(ledger_url: str, ledger_env: dict[str, str]) -> Iterator[World]:
    with databases.connect(ledger_url) as connection:
        made = World(connection, this_tuesday(17) - dt.timedelta(minutes=10))
        account(connection)
        yield made


def laid(world: World, **asked: Any) -> int:
    started = tracking.start(world.db, **asked)
    assert started.verdict == "started"
    assert started.job is not None
    while worker.fill(world.db, started.job, 100) == "more":
        pass
    return started.job


def claim(world: World, job: int) -> list[Item]:
    return worker.claim(world.db, job, ME, 10, 10)


def sent(world: World, job: int) -> list[Item]:
    """Passed on, and not confirmed yet."""
    items = claim(world, job)
    assert worker.pass_over(world.db, items[0].chunk, ME, "send", [one.id for one in items], 10) == "go"
    words = [Word(one.id, "later", "stored", "confirm", 1.0) for one in items]
    assert worker.record(world.db, items[0].chunk, ME, words, last=True)
    return items


def ended(world: World, job: int) -> list[tuple[str | None, str, str | None]]:
    return [(one.order_no, one.state, one.error_code) for one in queries.details(world.db, job)]


CHANGES = [
    ("order_status = '취소완료'", "withdrawn"),
    ("tracking_number = ''", "withdrawn"),
    ("playauto_uploaded = 1", "withdrawn"),
    ("account = 'other'", "withdrawn"),
    ("tracking_number = '999999999999'", "changed"),
    ("carrier_code = '5'", "changed"),
    ("bundle_no = 'B-9'", "changed"),
]


@pytest.mark.parametrize(("change", "code"), CHANGES)
def test_an_order_that_was_changed_after_it_was_laid_down_is_left_out(
    world: World, change: str, code: str
) -> None:
    """C88."""
    order(world.db, "A-1", bundle_no="B-1")
    order(world.db, "A-2", bundle_no="B-2")
    job = laid(world)
    world.db.execute(f"UPDATE orders SET {change} WHERE order_no = 'A-1'".encode())
    assert [one.order_no for one in claim(world, job)] == ["A-2"]
    assert ended(world, job) == [("A-1", "skipped", code), ("A-2", "leased", None)]


def test_an_order_whose_number_was_only_written_otherwise_is_taken(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1", tracking_number="1234-5678-9012")
    job = laid(world)
    world.db.execute("UPDATE orders SET tracking_number = ' 123456789012'")
    assert [one.order_no for one in claim(world, job)] == ["A-1"]


def test_a_run_of_orders_that_were_all_changed_ends(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    job = laid(world)
    world.db.execute("DELETE FROM orders")
    assert claim(world, job) == []
    assert worker.finish(world.db, job) == "finished"
    one = queries.job(world.db, job)
    assert one is not None
    assert (one.total, one.skipped) == (1, 1)


def test_a_parcel_is_one_however_its_number_is_padded(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    order(world.db, "A-2", bundle_no="B-1 ")
    job = laid(world)
    assert {one.bundle_no for one in worker.claim(world.db, job, ME, 10, 1)} == {"B-1"}
    assert claim(world, job) == []


def test_a_dry_run_in_between_forgets_no_sending(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    first = laid(world)
    dry = laid(world, dry_run=True)
    sent(world, first)
    tracking.cancel(world.db, first, who="mina")
    assert worker.finish(world.db, first) == "finished"
    assert claim(world, dry)[0].sends == 0
    assert claim(world, laid(world))[0].sends == 1


def test_a_number_that_was_only_hyphenated_keeps_its_sendings(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    first = laid(world)
    sent(world, first)
    tracking.cancel(world.db, first, who="mina")
    worker.finish(world.db, first)
    world.db.execute("UPDATE orders SET tracking_number = '1234-5678-9012'")
    assert claim(world, laid(world))[0].sends == 1


def test_an_account_that_was_deleted_and_made_again_has_no_second_run(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    job = laid(world)
    world.db.execute("DELETE FROM tracking_upload_scheduler")
    account(world.db)
    assert tracking.start(world.db) == tracking.Started("active", job)
    assert tracking.start(world.db, dry_run=True).verdict == "started"


def test_two_accounts_of_the_settings_login_run_one_after_the_other(world: World) -> None:
    account(world.db, "second")
    account(world.db, "third", credentials=b"sealed")
    job = laid(world)
    assert tracking.start(world.db, "second") == tracking.Started("active", job)
    assert tracking.start(world.db, "third").verdict == "started"


def test_a_clock_that_steps_ahead_is_no_time_in_which_a_number_was_passed_on(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    job = laid(world)
    sent(world, job)
    world.advance(3600)
    beat.record_jump(world.db, 3600.0)
    world.advance(2)
    (item,) = claim(world, job)
    assert item.sent_s is not None
    assert item.sent_s < 10
    assert item.stored_s is not None
    assert item.stored_s < 10


def test_instructions_in_doubt_are_counted_and_numbers_in_doubt_are_not(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    job = laid(world)
    for step, misses in (("instruct", 1), ("instruct", 2), ("set", 0)):
        (item,) = claim(world, job)
        assert worker.pass_over(world.db, item.chunk, ME, step, [item.id], 10) == "go"
        assert worker.record(world.db, item.chunk, ME, [Word(item.id, "later", "doubt")], last=True)
        (row,) = world.db.execute("SELECT misses FROM tracking_upload_details").fetchall()
        assert row == (misses,)


def test_deaths_of_workers_and_silences_of_playauto_are_counted_apart(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    job = laid(world)
    for _ in range(8):
        (item,) = claim(world, job)
        worker.record(world.db, item.chunk, ME, [Word(item.id, "later", "miss")], last=True)
    claim(world, job)
    world.advance(11)
    assert worker.reap(world.db) == 1
    assert ended(world, job) == [("A-1", "pending", None)]


def test_a_dry_run_left_nothing_to_take_up(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    job = laid(world, dry_run=True)
    (item,) = claim(world, job)
    worker.record(world.db, item.chunk, ME, [Word(item.id, "skipped", code="would_upload")], last=True)
    worker.finish(world.db, job)
    assert tracking.redrive(world.db, job).verdict == "nothing"


def test_conflicts_are_decided_all_or_none_and_only_while_they_stand(world: World) -> None:
    order(world.db, "A-1", bundle_no="B-1")
    order(world.db, "A-2", bundle_no="B-2")
    job = laid(world)
    first, second = claim(world, job)
    words = [Word(first.id, "unresolved", code="conflict"), Word(second.id, "failed", code="e2005")]
    worker.record(world.db, first.chunk, ME, words, last=True)
    worker.finish(world.db, job)
    dry = laid(world, dry_run=True)
    assert dry
    assert [one.detail_id for one in queries.conflicts(world.db)] == [first.id]
    assert tracking.use_ours(world.db, [first.id, second.id], who="mina").verdict == "gone"
    world.db.execute("UPDATE orders SET tracking_number = '999999999999' WHERE order_no = 'A-1'")
    assert tracking.keep_theirs(world.db, first.id, who="mina") == "changed"
