"""The beat keeps the small tables small, and leaves alone what the audit reads."""

from __future__ import annotations

import datetime as dt

from beat.upkeep import Upkeep
from runtime.events import Event, captured
from runtime.settings import get_settings
from tests.support.ledger_world import World

DAYS = get_settings().ledger_days


def incident(world: World, days_ago: float, **columns: object) -> None:
    row = {"at": world.time.now - dt.timedelta(days=days_ago), "kind": "test", **columns}
    marks = ", ".join(["%s"] * len(row))
    world.db.execute(
        f"INSERT INTO incidents ({', '.join(row)}) VALUES ({marks})".encode(), list(row.values())
    )


def quota(world: World, days_ago: int) -> None:
    world.db.execute(
        "INSERT INTO room_quota SELECT id, korean_day(ledger_now()) - %s, 3 FROM rooms", (days_ago,)
    )


def test_quota_counts_past_retention_go_and_younger_ones_stay(world: World) -> None:
    world.room("강남")
    for days in (0, DAYS, DAYS + 1, 400):
        quota(world, days)
    with captured() as told:
        Upkeep(get_settings()).once(world.db)
    assert world.value("SELECT count(*) FROM room_quota") == 2
    assert [fields["count"] for event, fields in told if event is Event.ROWS_PRUNED] == [2]


def test_incidents_past_retention_go_unless_their_range_or_their_slot_is_still_there(world: World) -> None:
    world.room("강남")
    slot = world.plan(world.schedule("강남"))
    incident(world, 1)
    incident(world, DAYS + 6)  # its week may still stand
    incident(world, 400, range_to=world.time.now)
    incident(world, 400, schedule_id=slot.schedule_id, slot_at=slot.slot_at)
    incident(world, DAYS + 8)
    incident(world, 400, range_to=world.time.now - dt.timedelta(days=399))
    Upkeep(get_settings()).once(world.db)
    assert world.value("SELECT count(*) FROM incidents") == 4


def test_counts_of_a_schedule_that_is_gone_go_and_history_stays(world: World) -> None:
    world.room("강남")
    schedule = world.schedule("강남")
    world.db.execute("INSERT INTO schedule_dirty VALUES (987654, 1, now()), (%s, 1, now())", (schedule,))
    world.time.advance(400 * 86_400)
    Upkeep(get_settings()).once(world.db)
    assert world.value("SELECT count(*) FROM schedule_dirty WHERE schedule_id = 987654") == 0
    assert world.value("SELECT count(*) FROM schedule_dirty WHERE schedule_id = %s", schedule) >= 1
    assert world.value("SELECT count(*) FROM kb_schedule_history WHERE schedule_id = %s", schedule) == 1
