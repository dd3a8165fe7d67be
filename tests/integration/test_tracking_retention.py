"""Old orders and runs go in bites; nothing that waits for an upload or for a person ever does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from beat.upkeep import Upkeep
from models.ledger.retention import prune_tracking
from runtime.settings import get_settings
from tests.support.ledger_world import World
from tests.support.tracking import account, job, order

DAYS = get_settings().order_days
OLD = dt.timedelta(days=DAYS + 1)


def aged(world: World, number: str, age: dt.timedelta = OLD, **columns: Any) -> int:
    """An order that nobody has touched since."""
    at = world.time.now - age
    return order(world.db, number, created_at=at, updated_at=at, **columns)


def run(world: World, scheduler: int, age: dt.timedelta = OLD, **columns: Any) -> int:
    """A run that ended then."""
    return job(world.db, scheduler, status="completed", completed_at=world.time.now - age, **columns)


def detail(world: World, run: int, order_id: int, **columns: Any) -> None:
    row = {"job_id": run, "order_id": order_id, "state": "succeeded", "ended_at": world.time.now} | columns
    marks = ", ".join(["%s"] * len(row))
    world.db.execute(
        f"INSERT INTO tracking_upload_details ({', '.join(row)}) VALUES ({marks})".encode(),
        list(row.values()),
    )


def left(world: World) -> set[str]:
    return {one["order_no"] for one in world.rows("SELECT order_no FROM orders")}


def test_an_order_goes_once_it_waits_for_nothing_and_is_old(world: World) -> None:
    aged(world, "uploaded", playauto_uploaded=1)
    aged(world, "cancelled", order_status="취소완료")
    aged(world, "no number", tracking_number=None)
    Upkeep(get_settings()).once(world.db)
    assert left(world) == set()


def test_what_waits_stays_however_old_it_is(world: World) -> None:
    aged(world, "waits", dt.timedelta(days=900))
    aged(world, "no code", dt.timedelta(days=900), carrier_code=None, carrier_name="새택배")
    aged(world, "young", dt.timedelta(days=DAYS - 1), playauto_uploaded=1)
    touched = aged(world, "touched", playauto_uploaded=1)
    world.db.execute("UPDATE orders SET updated_at = ledger_now() WHERE id = %s", (touched,))
    scheduler = account(world.db)
    held = aged(world, "under way", playauto_uploaded=1)
    detail(world, job(world.db, scheduler), held, state="pending", ended_at=None)
    Upkeep(get_settings()).once(world.db)
    assert left(world) == {"waits", "no code", "young", "touched", "under way"}


def test_an_old_run_goes_with_its_record_and_an_accounts_last_run_stays(world: World) -> None:
    scheduler = account(world.db)
    kept = aged(world, "A-1", dt.timedelta(0), playauto_uploaded=1)
    first, last = run(world, scheduler), run(world, scheduler)
    detail(world, first, kept)
    detail(world, last, kept)
    young = run(world, account(world.db, "brand"), dt.timedelta(days=DAYS - 1))
    detail(world, young, kept)
    for _ in range(2):
        Upkeep(get_settings()).once(world.db)
    assert [one["id"] for one in world.rows("SELECT id FROM tracking_upload_jobs ORDER BY id")] == [
        last,
        young,
    ]
    assert [one["job_id"] for one in world.rows("SELECT job_id FROM tracking_upload_details")] == [young]


def test_a_conflict_that_nobody_has_decided_stays_with_its_run(world: World) -> None:
    scheduler = account(world.db)
    old, _ = run(world, scheduler), run(world, scheduler)
    detail(world, old, aged(world, "open"), state="unresolved", error_code="conflict")
    detail(world, old, aged(world, "decided", playauto_uploaded=1), state="unresolved", error_code="conflict")
    for _ in range(2):
        Upkeep(get_settings()).once(world.db)
    assert world.value("SELECT count(*) FROM tracking_upload_details") == 1
    assert world.value("SELECT count(*) FROM tracking_upload_jobs WHERE id = %s", old) == 1


def test_a_run_that_another_takes_up_again_stays_until_that_one_goes(world: World) -> None:
    scheduler = account(world.db)
    first = run(world, scheduler)
    second = run(world, scheduler, redrive_of=first)
    run(world, scheduler, dt.timedelta(0))
    prune_tracking(world.db, DAYS, DAYS)
    assert world.value("SELECT count(*) FROM tracking_upload_jobs WHERE id = %s", first) == 1
    assert world.value("SELECT count(*) FROM tracking_upload_jobs WHERE id = %s", second) == 0
    prune_tracking(world.db, DAYS, DAYS)
    assert world.value("SELECT count(*) FROM tracking_upload_jobs WHERE id = %s", first) == 0


@pytest.mark.parametrize("limit", [1, 3])
def test_it_goes_in_bites(world: World, limit: int) -> None:
    scheduler = account(world.db)
    old, _ = run(world, scheduler), run(world, scheduler)
    for n in range(5):
        detail(world, old, aged(world, f"A-{n}", playauto_uploaded=1))
    assert prune_tracking(world.db, DAYS, DAYS, limit=limit) == 2 * limit
    assert len(left(world)) == 5 - limit
