"""The planner on a real ledger: raw SQL and ORM alike, many planners, rows that others hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from beat.planning import PlanReport, plan
from models.ledger import beat as ledger
from models.tables import Schedule
from runtime import database
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.ledger_time import LedgerTime
from tests.support.ledger_world import World
from tests.support.waiting import eventually

HOURS = timedelta(hours=1)


@pytest.fixture
def world(pg: psycopg.Connection, env: dict[str, str]) -> World:
    """A ledger that stands at 08:50 of a Tuesday, with one room."""
    world = World(pg, LedgerTime(pg))
    world.time.advance(-600)
    world.room()
    return world


@pytest.fixture
def db(world: World) -> Iterator[ledger.Connection]:
    """A beat's own session."""
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


def planned(db: ledger.Connection, world: World) -> PlanReport:
    return plan(db, get_settings(), world.time.now)


def slots(world: World, schedule: int) -> list[tuple[str, str]]:
    rows = world.rows(
        "SELECT to_char(slot_at, 'HH24:MI') AS at, state FROM slots WHERE schedule_id = %s ORDER BY slot_at",
        schedule,
    )
    return [(row["at"], row["state"]) for row in rows]


def test_a_schedule_by_raw_sql_is_planned_at_the_next_tick(db: ledger.Connection, world: World) -> None:
    schedule = world.schedule(schedule_type="regular")
    assert planned(db, world).slots == 1
    assert slots(world, schedule) == [("09:00", "planned")]
    assert planned(db, world).schedules == 0


def test_a_schedule_by_orm_is_planned_just_the_same(db: ledger.Connection, world: World) -> None:
    with Session(database.engine()) as session:
        row = Schedule(
            title="정각 알림", target_room_id="방1", target_room_type="test", message_text="안녕하세요",
            send_order="text_only", schedule_type="regular", valid_from=datetime(2020, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        session.add(row)
        session.commit()
        schedule = row.id
    planned(db, world)
    assert slots(world, schedule) == [("09:00", "planned")]


@pytest.mark.parametrize("way", ["sql", "orm"])
def test_an_edit_takes_effect_at_the_next_tick(db: ledger.Connection, world: World, way: str) -> None:
    schedule = world.schedule(schedule_type="regular")
    planned(db, world)
    edit(world, schedule, way, schedule_type="peak", peak_hours="8")
    planned(db, world)
    assert slots(world, schedule) == []
    edit(world, schedule, way, schedule_type="regular", peak_hours=None)
    planned(db, world)
    assert slots(world, schedule) == [("09:00", "planned")]


def edit(world: World, schedule: int, way: str, **columns: str | None) -> None:
    """An UPDATE by raw SQL or by ORM."""
    if way == "sql":
        world.edit(schedule, **columns)
        return
    with Session(database.engine()) as session:
        row = session.get(Schedule, schedule)
        for name, value in columns.items():
            setattr(row, name, value)
        session.commit()


def test_a_slot_that_was_due_at_an_edit_stays_although_the_new_rule_has_it_not(
    db: ledger.Connection, world: World
) -> None:
    schedule = world.schedule(schedule_type="regular")
    world.time.advance(601)  # 09:00:01, and no beat was alive since 08:50
    world.edit(schedule, schedule_type="daily", schedule_time="23:00")
    planned(db, world)
    assert slots(world, schedule) == [("09:00", "planned")]


def test_a_pause_calls_off_a_due_slot_that_had_no_row_yet(db: ledger.Connection, world: World) -> None:
    schedule = world.schedule(schedule_type="regular")
    world.time.advance(601)
    world.edit(schedule, status="inactive")
    world.time.advance(1)
    planned(db, world)
    assert slots(world, schedule) == [("09:00", "cancelled")]
    assert world.value("SELECT reason FROM slots WHERE schedule_id = %s", schedule) == "paused"


def test_missed_slots_are_laid_down_as_expired(db: ledger.Connection, world: World) -> None:
    schedule = world.schedule(schedule_type="regular")
    world.time.advance(2 * 3600)  # 10:50
    planned(db, world)
    assert slots(world, schedule) == [
        ("09:00", "expired"), ("09:30", "expired"), ("10:00", "expired"), ("10:30", "expired"),
        ("11:00", "planned"),
    ]  # fmt: skip
    reasons = world.rows("SELECT DISTINCT reason FROM slots WHERE state = 'expired'")
    assert [row["reason"] for row in reasons] == ["scheduler_down"]


def test_too_many_missed_slots_become_one_incident(
    db: ledger.Connection, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = world.schedule(schedule_type="cron", cron_expr="* * * * *")
    monkeypatch.setenv("JEONGSI_CATCH_UP_MAX", "5")
    get_settings.cache_clear()
    world.time.advance(2 * 3600)
    planned(db, world)
    row = world.row("SELECT * FROM incidents")
    assert row["kind"] == "slots_not_laid_down"
    assert row["schedule_id"] == schedule
    states = [state for _, state in slots(world, schedule)]
    missing = (row["range_to"] - row["range_from"]) // timedelta(minutes=1) + 1
    assert len(states) + missing == 120 + 15 + 1  # 08:50 to 11:05, every minute accounted for
    planned(db, world)
    assert world.incidents() == ["slots_not_laid_down"]


def test_four_planners_at_once_lay_each_slot_down_once(db: ledger.Connection, world: World) -> None:
    world.db.execute(
        "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, send_order,"
        " schedule_type, valid_from) SELECT 's' || n, '방1', 'test', 'hi', 'text_only', 'regular',"
        " '2020-01-01' FROM generate_series(1, 400) n"
    )
    start, reports, now = threading.Barrier(4), list[PlanReport](), world.time.now

    def one() -> None:
        with database.connect() as mine:
            mine.autocommit = True
            start.wait()
            reports.append(plan(mine, get_settings(), now))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.slots for report in reports) == 400
    assert world.value("SELECT count(*) FROM slots") == 400
    assert world.value("SELECT count(*) FROM schedule_clock WHERE planned_to <= %s", now + HOURS / 4) == 0


def test_a_schedule_that_no_rule_can_read_becomes_an_error_and_stops_nobody(
    db: ledger.Connection, world: World
) -> None:
    broken = world.schedule(schedule_type="union", rules='[{"kind": "lunar"}]')
    foreign = world.schedule(schedule_type="regular", tz="EST5EDT4")  # Postgres reads it, the zone list not
    never = world.schedule(schedule_type="cron", cron_expr="0 9 30 2 *")
    past = world.schedule(schedule_type="once", schedule_date="2020-01-01", schedule_time="09:00")
    good = world.schedule(schedule_type="regular")
    assert planned(db, world).unreadable == 2
    rows = {
        row["id"]: (row["status"], row["error_reason"])
        for row in world.rows("SELECT id, status, error_reason FROM kb_schedule")
    }
    assert [rows[number][0] for number in (broken, foreign, never, past)] == ["error"] * 4
    assert "lunar" in rows[broken][1]
    assert "EST5EDT4" in rows[foreign][1]
    assert rows[never][1] == "never fires: no day or time matches the rule"
    assert "2020-01-01 09:00:00" in rows[past][1]
    assert rows[good] == ("active", None)
    assert slots(world, good) == [("09:00", "planned")]
    planned(db, world)
    assert planned(db, world).schedules == 0  # nobody is walked again and again


def test_a_one_off_that_was_sent_is_no_error(db: ledger.Connection, world: World) -> None:
    at = world.time.now + timedelta(minutes=5)
    schedule = world.schedule(schedule_type="once", schedule_date=at.date(), schedule_time=at.time())
    planned(db, world)
    world.time.advance(3600)
    world.edit(schedule, message_text="다른 글")
    planned(db, world)
    assert world.value("SELECT status FROM kb_schedule WHERE id = %s", schedule) == "active"


def test_a_mended_schedule_is_planned_again(db: ledger.Connection, world: World) -> None:
    schedule = world.schedule(schedule_type="union", rules='[{"kind": "lunar"}]')
    planned(db, world)
    world.edit(schedule, rules='[{"kind": "regular"}]', status="active")
    planned(db, world)
    assert slots(world, schedule) == [("09:00", "planned")]


def test_a_window_open_to_infinity_stops_nobody(db: ledger.Connection, world: World) -> None:
    endless = world.schedule(valid_from="-infinity", valid_until="infinity")
    planned(db, world)
    assert slots(world, endless) == [("09:00", "planned")]
    world.edit(endless, message_text="다른 글")
    planned(db, world)
    assert slots(world, endless) == [("09:00", "planned")]


def test_a_clock_that_somebody_holds_is_passed_over(db: ledger.Connection, world: World, db_url: str) -> None:
    held, free = world.schedule(), world.schedule()
    with psycopg.connect(db_url) as other:
        other.execute("SELECT 1 FROM schedule_clock WHERE schedule_id = %s FOR UPDATE", (held,))
        assert planned(db, world).schedules == 1
        assert slots(world, free) == [("09:00", "planned")]
        assert slots(world, held) == []
    assert planned(db, world).slots == 1


def test_one_row_that_the_database_refuses_fails_alone(db: ledger.Connection, world: World) -> None:
    bad, good = world.schedule(), world.schedule()
    world.db.execute(f"ALTER TABLE slots ADD CONSTRAINT refused CHECK (schedule_id <> {bad})".encode())
    planned(db, world)
    assert slots(world, good) == [("09:00", "planned")]
    assert slots(world, bad) == []
    world.db.execute("ALTER TABLE slots DROP CONSTRAINT refused")
    planned(db, world)
    assert slots(world, bad) == [("09:00", "planned")]


def test_a_planner_that_stands_still_gives_its_clocks_back_after_two_seconds(
    db: ledger.Connection, world: World
) -> None:
    schedule = world.schedule()
    stuck = database.connect()
    assert ledger.take_clocks(stuck, world.time.now + HOURS, 10)
    assert planned(db, world).schedules == 0
    eventually(lambda: planned(db, world).schedules == 1, 5.0)
    stuck.close()
    assert slots(world, schedule) == [("09:00", "planned")]


# -- an old text never arrives after a newer one ---------------------------------------------------


def limits(world: World, schedule: int) -> tuple[str, str, bool]:
    """start_by, finish_by and superseded of a schedule's first slot."""
    row = world.row(
        "SELECT to_char(start_by, 'HH24:MI:SS'), to_char(finish_by, 'HH24:MI:SS') AS f, superseded"
        " FROM slots WHERE schedule_id = %s ORDER BY slot_at LIMIT 1", schedule,
    )  # fmt: skip
    start_by, finish_by, superseded = row.values()
    return start_by, finish_by, superseded


def due_daily(db: ledger.Connection, world: World, **columns: Any) -> int:
    """A daily slot of 09:00 that is due and has not started: it is 09:00:10."""
    schedule = world.schedule(schedule_type="daily", schedule_time="09:00", **columns)
    planned(db, world)
    world.time.advance(610)
    return schedule


def test_a_due_slot_yields_to_the_next_one_that_an_edit_brought_closer(
    db: ledger.Connection, world: World
) -> None:
    schedule = due_daily(db, world)
    assert limits(world, schedule) == ("09:05:00", "09:30:00", False)
    world.edit(schedule, schedule_type="cron", schedule_time=None, cron_expr="4 9 * * *")
    planned(db, world)
    assert slots(world, schedule) == [("09:00", "planned"), ("09:04", "planned")]
    assert limits(world, schedule) == ("09:03:30", "09:03:30", True)
    planned(db, world)
    world.time.advance(201)
    ledger.expire(db, 10)
    assert world.value("SELECT reason FROM slots ORDER BY slot_at LIMIT 1") == "superseded"


def test_a_slot_that_yields_keeps_thirty_seconds_and_never_ends_in_the_past(
    db: ledger.Connection, world: World
) -> None:
    schedule = due_daily(db, world)
    world.edit(schedule, schedule_type="cron", schedule_time=None, cron_expr="1 9 * * *")
    planned(db, world)
    assert limits(world, schedule) == ("09:00:30", "09:00:30", True)
    other = world.schedule(schedule_type="daily", schedule_time="09:01")
    planned(db, world)
    world.time.advance(90)  # 09:01:40
    world.edit(other, schedule_type="cron", schedule_time=None, cron_expr="2 9 * * *")
    planned(db, world)
    assert limits(world, other) == ("09:01:40", "09:01:40", True)


def test_an_edit_that_brings_nothing_closer_leaves_a_due_slot_its_time(
    db: ledger.Connection, world: World
) -> None:
    schedule = due_daily(db, world)
    world.edit(schedule, message_text="새 글")
    planned(db, world)
    assert limits(world, schedule) == ("09:05:00", "09:30:00", False)


def test_a_validity_in_seconds_or_a_part_on_its_way_does_not_yield(
    db: ledger.Connection, world: World
) -> None:
    fixed = due_daily(db, world, validity_seconds=1200)
    world.edit(fixed, schedule_type="cron", schedule_time=None, cron_expr="4 9 * * *")
    planned(db, world)
    assert limits(world, fixed) == ("09:05:00", "09:20:00", False)
    world.room("방2")
    begun = world.schedule("방2", schedule_type="daily", schedule_time="09:01")
    planned(db, world)
    world.time.advance(60)
    slot = SlotId(begun, world.value("SELECT slot_at FROM slots WHERE schedule_id = %s", begun))
    assert slot in world.dispatch()
    world.go(world.take(slot))
    world.edit(begun, schedule_type="cron", schedule_time=None, cron_expr="4 9 * * *")
    planned(db, world)
    assert limits(world, begun)[1:] == ("09:31:00", False)
