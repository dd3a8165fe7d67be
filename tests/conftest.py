"""Servers, databases and processes for tests. Everything here is real; nothing outlives the run.

Under xdist the controlling process starts the servers and the workers share them; each test has a
database of its own and each worker a Redis database of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import databases, redis_databases
from tests.support.environment import clear_caches, point_at
from tests.support.own_servers import OwnServers
from tests.support.own_servers import start as start_own_servers
from tests.support.processes import Processes
from tests.support.run import Run, RunOwner

_OWNER = pytest.StashKey[RunOwner]()
_RUN = pytest.StashKey[Run]()
_PROCESSES = pytest.StashKey[Processes]()


def pytest_configure(config: pytest.Config) -> None:
    foreign = os.environ.get("TEST_DATABASE_URL")
    if foreign:
        try:
            databases.refuse_if_real(foreign, os.environ.get("DATABASE_URL"))
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    carried = getattr(config, "workerinput", {}).get("run")
    if carried is not None:
        config.stash[_RUN] = Run(**carried)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run"] = _run_of(node.config).carried()


def pytest_unconfigure(config: pytest.Config) -> None:
    owner = config.stash.get(_OWNER, None)
    if owner is None:
        return
    run = config.stash.get(_RUN, None)
    try:
        if run is not None and not run.embedded_postgres:
            databases.drop_all_of(run)
    finally:
        owner.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "crash" in item.path.parent.parts:
            item.add_marker(pytest.mark.crash)
    if os.environ.get("TEST_DATABASE_URL") or os.environ.get("TEST_REDIS_URL"):
        skip = pytest.mark.skip(reason="flushes, stops or kills a server, and these are not ours")
        for item in items:
            if item.get_closest_marker("embedded_only"):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    started = item.stash.get(_PROCESSES, None)
    if report.failed and started is not None and started.started:
        report.sections.append(("processes", started.report()))
    return report


def _run_of(config: pytest.Config) -> Run:
    run = config.stash.get(_RUN, None)
    if run is None:
        config.stash[_OWNER] = owner = RunOwner()
        config.stash[_RUN] = run = owner.start()
    return run


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Run:
    """The servers that all tests of this run share."""
    return _run_of(pytestconfig)


@pytest.fixture(scope="session")
def template(run: Run) -> str:
    """The name of a migrated database, to be cloned."""
    return databases.template_of(run)


@pytest.fixture
def db_url(run: Run, template: str) -> Iterator[str]:
    """A migrated, empty database of this test's own."""
    with databases.cloned(run, template) as url:
        yield url


@pytest.fixture
def empty_db_url(run: Run) -> Iterator[str]:
    """A database of this test's own with nothing in it, for tests of migrations."""
    with databases.cloned(run, None) as url:
        yield url


@pytest.fixture
def pg(db_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the test's database."""
    with databases.connect(db_url) as connection:
        yield connection


@pytest.fixture(scope="session")
def _redis_database(run: Run) -> Iterator[str]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    with redis_databases.claimed(run, int(worker), os.environ.get("REDIS_URL")) as url:
        yield url


@pytest.fixture
def redis_url(_redis_database: str) -> str:
    """A Redis database that no other test process uses, empty."""
    redis_databases.empty(_redis_database)
    return _redis_database


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A JEONGSI_HOME of the test's own."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def env(db_url: str, redis_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """This process uses the test's database, Redis and home; the variables, for its child processes."""
    yield from _pointed(monkeypatch, db_url, redis_url, home)


@pytest.fixture
def own_servers(run: Run, tmp_path: Path) -> Iterator[OwnServers]:
    """A Postgres and a Valkey that this test alone uses, and may stop, flush and kill."""
    servers = start_own_servers(run, tmp_path)
    yield servers
    servers.close()


@pytest.fixture
def own_env(own_servers: OwnServers, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """As `env`, but with servers of the test's own."""
    yield from _pointed(monkeypatch, own_servers.database_url, own_servers.redis_url, home)


@pytest.fixture
def processes(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Processes]:
    """Starts real processes with the variables of `env` (or `own_env`, if the test uses that)."""
    name = "own_env" if "own_env" in request.fixturenames else "env"
    folder = tmp_path / "processes"
    folder.mkdir()
    started = Processes(folder, request.getfixturevalue(name))
    request.node.stash[_PROCESSES] = started
    yield started
    started.reap()


def _pointed(
    patch: pytest.MonkeyPatch, database_url: str, redis_url: str, home: Path
) -> Iterator[dict[str, str]]:
    clear_caches()
    yield point_at(patch, database_url, redis_url, home)
    clear_caches()
