"""What tests of the ledger share: one migrated database per test process, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from models.tables import Base
from tests.support import databases
from tests.support.environment import clear_caches, point_at
from tests.support.ledger_time import LedgerTime
from tests.support.ledger_world import World
from tests.support.playauto_env import client, playauto, playauto_env  # noqa: F401 - fixtures
from tests.support.run import Run
from tests.support.sending_fixtures import (  # noqa: F401 - fixtures
    emulator,
    make_sending,
    scaled_env,
    sending,
    sending_database,
)  # fmt: skip
from tests.support.upload_fixtures import crew, up  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def _ledger_database(run: Run, template: str) -> Iterator[str]:
    with databases.cloned(run, template) as url:
        yield url


@pytest.fixture
def ledger_url(_ledger_database: str) -> str:
    """A migrated database without rows, for tests that change rows only. Cheaper than `db_url`."""
    emptied(_ledger_database).close()
    return _ledger_database


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    """A ledger whose time stands still until it is moved, and one worker's sentences."""
    with databases.connect(ledger_url) as connection:
        yield World(connection, LedgerTime(connection))


@pytest.fixture
def ledger_env(
    world: World, ledger_url: str, redis_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """As `env`, on the database and in the time of `world`."""
    clear_caches()
    yield point_at(monkeypatch, ledger_url, redis_url, home)
    clear_caches()


def emptied(url: str) -> psycopg.Connection:
    """A connection to a database whose rows are gone, past every guard.

    Deleting costs a tenth of what truncating so many partitions does.
    """
    connection = databases.connect(url)
    names = [
        table.name for table in Base.metadata.sorted_tables if table.name not in ("slot_edge", "instance")
    ]
    connection.execute("SET session_replication_role = replica")
    connection.execute(";".join(f"DELETE FROM {name}" for name in names).encode())
    connection.execute("RESET session_replication_role")
    for sequence in ("schedule_id_seq", "slot_id_seq", "rooms_id_seq"):  # so that a failure can be repeated
        connection.execute(f"ALTER SEQUENCE {sequence} RESTART".encode())
    return connection
