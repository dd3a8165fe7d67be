"""The ledger's weeks: made ahead, dropped past retention, never while a slot in them still matters."""

from __future__ import annotations

import datetime as dt

import psycopg
import pytest

from models.ledger import beat, people
from tests.support.ledger_time import SEOUL, LedgerTime
from tests.support.ledger_world import World


@pytest.fixture
def own(pg: psycopg.Connection) -> World:
    """A world in a database of the test's own: tables come and go here."""
    world = World(pg, LedgerTime(pg))
    world.room()
    return world


def weeks(world: World, parent: str = "slots") -> list[str]:
    rows = world.rows(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass ORDER BY c.relname",
        parent,
    )
    return [row["relname"] for row in rows]


def week(parent: str, at: dt.datetime) -> str:
    year, number, _ = at.astimezone(SEOUL).isocalendar()
    return f"{parent}_{year}w{number:02}"


def test_weeks_stand_three_ahead_for_every_ledger_table(own: World) -> None:
    for parent in ("slots", "parts", "attempts", "slot_log"):
        made = weeks(own, parent)
        for ahead in range(-1, 4):
            assert week(parent, own.time.now + dt.timedelta(weeks=ahead)) in made


def test_making_weeks_again_makes_none_and_a_week_later_one_more_each(own: World) -> None:
    assert beat.ensure_partitions(own.db, 90) == 0
    own.time.advance(7 * 86400)
    assert beat.ensure_partitions(own.db, 90) == 4


def test_a_week_begins_on_monday_at_midnight_in_seoul(own: World) -> None:
    monday = (own.time.now - dt.timedelta(days=1)).astimezone(SEOUL).replace(hour=0)
    schedule = own.schedule()
    before = own.plan(schedule, in_s=(monday - own.time.now).total_seconds() - 0.001)
    after = own.plan(schedule, in_s=(monday - own.time.now).total_seconds())
    found = own.rows("SELECT slot_at, tableoid::regclass::text AS week FROM slots ORDER BY slot_at")
    assert [row["week"] for row in found] == [week("slots", before.slot_at), week("slots", after.slot_at)]
    assert found[0]["week"] != found[1]["week"]


def test_after_a_long_outage_the_weeks_back_to_the_oldest_cursor_are_made(own: World) -> None:
    own.schedule()
    own.db.execute("UPDATE schedule_clock SET planned_to = ledger_now() - interval '30 days'")
    assert beat.ensure_partitions(own.db, 90) > 0
    assert week("slots", own.time.now - dt.timedelta(days=30)) in weeks(own)


def test_a_cursor_older_than_retention_brings_no_week_back(own: World) -> None:
    own.schedule()
    own.db.execute("UPDATE schedule_clock SET planned_to = ledger_now() - interval '300 days'")
    beat.ensure_partitions(own.db, 90)
    assert week("slots", own.time.now - dt.timedelta(days=120)) not in weeks(own)


def test_an_old_week_is_dropped_with_its_parts_and_attempts(own: World) -> None:
    slot = own.unresolved(own.schedule())
    people.resolve(own.db, slot.slot, True, "홍길동")
    old = week("slots", own.time.now)
    own.time.advance(98 * 86400)
    beat.ensure_partitions(own.db, 90)
    dropped = beat.drop_old_partitions(own.db, 90, 30)
    suffix = old.removeprefix("slots_")
    assert {f"{parent}_{suffix}" for parent in ("slots", "parts", "attempts", "slot_log")} <= set(dropped)
    assert own.value("SELECT count(*) FROM slots") == 0
    assert beat.drop_old_partitions(own.db, 90, 30) == []


def test_the_log_goes_before_the_ledger(own: World) -> None:
    own.time.advance(45 * 86400)
    beat.ensure_partitions(own.db, 90)
    dropped = beat.drop_old_partitions(own.db, 90, 30)
    assert dropped
    assert all(name.startswith("slot_log_") for name in dropped)


@pytest.mark.parametrize("stage", ["live", "unresolved"])
def test_a_week_with_a_slot_that_still_matters_is_never_dropped(own: World, stage: str) -> None:
    schedule = own.schedule()
    slot = own.queued(schedule) if stage == "live" else own.unresolved(schedule).slot
    old = week("slots", own.time.now)
    own.time.advance(120 * 86400)
    beat.ensure_partitions(own.db, 90)
    assert old not in beat.drop_old_partitions(own.db, 90, 30)
    assert own.slot(slot)
    if stage == "live":
        people.cancel(own.db, slot, "홍길동")
    else:
        people.resolve(own.db, slot, False, "홍길동")
    assert old in beat.drop_old_partitions(own.db, 90, 30)
