"""Restored dumps, clones and promoted standbys, with real beats and workers: the rooms' receipts judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from models.ledger import instance
from ops.emulator import Emulator
from ops.local.postgres import PostgresServer
from ops.local.valkey import ValkeyServer
from runtime import redis_keys
from runtime.ids import SlotId
from tests.support import databases
from tests.support.beats import FAR_AWAY
from tests.support.hinting import Hinting
from tests.support.own_servers import OwnServers
from tests.support.processes import Processes
from tests.support.sending import ENDED, SCALED, Promises
from tests.support.standby import copy_of, either, make_synchronous, promote, standby_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.embedded_only
QUIET = ("-c", "4", "--without-gossip", "--without-mingle")
KINDS = ("key", "lookup", "none")
STEPS = {**SCALED, "JEONGSI_REPUBLISH_S": "0.5", "JEONGSI_REPUBLISH_PREPARED_S": "0.5"}


@pytest.fixture
def env(own_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Servers of the test's own, scaled times, the emulator's rooms."""
    variables = own_env | STEPS | {"JEONGSI_EMULATOR_URL": emulator.url}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def own(processes: Processes, env: dict[str, str]) -> Processes:
    """Beats and workers of the original."""
    processes.env = dict(env)
    return processes


@contextmanager
def ledger(url: str) -> Iterator[Promises]:
    with databases.connect(url) as db:
        yield Promises(db)


def promise(promises: Promises, in_s: float, name: str = "") -> dict[str, SlotId]:
    """A slot for each kind of provider, in a room of its own."""
    return {
        kind: promises.slot(
            promises.schedule(promises.room(f"{kind}{name}", f"emulator-{kind}"), **FAR_AWAY), in_s,
            valid_s=600, grace_s=600,
        )
        for kind in KINDS
    }  # fmt: skip


def delivered(promises: Promises, slots: dict[str, SlotId]) -> Callable[[], bool]:
    return lambda: {promises.state(slot) for slot in slots.values()} == {"delivered"}


def held(promises: Promises) -> bool:
    found = instance.standing(promises.db)
    return found is not None and found.held_at is not None


def why_held(promises: Promises) -> str:
    found = instance.standing(promises.db)
    assert found is not None
    return str(found.held_reason)


def counts(emulator: Emulator, name: str = "") -> set[int]:
    """How many messages each of these rooms got."""
    rooms = [one.room for one in emulator.receipts.all()]
    return {rooms.count(f"{kind}{name}") for kind in KINDS}


def nothing_more_comes(emulator: Emulator, promises: Promises, before: int) -> None:
    """Beats have ticked and workers have asked for what is due; nothing left."""
    ticked = promises.row("SELECT ledger_now() AS at")["at"]
    eventually(
        lambda: promises.row(
            "SELECT count(*) AS n FROM beat_pulse WHERE last_tick_at > %s::timestamptz + interval '3 s'",
            ticked,
        )["n"],
        timeout=60,
    )
    assert len(emulator.receipts.all()) == before


def start(processes: Processes, **env: str) -> None:
    processes.worker("send,confirm", *QUIET, wait=True, **env)
    processes.beat(wait=True, **env)


def test_a_folder_set_back_in_time_sends_nothing_again_and_old_hints_do_not_help(
    own: Processes, own_servers: OwnServers, emulator: Emulator, env: dict[str, str], tmp_path: Path
) -> None:
    """The same home, the same Redis, the same address; only the data folder is of before."""
    with ledger(env["DATABASE_URL"]) as promises:
        slots = promise(promises, 0.0)
    own_servers.postgres.stop()
    older = copy_of(own_servers.postgres, tmp_path / "older")
    own_servers.postgres.start()
    start(own)
    with ledger(env["DATABASE_URL"]) as promises:
        eventually(delivered(promises, slots), timeout=60, message=promises.story)
    for process in own.started:
        process.kill9()
    own_servers.postgres.stop()
    own_servers.postgres.data.rename(tmp_path / "lost")
    older.data.rename(own_servers.postgres.data)
    own_servers.postgres.start()

    hinting = Hinting()
    hinting.send(list(slots.values()))
    hinting.close()
    start(own)
    with ledger(env["DATABASE_URL"]) as promises:
        eventually(lambda: held(promises), timeout=60)
        assert "set back" in why_held(promises)
        nothing_more_comes(emulator, promises, 3)
        assert {promises.state(slot) for slot in slots.values()} == {"planned"}

        assert instance.release(promises.db, "unresolved", "a drill", "kim") == 3
        later = promise(promises, 1.0, " later")
        eventually(delivered(promises, later), timeout=60, message=promises.story)
        assert {promises.of(slot)["reason"] for slot in slots.values()} == {"restored"}
    assert (counts(emulator), counts(emulator, " later")) == ({1}, {1})


@pytest.mark.parametrize("shared", [False, True], ids=["a Redis of its own", "the same Redis"])
def test_a_clone_beside_the_original_sends_nothing_and_the_original_goes_on(
    shared: bool, own: Processes, own_servers: OwnServers, emulator: Emulator, env: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    with ledger(env["DATABASE_URL"]) as promises:
        slots = promise(promises, 8.0)
    start(own)
    client = redis.Redis.from_url(env["REDIS_URL"])
    eventually(lambda: client.hgetall(redis_keys.instances()), timeout=60)
    for process in own.started:
        process.terminate()
    own_servers.postgres.stop()
    clone = copy_of(own_servers.postgres, tmp_path / "clone")
    own_servers.postgres.start()
    valkey = ValkeyServer(tmp_path / "clone-valkey")
    try:
        clone.start()
        start(own)
        with ledger(env["DATABASE_URL"]) as promises:
            marked = promises.row("SELECT mark FROM instance")["mark"]
            eventually(lambda: promises.row("SELECT mark FROM instance")["mark"] > marked, timeout=60)
        if not shared:
            valkey.start()
        theirs = {
            "DATABASE_URL": clone.url, "JEONGSI_HOME": str(tmp_path / "clone-home"),
            "REDIS_URL": env["REDIS_URL"] if shared else valkey.url,
        }  # fmt: skip
        start(own, **theirs)
        with ledger(clone.url) as copied:
            eventually(lambda: held(copied), timeout=60)
        with ledger(env["DATABASE_URL"]) as promises:
            eventually(delivered(promises, slots), timeout=60, message=promises.story)
            assert not held(promises)
        with ledger(clone.url) as copied:
            nothing_more_comes(emulator, copied, 3)
            assert not {copied.state(slot) for slot in slots.values()} & set(ENDED)
        assert counts(emulator) == {1}
    finally:
        client.close()
        clone.kill()
        valkey.kill()


def test_a_standby_promoted_without_the_last_commits_is_held_and_sends_nothing_again(
    own: Processes, own_servers: OwnServers, emulator: Emulator, env: dict[str, str], tmp_path: Path
) -> None:
    primary = own_servers.postgres
    with ledger(env["DATABASE_URL"]) as promises:
        slots = promise(promises, 0.0)
    standby = standby_of(primary, tmp_path / "standby")
    try:
        own.env["DATABASE_URL"] = either(primary, standby)
        standby.kill()
        start(own)
        with ledger(primary.url) as promises:
            eventually(delivered(promises, slots), timeout=60, message=promises.story)
        primary.kill()
        standby.wanted_port = standby.port
        standby.start()
        promote(standby)
        with ledger(standby.url) as promises:
            eventually(lambda: held(promises), timeout=60)
            nothing_more_comes(emulator, promises, 3)
            assert {promises.state(slot) for slot in slots.values()} == {"planned"}
        assert counts(emulator) == {1}
    finally:
        standby.kill()


def test_a_synchronous_standby_takes_over_without_a_person_and_without_a_double(
    own: Processes, own_servers: OwnServers, emulator: Emulator, env: dict[str, str], tmp_path: Path
) -> None:
    primary = own_servers.postgres
    standby = standby_of(primary, tmp_path / "standby")
    make_synchronous(primary)
    try:
        own.env["DATABASE_URL"] = either(primary, standby)
        with ledger(primary.url) as promises:
            waves = [promise(promises, 3.0 + number / 10, f" {number}") for number in range(30)]
            start(own)
            eventually(lambda: len(emulator.receipts.all()) > 15, timeout=60, every=0.005)
        primary.kill()
        promote(standby)
        slots = [slot for wave in waves for slot in wave.values()]
        with ledger(standby.url) as promises:
            eventually(
                lambda: all(promises.state(slot) in ENDED for slot in slots), timeout=120,
                message=promises.story,
            )  # fmt: skip
            assert not held(promises)
            _judge(promises, emulator, waves)
    finally:
        standby.kill()


def _judge(promises: Promises, emulator: Emulator, waves: list[dict[str, SlotId]]) -> None:
    rooms = [one.room for one in emulator.receipts.all()]
    for number, wave in enumerate(waves):
        for kind, slot in wave.items():
            state, got = promises.state(slot), rooms.count(f"{kind} {number}")
            allowed: dict[str, tuple[int, ...]] = {"delivered": (1,)}
            if kind == "none":  # what was on its way when the primary died, nobody can look up
                allowed["unresolved"] = (0, 1)
            assert state in allowed, (kind, number, state, promises.of(slot))
            assert got in allowed[state], (kind, number, state, got)


def test_the_old_primary_that_comes_back_is_held(
    own: Processes, own_servers: OwnServers, emulator: Emulator, env: dict[str, str], tmp_path: Path
) -> None:
    primary = own_servers.postgres
    standby = standby_of(primary, tmp_path / "standby")
    make_synchronous(primary)
    try:
        with ledger(primary.url) as promises:
            promise(promises, 600.0)
        own.env["DATABASE_URL"] = either(primary, standby)
        start(own)
        client = redis.Redis.from_url(env["REDIS_URL"])
        eventually(lambda: '"sync": true' in _records(client), timeout=60)
        primary.kill()
        promote(standby)
        eventually(lambda: '"timeline": 2' in _records(client), timeout=60)
        client.close()
        for process in own.started:
            process.kill9()
        standby.stop()
        _without_standby(primary)
        start(own)
        with ledger(primary.url) as promises:
            eventually(lambda: held(promises), timeout=60)
            assert "timeline" in why_held(promises)
    finally:
        standby.kill()


def _records(client: redis.Redis) -> str:
    return str(client.hgetall(redis_keys.instances()))


def _without_standby(primary: PostgresServer) -> None:
    """Start it again as somebody would who forgot that another was promoted."""
    primary.wanted_port = primary.port
    primary.start()
    with psycopg.connect(primary.url_of("postgres"), autocommit=True) as db:
        db.execute("SET synchronous_commit = local")
        db.execute("ALTER SYSTEM RESET synchronous_standby_names")
        db.execute("SELECT pg_reload_conf()")
