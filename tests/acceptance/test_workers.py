"""`celery -A workers worker` as a process: what it takes, what it drops, how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, Self

import psycopg
import pytest
import redis
from celery import Celery
from celery.events.receiver import EventReceiver

from ops.emulator import Emulator, Rule
from runtime import redis_keys
from runtime.settings import get_settings
from tests.support import databases
from tests.support.hinting import Hinting
from tests.support.own_servers import OwnServers
from tests.support.processes import Processes, TestProcess
from tests.support.sending import ENDED, SCALED, Promises
from tests.support.waiting import eventually

QUIET = ("--without-gossip", "--without-mingle")


@pytest.fixture
def env(scaled_env: dict[str, str]) -> dict[str, str]:
    """What every child process gets: the scaled times, and tries that may take a second."""
    return scaled_env


@pytest.fixture
def promises(env: dict[str, str]) -> Iterator[Promises]:
    with databases.connect(env["DATABASE_URL"]) as db:
        yield Promises(db)


@pytest.fixture
def hinting(env: dict[str, str]) -> Iterator[Hinting]:
    one = Hinting()
    yield one
    one.close()


def ended(promises: Promises, *slots: Any) -> bool:
    return all(promises.state(slot) in ENDED for slot in slots)


def test_a_worker_carries_hints_of_one_and_of_many_and_survives_every_foreign_message(
    promises: Promises, hinting: Hinting, processes: Processes, emulator: Emulator, env: dict[str, str]
) -> None:
    worker = processes.worker("send,confirm", *QUIET)
    broker = redis.Redis.from_url(env["REDIS_URL"])
    half = b'{"properties": {}, "body": "%%%"}'
    for foreign in (b"\xff\xfe not a message", b"not JSON", b"{}", b"[1]", half):
        broker.lpush("send", foreign)
    for args in ([None], [], [{"v": 2, "slots": ["1-1"]}], [{"v": 1, "slots": ["x", 7]}], ["x", "y"]):
        hinting.raw("jeongsi.slot.send", args, "send")
    hinting.raw("somebody.elses.task", [1], "send")
    one = promises.promise("하나", "emulator-none")
    many = [promises.promise(f"방{n}", "emulator-none") for n in range(40)]
    due = [found.slot for found in promises.due()]

    hinting.send([slot for slot in due if slot == one])
    hinting.send([slot for slot in due if slot != one])

    eventually(lambda: ended(promises, one, *many), timeout=8)
    assert {promises.state(slot) for slot in (one, *many)} == {"delivered"}
    assert len(emulator.receipts.all()) == 41
    assert worker.running
    assert "queue.hint_dropped" in worker.output
    assert "queue.hint_unknown_version" in worker.output
    heartbeat = broker.hgetall(redis_keys.workers("send"))
    assert len(heartbeat) == 1
    assert worker.terminate() == 0
    assert broker.hgetall(redis_keys.workers("send")) == {}
    broker.close()


def test_a_worker_that_is_asked_to_stop_finishes_what_is_written_and_gives_the_rest_back(
    promises: Promises, hinting: Hinting, processes: Processes, emulator: Emulator
) -> None:
    image = f'[{{"id": {promises.image()["id"]}}}]'
    emulator.faults.add(Rule("slow_after", delay_s=0.4, count=None))
    slots = [
        promises.promise(f"방{n}", "emulator-none", message_images=image, send_order="text_first")
        for n in range(4)
    ]
    worker = processes.worker("send", *QUIET)
    hinting.send([found.slot for found in promises.due()])
    eventually(lambda: len(emulator.receipts.all()) == 4)

    assert worker.terminate(timeout=10) == 0

    states = {(promises.state(slot), promises.of(slot)["wait_reason"]) for slot in slots}
    assert states == {("queued", "stopping")}
    assert {part["state"] for slot in slots for part in promises.parts(slot)} == {"accepted", "pending"}
    assert len(emulator.receipts.all()) == 4
    assert "worker.stopped" in worker.output


class Ear:
    """Task events as Flower hears them, from `with` on."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._stack = ExitStack()
        self._connection: Any = None
        self.heard: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        connection = self._stack.enter_context(self._app.connection_for_read())
        receiver = EventReceiver(connection, {"*": self.heard.append}, app=self._app)
        context: Any = receiver.consumer_context(wakeup=False)  # the stubs know nothing of what it yields
        self._connection, *_ = self._stack.enter_context(context)
        self._drain()  # subscribes
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def event(self, kind: str, uuid: str) -> dict[str, Any]:
        """The event of this kind for this task, now or within some seconds."""

        def found() -> dict[str, Any] | None:
            self._drain()
            return next((e for e in self.heard if e.get("uuid") == uuid and e["type"] == kind), None)

        event = eventually(found, timeout=8, message=lambda: f"heard {[one['type'] for one in self.heard]}")
        assert event is not None
        return event

    def _drain(self) -> None:
        with suppress(TimeoutError):
            while True:
                self._connection.drain_events(timeout=0.05)


def test_a_batch_with_a_slot_that_failed_fails_in_the_events_and_names_it(
    promises: Promises, hinting: Hinting, processes: Processes, emulator: Emulator
) -> None:
    good = promises.promise("좋은 방", "emulator-none")
    bad = promises.promise("missing-방", "emulator-none")
    processes.worker("send", *QUIET)
    promises.due()
    with Ear(hinting.app) as ear:
        task = hinting.send([good, bad], told="2 slots · 11-21 09:00:00")
        failed = ear.event("task-failed", task)
        received = ear.event("task-received", task)

    assert str(bad) in failed["exception"]
    assert "room_not_found" in failed["exception"]
    assert str(good) not in failed["exception"]
    assert received["args"] == "2 slots · 11-21 09:00:00"
    assert (promises.state(good), promises.state(bad)) == ("delivered", "failed")


@pytest.mark.embedded_only
def test_a_worker_without_redis_takes_its_slots_from_postgres(
    own_env: dict[str, str], own_servers: OwnServers, processes: Processes, emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    processes.env |= {**SCALED, "JEONGSI_EMULATOR_URL": emulator.url}
    worker = processes.worker("send,confirm", *QUIET)
    with psycopg.connect(own_env["DATABASE_URL"], autocommit=True) as db:
        promises = Promises(db)
        own_servers.valkey.kill()
        slots = [promises.promise(kind, f"emulator-{kind}") for kind in ("key", "lookup", "none")]

        eventually(lambda: promises.due() is not None and ended(promises, *slots), timeout=15)

        assert {promises.state(slot) for slot in slots} == {"delivered"}
    assert len(emulator.receipts.all()) == 3
    assert "worker.polling_ledger" in worker.output
    assert stops(worker)


def stops(worker: TestProcess) -> bool:
    """It ends within ten seconds even while its broker is gone."""
    return worker.terminate(timeout=10) == 0


def test_the_settings_that_scale_these_tests_are_in_force(env: dict[str, str]) -> None:
    assert get_settings().settle_s == float(SCALED["JEONGSI_SETTLE_S"])
