"""`celery -A workers flower` as a process: never open, and it shows what is sent."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from ops.local.ports import free_port
from tests.support import databases
from tests.support.hinting import Hinting
from tests.support.processes import Processes, TestProcess
from tests.support.sending import Promises
from tests.support.waiting import eventually

NOBODY = 0


@pytest.fixture
def env(scaled_env: dict[str, str]) -> dict[str, str]:
    """What every child process gets."""
    return scaled_env


class Flower:
    """A Flower on a free port."""

    def __init__(self, processes: Processes, *arguments: str, **env: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process: TestProcess = processes.celery(
            "flower", "flower", *arguments, JEONGSI_FLOWER_PORT=str(port), **env
        )
        self.process.wait_for(lambda: self.status() != NOBODY)

    def status(self, path: str = "/workers", auth: tuple[str, str] | None = None) -> int:
        """What it answers; NOBODY while nobody listens."""
        try:
            return requests.get(self.url + path, auth=auth, timeout=5).status_code
        except requests.ConnectionError:
            return NOBODY

    def tasks(self, auth: tuple[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = requests.get(f"{self.url}/api/tasks", auth=auth, timeout=5).json()
        return found


@pytest.fixture
def hinting(env: dict[str, str]) -> Iterator[Hinting]:
    one = Hinting()
    yield one
    one.close()


def test_flower_asks_for_the_password_that_it_made_and_shows_whose_message_was_sent(
    processes: Processes, hinting: Hinting, env: dict[str, str], home: Path
) -> None:
    flower = Flower(processes)
    kept = home / "flower-password"
    password = kept.read_text(encoding="utf-8").strip()
    ours = ("jeongsi", password)

    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert flower.process.output.count(password) == 1
    for path in ("/workers", "/api/tasks", "/api/workers"):
        assert flower.status(path) == 401
        assert flower.status(path, ("jeongsi", "guess")) == 401
    assert flower.status("/workers", ours) == 200

    processes.worker("send", "--without-gossip", "--without-mingle")
    with databases.connect(env["DATABASE_URL"]) as db:
        slot = Promises(db).promise("방", "emulator-none")
        Promises(db).due()
    task = hinting.send([slot], told="정각 알림 · 방 · 11-21 09:00:00")
    shown = eventually(lambda: _finished(flower.tasks(ours), task), timeout=8)
    assert shown is not None
    assert shown["name"] == "jeongsi.slot.send"
    assert shown["args"] == "정각 알림 · 방 · 11-21 09:00:00"

    assert flower.process.terminate() == 0
    assert list(home.glob("flower*")) != [kept]  # what it saw outlives it
    again = Flower(processes)
    assert password not in again.process.output
    assert task in again.tasks(ours)


def test_a_password_of_ones_own_is_respected_and_none_is_made(processes: Processes, home: Path) -> None:
    flower = Flower(processes, "--basic-auth=me:mine")
    assert flower.status() == 401
    assert flower.status("/workers", ("me", "mine")) == 200
    assert not (home / "flower-password").exists()


def _finished(tasks: dict[str, Any], uuid: str) -> dict[str, Any] | None:
    found = tasks.get(uuid)
    return found if found and found["state"] == "SUCCESS" else None
