"""A real `celery beat` dies by signal 9 at each of its failpoints; another beat carries on."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis

from beat.scheduler import LedgerScheduler
from models.ledger import worker
from runtime.failpoints import NAMES
from runtime.ids import SlotId
from tests.support.beats import FAR_AWAY, Queue, RealWorld
from tests.support.processes import Processes
from tests.support.waiting import eventually
from workers.application import make_app

pytestmark = pytest.mark.crash

FAST = {
    "JEONGSI_REPUBLISH_S": "0.3",
    "JEONGSI_REPUBLISH_PREPARED_S": "0.2",
    "JEONGSI_TICK_MAX_S": "0.2",
}


@pytest.fixture
def world(pg: psycopg.Connection, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> RealWorld:
    for name, value in FAST.items():
        monkeypatch.setenv(name, value)
    return RealWorld(pg)


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = redis.Redis.from_url(redis_url)
    yield Queue(client)
    client.close()


def due_now(world: RealWorld, queue: Queue) -> None:
    for _ in range(3):
        world.at(0.0)


def due_soon(world: RealWorld, queue: Queue) -> None:
    for _ in range(3):
        world.at(1.0)


def one_late_one_due(world: RealWorld, queue: Queue) -> None:
    late = world.in_s(-1)
    world.plan(world.schedule(**FAR_AWAY), in_s=-10, start_by=late)
    world.at(0.0)


def one_with_a_silent_worker(world: RealWorld, queue: Queue) -> None:
    slot = world.plan(world.schedule(**FAR_AWAY), in_s=-1)
    world.db.execute("UPDATE slots SET state = 'queued', republish_at = clock_timestamp() + interval '1 min'")
    (lease,) = worker.lease(world.db, [slot], uuid4(), 0.05)
    assert lease.verdict == "leased"


def one_whose_hint_is_lost(world: RealWorld, queue: Queue) -> None:
    world.plan(world.schedule(**FAR_AWAY), in_s=-1)
    world.db.execute("UPDATE slots SET state = 'queued', republish_at = clock_timestamp()")


SITUATIONS: dict[str, Callable[[RealWorld, Queue], None]] = {
    "beat.planning": due_now,
    "beat.planned": due_now,
    "beat.expired": one_late_one_due,
    "beat.reaping": one_with_a_silent_worker,
    "beat.dispatched": due_now,
    "beat.prepared": due_soon,
    "beat.pushed": due_now,
    "beat.republished": one_whose_hint_is_lost,
}


def test_every_failpoint_of_the_beat_has_its_situation() -> None:
    assert set(SITUATIONS) == {name for name in NAMES if name.startswith("beat.")}


@pytest.mark.parametrize("point", SITUATIONS)
def test_a_beat_dies_and_another_carries_on(
    point: str, world: RealWorld, queue: Queue, processes: Processes, home: Path
) -> None:
    dying = processes.beat(wait=False, JEONGSI_FAILPOINTS=f"{point}=kill@1", **FAST)
    dying.wait_for(lambda: world.rows("SELECT 1 FROM beat_pulse"))
    SITUATIONS[point](world, queue)
    dying.assert_died_by(signal.SIGKILL)
    (line,) = (home / "failpoints.jsonl").read_text().splitlines()
    assert json.loads(line)["name"] == point
    carries_on(world, queue)


def carries_on(world: RealWorld, queue: Queue) -> None:
    """Another beat: every live slot is queued once, and a worker that takes hints gets told of each."""
    other, told = LedgerScheduler(app=make_app()), set[str]()

    def complete() -> bool:
        other.turn()
        told.update(queue.take())
        rows = world.rows("SELECT schedule_id, slot_at, state FROM slots WHERE state <> 'expired'")
        unplanned = world.value("SELECT count(*) FROM schedule_clock WHERE due_at < clock_timestamp()")
        wanted = {str(SlotId(row["schedule_id"], row["slot_at"])) for row in rows}
        return (
            bool(rows) and not unplanned and {row["state"] for row in rows} == {"queued"} and wanted == told
        )

    try:
        eventually(complete, 8.0)
    finally:
        other.close()
    moves = world.rows(
        "SELECT schedule_id, count(*) AS n FROM slot_log WHERE new = 'queued' AND old = 'planned' GROUP BY 1"
    )
    assert {row["n"] for row in moves} == {1}


def test_a_beat_told_to_stop_pushes_what_it_prepared_and_ends_cleanly(
    world: RealWorld, queue: Queue, processes: Processes
) -> None:
    stopping = processes.beat(wait=False, **FAST)
    stopping.wait_for(lambda: world.rows("SELECT 1 FROM beat_pulse"))
    world.at(0.8)
    stopping.wait_for(lambda: world.states() == ["queued"], 3.0)
    assert stopping.terminate() == 0
    assert len(set(queue.take())) == 1  # republished meanwhile, it may be told twice
