"""Fixtures for tests that carry slots in their own process; a conftest imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.tables import Base
from ops.emulator import Emulator
from runtime.settings import get_settings
from tasks.engine import Engine
from tests.support import databases
from tests.support.environment import clear_caches, point_at
from tests.support.run import Run
from tests.support.sending import SCALED, Sending


@pytest.fixture(scope="session")
def sending_database(run: Run, template: str) -> Iterator[str]:
    """A migrated database in real time, for all such tests of one process."""
    with databases.cloned(run, template) as url:
        yield url


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    """The three bridges over HTTP."""
    with Emulator(tmp_path / "receipts.jsonl", seed=7) as one:
        yield one


@pytest.fixture
def scaled_env(
    sending_database: str, redis_url: str, home: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """This process uses an empty ledger, the emulator and scaled times; the variables, for its children."""
    emptied(sending_database)
    clear_caches()
    variables = point_at(monkeypatch, sending_database, redis_url, home)
    variables |= {**SCALED, "JEONGSI_EMULATOR_URL": emulator.url}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield variables
    clear_caches()


@pytest.fixture
def make_sending(scaled_env: dict[str, str], emulator: Emulator) -> Iterator[Callable[[], Sending]]:
    """Makes an engine like a worker process has, as many as asked for."""
    made: list[Sending] = []

    def make() -> Sending:
        db = databases.connect(scaled_env["DATABASE_URL"])
        engine = Engine(get_settings())
        assert engine.committer.warm.wait(10)
        made.append(Sending(db, engine, emulator))
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.rt.stop()
        one.db.close()


@pytest.fixture
def sending(make_sending: Callable[[], Sending]) -> Sending:
    """Promises, and one engine that keeps them."""
    return make_sending()


def emptied(url: str) -> None:
    """No rows any more, past every guard. Deleting costs a tenth of truncating so many partitions."""
    names = [
        table.name for table in Base.metadata.sorted_tables if table.name not in ("slot_edge", "instance")
    ]
    with databases.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(";".join(f"DELETE FROM {name}" for name in names).encode())
