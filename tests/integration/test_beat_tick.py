"""A beat's turns against a real Postgres and a real Valkey."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis

from beat.brokers import Parcel, RedisBroker
from beat.scheduler import LedgerScheduler
from models.ledger import beat as ledger
from models.ledger import worker
from runtime import database
from runtime.clock import clock
from runtime.events import Event, captured
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.beats import FAR_AWAY, Queue, RealWorld, body_of
from tests.support.ledger_time import LedgerTime
from tests.support.own_servers import OwnServers
from tests.support.tracking import account
from tests.support.waiting import eventually
from workers.application import make_app


@pytest.fixture
def world(pg: psycopg.Connection, env: dict[str, str]) -> RealWorld:
    return RealWorld(pg)


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = redis.Redis.from_url(redis_url)
    yield Queue(client)
    client.close()


@pytest.fixture
def beat(env: dict[str, str]) -> Iterator[LedgerScheduler]:
    made = LedgerScheduler(app=make_app())
    yield made
    made.close()


def turns(beat: LedgerScheduler, count: int = 3) -> None:
    """Enough turns to plan, dispatch and push what is due."""
    for _ in range(count):
        beat.turn()


def turned_to(beat: LedgerScheduler, world: RealWorld, states: list[str]) -> bool:
    """Some turns more; whether the slots stand so."""
    turns(beat)
    return world.states() == states


def test_a_due_slot_is_planned_queued_and_pushed(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    schedule = world.at(0.0, title="정각 알림")
    turns(beat)
    eventually(queue.hints, 2.0)
    assert queue.slots() == [
        row["p"] for row in world.rows("SELECT slot_public_id(schedule_id, slot_at) AS p FROM slots")
    ]
    assert queue.slots()[0].startswith(f"{schedule}-")
    assert world.states() == ["queued"]
    (raw,) = queue.client.lrange("send", 0, -1)
    assert json.loads(raw)["headers"]["argsrepr"].startswith("정각 알림 · 방1 · ")


def test_a_due_upload_is_pushed_to_the_queue_of_its_own(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    world.plan(account(world.db, "brand"), kind="tracking")
    turns(beat)
    eventually(lambda: queue.client.llen("tracking"), 2.0)
    assert queue.client.llen("send") == 0
    (raw,) = queue.client.lrange("tracking", 0, -1)
    headers = json.loads(raw)["headers"]
    assert headers["task"] == "jeongsi.tracking.run"
    assert headers["argsrepr"].startswith("송장 업로드 · brand · ")


def test_a_slot_is_queued_in_the_ledger_before_its_hint_is_in_the_broker(
    beat: LedgerScheduler, world: RealWorld, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = RedisBroker.push

    def watched(self: RedisBroker, parcels: Sequence[Parcel]) -> None:
        seen.extend(world.states())
        real(self, parcels)

    monkeypatch.setattr(RedisBroker, "push", watched)
    world.at(0.0)
    turns(beat)
    eventually(queue.hints, 2.0)
    assert seen == ["queued"]


def test_a_turn_that_was_held_up_does_not_wait_past_the_next_slot(
    world: RealWorld, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("JEONGSI_PREPARE_AHEAD_S", "0.001")
    monkeypatch.setenv("JEONGSI_TICK_MAX_S", "30")
    beat: LedgerScheduler = request.getfixturevalue("beat")
    turns(beat)
    world.at(4.0)
    turns(beat)
    with database.connect() as other, held_up(other, 0.7):
        pause = beat.turn()
        ended = clock().monotonic()
    now: datetime = world.value("SELECT clock_timestamp()")
    due: datetime = world.value("SELECT min(not_before) FROM slots")
    left = (due - now).total_seconds() + clock().monotonic() - ended
    assert 0 < pause <= left + 0.1


@contextmanager
def held_up(other: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """Every turn's last statement waits for so long: another session holds what beats take turns by."""
    other.execute("SELECT pg_advisory_xact_lock(hashtext('jeongsi.beat_tick'))")
    release = threading.Timer(seconds, other.commit)
    release.start()
    yield
    release.join()


def test_a_slot_prepared_ahead_is_pushed_on_the_dot_and_never_early(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    for number in range(20):
        world.at(0.7 + number * 0.02)
    turns(beat)
    assert world.states() == ["queued"] * 20
    assert queue.hints() == []
    late: list[float] = []
    while len(late) < 20:
        popped = queue.client.brpop(["send"], timeout=3)
        assert popped is not None
        assert isinstance(popped[1], bytes)
        (slot,) = body_of(popped[1])["slots"]
        now: datetime = world.value("SELECT clock_timestamp()")
        late.append(now.timestamp() * 1000 - int(slot.split("-")[1]))
    assert min(late) >= 0
    assert sorted(late)[10] < 250  # a few ms on an idle machine


def test_what_the_broker_did_not_take_is_published_again_when_it_is_back(
    own_servers: OwnServers, own_env: dict[str, str]
) -> None:
    with database.connect() as db:
        db.autocommit = True
        world = RealWorld(db)
        beat = LedgerScheduler(app=make_app())
        try:
            turns(beat)
            own_servers.valkey.kill()
            world.at(0.0)
            started = clock().monotonic()
            turns(beat, 4)
            assert clock().monotonic() - started < 2.0
            assert world.states() == ["queued"]
            own_servers.valkey.start()
            queue = Queue(redis.Redis.from_url(own_servers.redis_url))
            world.db.execute("UPDATE slots SET republish_at = clock_timestamp()")
            eventually(lambda: beat.turn() >= 0 and queue.slots(), 10.0)
            assert len(set(queue.slots())) == 1
            queue.client.close()
        finally:
            beat.close()


def test_a_broker_that_swallows_packets_does_not_hold_up_a_turn(
    own_servers: OwnServers, own_env: dict[str, str]
) -> None:
    valkey = own_servers.valkey.pid
    assert valkey is not None
    with database.connect() as db:
        db.autocommit = True
        world = RealWorld(db)
        beat = LedgerScheduler(app=make_app())
        try:
            turns(beat)
            os.kill(valkey, signal.SIGSTOP)
            world.at(0.0)
            started = clock().monotonic()
            turns(beat, 5)
            assert clock().monotonic() - started < 2.0
        finally:
            os.kill(valkey, signal.SIGCONT)
            beat.close()


def test_a_flushed_broker_is_filled_again(beat: LedgerScheduler, world: RealWorld, queue: Queue) -> None:
    for _ in range(3):
        world.at(0.0)
    turns(beat)
    eventually(lambda: len(queue.slots()) == 3, 2.0)
    queue.client.delete("send")
    turns(beat)
    assert queue.slots() == []  # not overdue yet: nobody repeats what may well be running
    world.db.execute("UPDATE slots SET republish_at = clock_timestamp()")
    turns(beat)
    eventually(lambda: len(set(queue.slots())) == 3, 2.0)


def test_nothing_is_repeated_while_the_queue_is_long(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    world.at(0.0)
    turns(beat)
    eventually(queue.hints, 2.0)
    world.db.execute("UPDATE slots SET republish_at = clock_timestamp()")
    turns(beat)
    assert len(queue.hints()) == 1
    assert world.value("SELECT republish_at > clock_timestamp() + interval '4 s' FROM slots")


def test_what_can_no_longer_start_is_never_published(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    late = world.in_s(-1)
    world.plan(world.schedule(), in_s=-10, start_by=late, finish_by=late)
    turns(beat)
    assert world.states()[0] == "expired"
    assert queue.hints() == []


def test_of_several_due_slots_misfire_latest_sends_the_newest(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    schedule = world.schedule(**FAR_AWAY)
    old, new = (world.plan(schedule, in_s=seconds, keep_latest=True) for seconds in (-40, -1))
    turns(beat)
    eventually(queue.hints, 2.0)
    assert queue.slots() == [str(new)]
    assert world.state(old) == ("skipped", "coalesced")


def test_a_slot_of_a_silent_worker_is_taken_back_and_published(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    world.at(0.0)
    turns(beat)
    eventually(queue.hints, 2.0)
    queue.client.delete("send")
    slot = SlotId(**world.row("SELECT schedule_id, slot_at FROM slots"))
    (lease,) = worker.lease(world.db, [slot], uuid4(), 0.05)
    assert lease.verdict == "leased"
    eventually(lambda: beat.turn() >= 0 and queue.slots(), 3.0)
    assert world.states() == ["queued"]


def test_a_slot_of_a_silent_worker_is_told_at_once_however_long_the_queue_is(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    world.at(0.0)
    turns(beat)
    eventually(queue.hints, 2.0)
    (told,) = queue.take()
    slot = SlotId.parse(told)
    (lease,) = worker.lease(world.db, [slot], uuid4(), 0.05)
    assert lease.verdict == "leased"
    queue.client.lpush("send", *(["what others wait for"] * 200))

    eventually(lambda: beat.turn() >= 0 and queue.client.llen("send") == 201, 3.0)

    turns(beat)
    assert queue.client.llen("send") == 201  # once
    assert body_of(queue.client.lindex("send", 0))["slots"] == [str(slot)]  # type: ignore[arg-type]


def test_an_edit_by_raw_sql_takes_effect_within_a_second(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    turns(beat)
    beat.wait(0.01)  # now it listens
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            beat.tick()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        waited: list[float] = []
        for _ in range(5):
            started = clock().monotonic()
            world.at(0.0)
            eventually(lambda: queue.client.rpop("send"), 3.0, every=0.002)
            waited.append(clock().monotonic() - started)
    finally:
        stop.set()
        world.db.execute("NOTIFY jeongsi_schedule")
        thread.join()
    assert max(waited) < 1.0
    assert sorted(waited)[2] < 0.3


def test_a_second_beat_that_stands_still_costs_two_seconds_at_most(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    world.at(0.0)
    stuck = database.connect()
    assert ledger.take_clocks(stuck, world.in_s(60), 10)
    started = clock().monotonic()
    eventually(lambda: beat.turn() >= 0 and queue.slots(), 5.0)
    assert clock().monotonic() - started < 3.0
    stuck.close()


def test_four_beats_at_once_queue_every_slot_once(world: RealWorld, queue: Queue) -> None:
    for _ in range(40):
        world.at(0.0)
    beats = [LedgerScheduler(app=make_app()) for _ in range(4)]
    threads = [threading.Thread(target=turns, args=(one, 4)) for one in beats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in beats:
        one.close()
    assert len(queue.slots()) == 40
    assert len(set(queue.slots())) == 40


def test_a_turn_without_a_database_does_not_raise_and_the_next_one_works(
    own_servers: OwnServers, own_env: dict[str, str]
) -> None:
    beat = LedgerScheduler(app=make_app())
    try:
        turns(beat)
        own_servers.postgres.kill()
        with captured() as told:
            turns(beat)
        assert [event for event, _ in told if event is Event.LEDGER_GONE]
        own_servers.postgres.start()
        with captured() as told:
            turns(beat)
        assert [event for event, _ in told if event is Event.LEDGER_BACK]
        with database.connect() as db:
            db.autocommit = True
            world = RealWorld(db)
            world.at(0.0)
            eventually(lambda: turned_to(beat, world, ["queued"]))  # once it has looked
    finally:
        beat.close()


def test_a_jump_of_the_databases_clock_holds_back_what_was_prepared(
    beat: LedgerScheduler, world: RealWorld, queue: Queue
) -> None:
    turns(beat)
    world.at(0.9)
    turns(beat)
    assert world.states() == ["queued"]
    LedgerTime(world.db, world.in_s(-3600))  # an hour back
    with captured() as told:
        turns(beat, 1)
    assert next(fields["jump_s"] for event, fields in told if event is Event.CLOCK_JUMPED) < -3500
    clock().wait(1.0)
    assert queue.hints() == []


def test_the_banners_scheduler_opens_nothing(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    get_settings.cache_clear()
    LedgerScheduler(app=make_app(), lazy=True).close()
