from __future__ import annotations

import datetime as dt

import psycopg
import pytest

from models import queries
from models.states import SlotState
from tests.support.world import World

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def world(pg: psycopg.Connection) -> World:
    made = World(pg)
    made.room("방1")
    made.room("방2", gap_ms=0)
    return made


def test_one_slot_is_shown_with_its_parts_attempts_and_moves(world: World) -> None:
    slot = world.once("방2", title="장부 확인")
    world.go_to(slot)
    world.deliver(slot, "하나", "둘")

    detail = queries.slot_detail(world.db, slot)

    assert detail is not None
    assert (detail.slot.title, detail.slot.room, detail.slot.state) == ("장부 확인", "방2", "delivered")
    assert [(part.body, part.state) for part in detail.parts] == [("하나", "accepted"), ("둘", "accepted")]
    assert [attempt.outcome for attempt in detail.attempts] == ["accepted", "accepted"]
    assert [(move.old, move.new) for move in detail.log] == [
        ("planned", "queued"), ("queued", "leased"), ("leased", "delivered"),
    ]  # fmt: skip
    assert detail.slot.waited_ms == 0
    assert detail.slot.lateness_ms is not None
    assert 0 < detail.slot.lateness_ms < 50


def test_slots_are_found_by_state_room_schedule_and_time(world: World) -> None:
    first, second = world.once("방1", in_s=10), world.once("방2", in_s=20)
    world.go_to(first)
    world.deliver(first)

    def ids(**filters: object) -> list[object]:
        return [row.id for row in queries.slots(world.db, **filters)]  # type: ignore[arg-type]

    assert ids() == [first, second]
    assert ids(newest_first=True, limit=1) == [second]
    assert ids(states=[SlotState.DELIVERED]) == [first]
    assert ids(room="방2") == [second]
    assert ids(schedule_id=first.schedule_id) == [first]
    assert ids(start=second.slot_at) == [second]
    assert ids(end=second.slot_at) == [first]
    assert ids(unresolved=True) == []


def test_the_live_table_counts_parts_and_tells_lateness(world: World) -> None:
    slot, later = world.once("방2", in_s=10), world.once("방1", in_s=20)
    world.go_to(slot)
    world.deliver(slot, "하나", "둘")

    rows = queries.live_rows(world.db, slot.slot_at - HOUR, slot.slot_at + HOUR)

    assert [row.id for row in rows] == [later, slot]
    assert [(row.parts_done, row.parts_total, row.state) for row in rows] == [
        (0, 0, "planned"),
        (2, 2, "delivered"),
    ]
    assert rows[0].lateness_ms is None
    assert rows[1].lateness_ms == pytest.approx(2.0)
    assert rows[1].room_name == "방2"


def test_counts_and_percentiles_and_ticks(world: World) -> None:
    assert queries.lateness(world.db).as_json() == {"p50": None, "p95": None, "p99": None, "max": None}
    assert queries.last_tick(world.db) is None
    slot = world.once("방1")
    world.go_to(slot)
    world.deliver(slot)

    assert queries.state_counts(world.db)[SlotState.DELIVERED] == 1
    assert queries.state_counts(world.db)[SlotState.FAILED] == 0
    assert queries.lateness(world.db).as_json() == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
    assert queries.last_tick(world.db) == slot.slot_at
    assert [tick.node for tick in queries.ticks(world.db)] == ["beat-1"]
    world.advance(3600)
    world.tick()
    assert [incident.kind for incident in queries.incidents(world.db)] == ["scheduler_down"]


def test_schedules_and_rooms_are_listed_with_what_is_used(world: World) -> None:
    slot = world.once("방1", title="한 번")
    world.daily("방2", at="12:00")
    world.go_to(slot)
    world.deliver(slot)

    assert [(row.title, row.schedule_type) for row in queries.schedules(world.db)] == [
        ("한 번", "once"), ("정각 알림", "daily"),
    ]  # fmt: skip
    assert [row.room for row in queries.schedules(world.db, room="방2")] == ["방2"]
    assert [(row.room_id, row.used_today) for row in queries.rooms(world.db)] == [("방1", 1), ("방2", 0)]
    world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (slot.schedule_id,))
    assert len(queries.schedules(world.db)) == 1
    assert len(queries.schedules(world.db, deleted=True)) == 2
    found = queries.find_schedule(world.db, slot.schedule_id)
    assert found is not None
    assert found.deleted_at is not None
