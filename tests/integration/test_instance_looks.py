"""What a beat finds when it looks at a database: restored dumps, clones, lost records."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from beat.instance import Keeper
from beat.witness import Witnesses
from models.ledger import instance
from ops.local.account import unprivileged
from ops.local.binaries import postgres_programs
from runtime import redis_keys
from runtime.events import Event, captured
from runtime.settings import get_settings
from tests.support import databases
from tests.support.cli import jeongsi
from tests.support.run import Run
from tests.support.waiting import eventually
from tests.support.world import World


@pytest.fixture
def world(pg: psycopg.Connection[Any], env: dict[str, str]) -> World:
    """Time stands at nine; one room, no gap."""
    world = World(pg)
    world.room("방1", gap_ms=0)
    return world


@pytest.fixture
def keeper(env: dict[str, str]) -> Iterator[Keeper]:
    one = Keeper(get_settings())
    yield one
    one.close(5)


def held(db: psycopg.Connection[Any]) -> bool:
    row = db.execute("SELECT ledger_held()").fetchone()
    assert row is not None
    return bool(row[0])


def look(heard: Event) -> None:
    """A beat starts, looks once and says this."""
    with captured() as told:
        one = Keeper(get_settings())
        try:
            eventually(lambda: told, timeout=20)
        finally:
            one.close(5)
    assert told[0][0] is heard, told


def restored(run: Run, url: str, folder: Path) -> str:
    """A dump of a database taken by `pg_dump`, restored into a new one."""
    name = urlsplit(url).path.strip("/")
    dump = folder / "dump.sql"
    _run("pg_dump", url, "--file", str(dump))
    copy = f"{name}_restored"
    with databases.connect(run.database_url) as admin:
        admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE template0'.encode())
    made = databases.with_database(url, copy)
    _run("psql", made, "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dump))
    return made


def _run(program: str, url: str, *arguments: str) -> None:
    bin_ = postgres_programs(unprivileged())
    done = subprocess.run(
        [str(bin_ / program), *arguments, url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_dump_that_is_restored_is_held_until_a_beat_looked_and_then_by_a_reason(
    world: World, env: dict[str, str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.once(in_s=60)
    look(Event.INSTANCE_VOUCHED)
    made = restored(run, env["DATABASE_URL"], tmp_path)
    try:
        with databases.connect(made) as copy:
            assert held(copy)
            monkeypatch.setenv("DATABASE_URL", made)
            _forget()
            look(Event.INSTANCE_HELD)
            standing = instance.standing(copy)
            assert standing is not None
            assert "restored or copied" in str(standing.held_reason)
            row = copy.execute("SELECT state FROM slots").fetchone()
            assert row == ("planned",)
        assert not held(world.db)
    finally:
        _forget()
        with databases.connect(run.database_url) as admin:
            admin.execute(f'DROP DATABASE "{urlsplit(made).path.strip("/")}" WITH (FORCE)'.encode())


def _forget() -> None:
    from tests.support.environment import clear_caches

    clear_caches()


def test_the_same_database_set_back_in_time_is_held_before_anybody_looks(
    world: World, env: dict[str, str], tmp_path: Path
) -> None:
    look(Event.INSTANCE_VOUCHED)
    dump = tmp_path / "dump.sql"
    url = env["DATABASE_URL"]
    _run("pg_dump", url, "--file", str(dump))
    look(Event.INSTANCE_VOUCHED)
    world.once(in_s=60)
    world.db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    _run("psql", url, "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dump))

    assert held(world.db)
    world.once(in_s=60)  # in the time after the dump it, too, had a past
    look(Event.INSTANCE_HELD)
    assert "set back" in jeongsi("instance", "show").out


def test_a_clone_by_template_is_held_before_anybody_looks(
    world: World, env: dict[str, str], run: Run
) -> None:
    look(Event.INSTANCE_VOUCHED)
    name = urlsplit(env["DATABASE_URL"]).path.strip("/")
    world.db.close()
    _forget()
    with databases.connect(run.database_url) as admin:
        admin.execute(f'CREATE DATABASE "{name}_clone" TEMPLATE "{name}" STRATEGY FILE_COPY'.encode())
        try:
            with databases.connect(databases.with_database(run.database_url, f"{name}_clone")) as clone:
                assert held(clone)
            with databases.connect(env["DATABASE_URL"]) as original:
                assert not held(original)
        finally:
            admin.execute(f'DROP DATABASE "{name}_clone" WITH (FORCE)'.encode())


@pytest.mark.parametrize("lost", ["redis", "home"])
def test_one_lost_record_is_written_anew(world: World, home: Path, env: dict[str, str], lost: str) -> None:
    world.once(in_s=60)
    look(Event.INSTANCE_VOUCHED)
    client = redis.Redis.from_url(env["REDIS_URL"])
    if lost == "redis":
        client.delete(redis_keys.instances())
    else:
        (home / "instance.json").unlink()
    break_the_seal(world)
    look(Event.INSTANCE_VOUCHED)
    seen = Witnesses(home).read()
    assert [len(seen.home), len(seen.redis)] == [1, 1]
    client.close()


def break_the_seal(world: World) -> None:
    """As after a start of the server."""
    world.db.execute("UPDATE instance SET seal_start = NULL")
    assert held(world.db)


def test_both_records_lost_hold_a_database_whose_server_has_started_anew(
    world: World, home: Path, env: dict[str, str]
) -> None:
    world.once(in_s=60)
    look(Event.INSTANCE_VOUCHED)
    redis.Redis.from_url(env["REDIS_URL"]).delete(redis_keys.instances())
    (home / "instance.json").unlink()
    look(Event.INSTANCE_VOUCHED)  # the seal is whole
    redis.Redis.from_url(env["REDIS_URL"]).delete(redis_keys.instances())
    (home / "instance.json").unlink()
    break_the_seal(world)
    look(Event.INSTANCE_HELD)
    assert not (home / "instance.json").exists()  # a held database writes no record


def test_a_beat_that_runs_remembers_by_itself(
    world: World, home: Path, keeper: Keeper, env: dict[str, str]
) -> None:
    world.once(in_s=60)
    eventually(lambda: (home / "instance.json").exists(), timeout=20)
    redis.Redis.from_url(env["REDIS_URL"]).delete(redis_keys.instances())
    (home / "instance.json").unlink()
    world.db.execute("UPDATE instance SET seal_start = NULL")
    eventually(lambda: not held(world.db) and (home / "instance.json").exists(), timeout=20)
