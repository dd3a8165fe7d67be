"""What thousands of slots of one instant cost, counted, not timed: rows read, statements, Redis commands."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
import redis

from beat.scheduler import LedgerScheduler
from models.ledger import beat as ledger
from models.ledger import worker
from models.ledger.worker import Evidence, Lease, Ponr, Settle
from models.states import AttemptOutcome, SlotState
from runtime import database
from runtime.ids import SlotId
from tests.support.beats import Queue, RealWorld
from tests.support.ledger_world import text_parts
from tests.support.waiting import eventually
from workers.application import make_app

BURST = 10_000
SET = 50
BY_SQL = """
INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)
  SELECT 'b-' || n, 'b', 'test', 'emulator-none', 0, 500 FROM generate_series(%(first)s, %(last)s) n;
INSERT INTO kb_schedule
  (title, target_room_id, target_room_type, message_text, send_order, schedule_type, rules)
  SELECT 'b', 'b-' || n, 'test', '안녕하세요', 'text_only', 'union',
         jsonb_build_array(jsonb_build_object('kind', 'at', 'ms', %(ms)s::bigint))
    FROM generate_series(%(first)s, %(last)s) n
"""


@pytest.fixture
def world(pg: psycopg.Connection, env: dict[str, str]) -> RealWorld:
    return RealWorld(pg)


@pytest.fixture
def beat(env: dict[str, str]) -> Iterator[LedgerScheduler]:
    made = LedgerScheduler(app=make_app())
    yield made
    made.close()


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = redis.Redis.from_url(redis_url)
    yield Queue(client)
    client.close()


def lay(world: RealWorld, first: int, last: int, ms: int) -> None:
    """Schedules of one instant (Unix milliseconds), numbered, one in each room."""
    psycopg.ClientCursor(world.db).execute(BY_SQL, {"first": first, "last": last, "ms": ms})


def instant(world: RealWorld, in_s: float) -> int:
    """Unix milliseconds of an instant so far from now."""
    return round(world.in_s(in_s).timestamp() * 1000)


QUEUED = """
INSERT INTO slots
  (schedule_id, slot_at, room_ref, content_version, fence, state, not_before, start_by, finish_by)
  SELECT schedule_id, at, room_ref, version, 1, 'queued', at, at + interval '5 min', at + interval '30 min'
    FROM schedule_clock, to_timestamp(%(ms)s / 1000.0) at
   WHERE schedule_id NOT IN (SELECT schedule_id FROM slots) RETURNING schedule_id, slot_at
"""


def all_queued(world: RealWorld, ms: int) -> list[SlotId]:
    """Slots of that instant as a beat leaves them, for every schedule."""
    world.db.execute("SET session_replication_role = replica")  # the guard lets no slot be born queued
    rows = psycopg.ClientCursor(world.db).execute(QUEUED, {"ms": ms}).fetchall()
    world.db.execute("RESET session_replication_role")
    return [SlotId(*row) for row in rows]


# -- what a worker's commands read ------------------------------------------------------------------


def know_nothing(world: RealWorld) -> None:
    """As right after the weeks were made."""


def know_them_empty(world: RealWorld) -> None:
    """As after a nightly VACUUM ANALYZE, when the slots come in the morning and the beat has seen it."""
    world.db.execute("VACUUM ANALYZE")


def know_them_as_they_are(world: RealWorld) -> None:
    """As after autovacuum's visit."""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (know_nothing, know_nothing),
        (know_them_empty, lambda world: ledger.refresh_statistics(world.db)),
        (know_nothing, lambda world: world.db.execute("ANALYZE")),
    ],
    ids=["never analyzed", "called empty at night", "analyzed"],
)
def test_a_set_of_slots_costs_the_same_however_many_share_its_instant(
    world: RealWorld, before: Callable[[RealWorld], object], after: Callable[[RealWorld], object]
) -> None:
    before(world)
    ms = instant(world, -1.0)
    lay(world, 1, 600, ms)
    few = all_queued(world, ms)
    with database.connect() as db:
        db.autocommit = True
        worker.plan_ahead(db)
        after(world)
        for start in range(0, 8 * SET, SET):
            carry(db, few[start : start + SET])  # the first to be read of empty parts and attempts
        after(world)
        of_few = _read_by(db, few[-SET:])
        lay(world, 601, 4000, ms)
        of_many = _read_by(db, all_queued(world, ms)[:SET])

    assert of_many < of_few * 1.3


def _read_by(db: psycopg.Connection[Any], slots: Sequence[SlotId]) -> int:
    before = _tuples_read(db)
    carry(db, slots)
    return _tuples_read(db) - before


def carry(db: psycopg.Connection[Any], slots: Sequence[SlotId]) -> None:
    """The way of a set of single-part slots, as a worker's committer says it."""
    owner = uuid.uuid4()
    leases = worker.lease(db, slots, owner, 30.0)
    assert {lease.verdict for lease in leases} == {"leased"}
    wave = [_question(lease) for lease in leases]
    passed = worker.ponr(db, wave, owner, 12.0, 5)
    ends = [
        (
            Evidence(one.slot, 0, one.attempt_id, AttemptOutcome.ACCEPTED, "ok", "m", 200, None, 1.0),
            Settle(one.slot, answer.fence or 0, SlotState.DELIVERED, "accepted"),
        )
        for one, answer in zip(wave, passed, strict=True)
    ]
    assert worker.finish(db, ends, owner) == [("ok", True)] * len(ends)


def _question(lease: Lease) -> Ponr:
    return Ponr(lease.slot, 0, lease.fence, uuid.uuid4(), lease.content_version, 60.0, "none", text_parts())


def _tuples_read(db: psycopg.Connection[Any]) -> int:
    db.execute("SELECT pg_stat_force_next_flush()")
    db.execute("SELECT pg_stat_clear_snapshot()")
    row = db.execute(
        "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
        " + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables"
        " WHERE relname ~ '^(slots|parts|attempts|room)')"
    ).fetchone()
    assert row is not None
    return int(row[0])


# -- what a burst costs the beat --------------------------------------------------------------------


def test_ten_thousand_due_slots_cost_a_beat_a_few_statements_and_a_few_pushes(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    beat.turn()
    lay(world, 1, BURST, instant(world, 60.0))
    for _ in range(60):
        if world.value("SELECT count(*) FROM slots") == BURST:
            break
        beat.turn()
    due = world.value("SELECT min(slot_at) FROM slots")
    moved = "UPDATE slots SET not_before = %s WHERE slot_at = %s"
    world.db.execute(moved.encode(), (world.in_s(1.0), due))
    statements, pushes = _statements(world), _pushes(queue)

    beat.turn()
    eventually(lambda: len(queue.slots()) == BURST, 10.0)

    assert _statements(world) - statements <= 60
    assert _pushes(queue) - pushes <= BURST / 500 + 1


def test_a_tick_costs_the_same_with_a_hundred_thousand_idle_schedules(
    beat: LedgerScheduler, world: RealWorld
) -> None:
    world.db.execute("SET session_replication_role = replica")
    world.db.execute(
        "INSERT INTO schedule_clock (schedule_id, kind, rules, tz, version, version_from, planned_to,"
        " enabled,"
        " valid_from, valid_until, grace_s, misfire, priority) SELECT 1000000 + n, 'message',"
        ' \'[{"kind": "daily", "time": "09:00"}]\', \'Asia/Seoul\', 1, now(), now() + interval \'5 h\', true,'
        " now(), now() + interval '1 year', 300, 'skip', 5 FROM generate_series(1, 100000) n"
    )
    world.db.execute("RESET session_replication_role")
    for _ in range(3):
        beat.turn()
    before = _read_of_schedules(world)

    beat.turn()

    assert _read_of_schedules(world) - before < 100


def _read_of_schedules(world: RealWorld) -> int:
    world.db.execute("SELECT pg_stat_clear_snapshot()")
    return int(
        world.value(
            "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_stat_user_tables"
            " WHERE relname IN ('schedule_clock', 'kb_schedule', 'kb_schedule_history')"
        )
    )


def _statements(world: RealWorld) -> int:
    """Transactions so far in this database: the beat's connections are autocommit, so statements."""
    world.db.execute("SELECT pg_stat_force_next_flush()")
    world.db.execute("SELECT pg_stat_clear_snapshot()")
    return int(world.value("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))


def _pushes(queue: Queue) -> int:
    info: Any = queue.client.info("commandstats")
    return int(info.get("cmdstat_lpush", {}).get("calls", 0))
