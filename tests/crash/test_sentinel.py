"""The Redis master dies in mid-sending and a replica takes over: nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.emulator import Emulator
from runtime import redis_keys
from runtime.redis_client import client_of
from tests.support import databases
from tests.support.beats import FAR_AWAY
from tests.support.cli import jeongsi
from tests.support.processes import Processes
from tests.support.sending import ENDED, Promises
from tests.support.sentinels import Sentinels
from tests.support.waiting import eventually

pytestmark = pytest.mark.embedded_only
QUIET = ("-c", "4", "--without-gossip", "--without-mingle")
KINDS = ("key", "lookup", "none")
STEPS = {"JEONGSI_REPUBLISH_S": "0.5", "JEONGSI_REPUBLISH_PREPARED_S": "0.5"}
WAVES = 30


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    made = Sentinels(tmp_path / "sentinels")
    yield made
    made.close()


@pytest.fixture
def env(scaled_env: dict[str, str], sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Scaled times, and a Redis that is found by Sentinels."""
    variables = scaled_env | STEPS | {"REDIS_URL": sentinels.url}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def channel(room: str) -> str:
    return f"emulator-{room.split(maxsplit=1)[0]}"


def test_workers_and_beats_follow_a_fail_over_of_redis_in_mid_sending(
    env: dict[str, str], sentinels: Sentinels, processes: Processes, emulator: Emulator
) -> None:
    with databases.connect(env["DATABASE_URL"]) as db:
        promises = Promises(db)
        rooms = [f"{kind} {number}" for number in range(WAVES) for kind in KINDS]
        schedules = [
            promises.schedule(promises.room(room, f"emulator-{room.split()[0]}"), **FAR_AWAY)
            for room in rooms
        ]
        processes.worker("send,confirm", *QUIET)
        processes.worker("send,confirm", *QUIET)
        processes.beat()
        slots = [
            promises.slot(schedule, 1.0 + number * 0.03, valid_s=600, grace_s=600)
            for number, schedule in enumerate(schedules)
        ]
        eventually(lambda: len(emulator.receipts.all()) > 10, timeout=60, every=0.005)

        sentinels.fail_over()

        eventually(
            lambda: all(promises.state(slot) in ENDED for slot in slots), timeout=90, message=promises.story
        )
        assert {promises.state(slot) for slot in slots} == {"delivered"}
        received = [one.room for one in emulator.receipts.all()]
        assert sorted(received) == sorted(rooms)

        later = promises.slot(promises.schedule(promises.room("later"), **FAR_AWAY), 0.5)
        eventually(lambda: promises.state(later) == "delivered", timeout=30, message=promises.story)
        client = client_of(sentinels.url, socket_timeout=2, connect_timeout=2)
        eventually(lambda: len(client.hgetall(redis_keys.workers("send"))) == 2, timeout=30)
        assert client.hlen(redis_keys.instances()) == 1
        client.close()
        found = {one["check"]: one["level"] for one in jeongsi("doctor", "--json").json["checks"]}
        assert (found["redis"], found["queue send"]) == ("ok", "ok")
