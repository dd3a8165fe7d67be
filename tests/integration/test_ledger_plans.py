"""Every command finds its slots by an index: no statement reads a week of the ledger from end to end."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from models.ledger import beat, worker
from models.states import AttemptOutcome, Phase, SlotState
from tests.support.ledger_time import LedgerTime
from tests.support.ledger_world import LEASE_S, World, text_parts

SLOTS = 20_000

#: Slots of six days, 200 schedules: most ended, one in twenty still to come.
FILL = """
INSERT INTO slots (schedule_id, slot_at, content_version, fence, not_before, start_by, finish_by,
                   state, reason, ended_at, room_ref)
SELECT 1000 + n %% 200, at, 1, 1, at, at + interval '5 min', at + interval '30 min',
       CASE WHEN at > ledger_now() THEN 'planned' ELSE 'delivered' END,
       CASE WHEN at > ledger_now() THEN NULL ELSE 'accepted' END,
       CASE WHEN at > ledger_now() THEN NULL ELSE at END, (SELECT min(id) FROM rooms)
  FROM (SELECT n, date_trunc('minute', ledger_now()) + (n - %(slots)s * 0.95) * interval '25 s' AS at
          FROM generate_series(1, %(slots)s) n) x;
"""
PARTS = """
INSERT INTO parts (schedule_id, slot_at, ord, kind, body, state, idem_key, attempt_id)
SELECT schedule_id, slot_at, 0, 'text', 'x', 'accepted', 'k', gen_random_uuid() FROM slots
 WHERE state = 'delivered';
INSERT INTO attempts (attempt_id, schedule_id, slot_at, ord, fence, owner, sending_at, ended_at, outcome)
SELECT attempt_id, schedule_id, slot_at, 0, 1, gen_random_uuid(), slot_at, slot_at, 'accepted' FROM parts;
"""


@pytest.fixture
def full(pg: psycopg.Connection) -> World:
    world = World(pg, LedgerTime(pg))
    world.room()
    for number in range(2, 12):
        world.room(f"방{number}")
    pg.execute("SET session_replication_role = replica")
    psycopg.ClientCursor(pg).execute(FILL, {"slots": SLOTS})
    pg.execute(PARTS)
    pg.execute("RESET session_replication_role")
    return world


@contextmanager
def no_scan(world: World, what: str) -> Iterator[None]:
    before = _scans(world)
    yield
    read = {table: n - before.get(table, 0) for table, n in _scans(world).items() if n > before.get(table, 0)}
    assert not read, f"{what} read whole tables: {read}"


def _scans(world: World) -> dict[str, int]:
    """How often each week that holds much was read from end to end."""
    world.db.execute("SELECT pg_stat_force_next_flush()")
    rows = world.rows(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE pg_relation_size(relid) > 100000"
        " AND relname ~ '^(slots|parts|attempts)_'"
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


@pytest.mark.parametrize("known", [False, True], ids=["before the first analyze", "analyzed"])
def test_no_command_reads_a_week_from_end_to_end(full: World, known: bool) -> None:
    if known:
        full.db.execute("ANALYZE")
    for _ in range(2):
        _beats(full)
        _workers(full)


def test_the_check_sees_a_scan_when_there_is_one(full: World) -> None:
    with pytest.raises(AssertionError, match="a count read whole tables"), no_scan(full, "a count"):
        full.value("SELECT count(*) FROM slots WHERE owner IS NOT NULL")


def _beats(world: World) -> None:
    db = world.db
    slot = world.plan(world.schedule(misfire="latest"))
    commands: dict[str, Callable[[], object]] = {
        "agenda": lambda: beat.agenda(db),
        "expire": lambda: beat.expire(db, 5000),
        "coalesce": lambda: beat.coalesce(db, 1.0, 5000),
        "reap": lambda: beat.reap(db, 5000),
        "dispatch": lambda: beat.dispatch(db, world.time.now, 5000, 5.0, 1.0),
        "republish": lambda: beat.republish(db, Phase.SEND, 5000, 5.0, True),
        "refresh": lambda: beat.refresh(db, 5000),
        "poll": lambda: worker.poll(db, Phase.SEND, 16),
    }
    for what, command in commands.items():
        with no_scan(world, what):
            command()
    with no_scan(world, "an edit"):
        world.edit(slot.schedule_id, message_text=f"새 글 {uuid.uuid4()}")
    with no_scan(world, "a pause"):
        world.edit(slot.schedule_id, status="inactive")


def _workers(world: World) -> None:
    slots = [world.plan(world.schedule(room=f"방{number}")) for number in range(2, 12)]
    world.dispatch()
    with no_scan(world, "lease"):
        leases = world.lease(*slots)
    with no_scan(world, "renew"):
        worker.renew(world.db, slots, world.owner, LEASE_S)
    with no_scan(world, "point of no return"):
        passed = [world.go(lease, parts=text_parts()) for lease in leases]
    with no_scan(world, "evidence"):
        for number, one in enumerate(passed):
            world.say(one, AttemptOutcome.UNKNOWN if number % 2 else AttemptOutcome.ACCEPTED)
    with no_scan(world, "settle"):
        for number, one in enumerate(passed):
            if number % 2:
                world.settle(one, SlotState.WAITING, "confirm", phase=Phase.CONFIRM)
            else:
                world.settle(one, SlotState.DELIVERED, "accepted")
    confirming = world.confirming(passed[1])
    with no_scan(world, "resolve"):
        assert world.resolve(passed[1], confirming, wait_s=0, proven=True)
    world.time.advance(LEASE_S + 1)
    with no_scan(world, "reap with work to do"):
        assert len(beat.reap(world.db, 100)) == 1
    with no_scan(world, "tell again"):
        beat.tell_again(world.db, slots, 5.0)
    world.plan(world.schedule())
    world.time.advance(3600)
    with no_scan(world, "expire with work to do"):
        assert beat.expire(world.db, 5000) > 0
