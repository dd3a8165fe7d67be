"""A set of slots, one of which somebody else is changing: the command waits, and then holds all of them.

PostgreSQL 18 rechecks a row that was changed while it waited for it. Where the statement had pruned
partitions at its start, the recheck found neither that row nor any that followed, and passed them over
without a lock: two slots of one room then went through the point of no return side by side.
"""

from __future__ import annotations

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
        blocked = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        eventually(lambda: world.value(blocked) == 1)
        other.execute("COMMIT")
        waiting.join(10)

        free = "SELECT schedule_id FROM slots FOR UPDATE SKIP LOCKED"
        assert world.rows(free) == []
        if prepare in (ponr, evidence, finish):
            assert world.rows("SELECT room_ref FROM room_gate FOR UPDATE SKIP LOCKED") == []
        ours.execute("ROLLBACK")
