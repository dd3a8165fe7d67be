"""A set of slots, one of which somebody else is changing: the command waits, and then holds all of them.

PostgreSQL 18 rechecks a row that was changed while it waited for it. Where the statement had pruned
partitions at its start, the recheck found neither that row nor any that followed, and passed them over
without a lock: two slots of one room then went through the point of no return side by side.
"""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from models.ledger import worker
from models.ledger.worker import Evidence, Settle
from models.states import AttemptOutcome, SlotState
from runtime.ids import SlotId
from tests.support import databases
from tests.support.ledger_time import LedgerTime
from tests.support.ledger_world import LEASE_S, MAX_TRIES, PONR_LEASE_S, World
from tests.support.waiting import eventually

Connection = psycopg.Connection[Any]
Command = Callable[[Connection], object]


@pytest.fixture
def world(pg: Connection) -> World:
    made = World(pg, LedgerTime(pg))
    for number in range(1, 5):
        made.room(f"방{number}")
    return made


def queued(world: World) -> list[SlotId]:
    """Four slots of one instant in four rooms."""
    return [world.queued(world.schedule(f"방{number}")) for number in range(1, 5)]


def facts(world: World) -> list[Evidence]:
    """What a provider said of each."""
    passed = [world.go(one) for one in world.lease(*queued(world))]
    return [Evidence(one.slot, 0, one.attempt_id, AttemptOutcome.ACCEPTED, "ok") for one in passed]


def lease(world: World) -> Command:
    slots = queued(world)
    return lambda db: worker.lease(db, slots, uuid.uuid4(), LEASE_S)


def ponr(world: World) -> Command:
    wave = [world.ask(one) for one in world.lease(*queued(world))]
    return lambda db: worker.ponr(db, wave, world.owner, PONR_LEASE_S, MAX_TRIES)


def evidence(world: World) -> Command:
    told = facts(world)
    return lambda db: worker.evidence(db, told)


def finish(world: World) -> Command:
    ends = [(fact, Settle(fact.slot, 0, SlotState.DELIVERED, "accepted")) for fact in facts(world)]
    return lambda db: worker.finish(db, ends, world.owner)


def settle(world: World) -> Command:
    ends = [Settle(one.slot, 0, SlotState.WAITING, "retry") for one in world.lease(*queued(world))]
    return lambda db: worker.settle(db, ends, world.owner)


@pytest.mark.parametrize("prepare", [lease, ponr, evidence, finish, settle])
def test_all_slots_are_held_though_the_first_of_them_was_changed_meanwhile(
    world: World, prepare: Callable[[World], Command], db_url: str
) -> None:
    command = prepare(world)
    with databases.connect(db_url) as other, databases.connect(db_url) as ours:
        first = world.value("SELECT min(schedule_id) FROM slots")
        other.execute("BEGIN")
        other.execute("UPDATE slots SET not_before = not_before WHERE schedule_id = %s", (first,))
        ours.execute("BEGIN")
        waiting = threading.Thread(target=command, args=(ours,))
        waiting.start()
        _until_blocked(world)
        other.execute("COMMIT")
        waiting.join(10)

        free = "SELECT schedule_id FROM slots FOR UPDATE SKIP LOCKED"
        assert world.rows(free) == []
        if prepare in (ponr, evidence, finish):
            assert world.rows("SELECT room_ref FROM room_gate FOR UPDATE SKIP LOCKED") == []
        ours.execute("ROLLBACK")


def test_a_slot_that_somebody_changes_meanwhile_still_yields_to_the_next_of_its_schedule(
    world: World, db_url: str
) -> None:
    # Weeks that the statement prunes at its start.
    world.db.execute(
        "SELECT ensure_week('slots', (date_trunc('week', ledger_now()) - n * interval '1 week')::date)"
        " FROM generate_series(2, 6) n"
    )
    slot = world.plan(world.schedule("방1"))
    soon = slot.slot_at + dt.timedelta(seconds=90)
    with databases.connect(db_url) as other, databases.connect(db_url) as ours:
        other.execute("BEGIN")
        other.execute("UPDATE slots SET not_before = not_before")
        # As the planner decides once the weeks hold much.
        ours.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off")
        ours.execute("SET enable_mergejoin = off")
        call = "SELECT yield_to_next(ARRAY[%s]::bigint[], ARRAY[%s]::timestamptz[], interval '30 s')"
        waiting = threading.Thread(target=ours.execute, args=(call, (slot.schedule_id, soon)))
        waiting.start()
        _until_blocked(world)
        other.execute("COMMIT")
        waiting.join(10)

    assert world.slot(slot)["finish_by"] == soon - dt.timedelta(seconds=30)


def _until_blocked(world: World) -> None:
    """Somebody in this database waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
    eventually(lambda: world.value(waits, world.db.info.dbname) == 1)
