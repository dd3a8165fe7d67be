"""A second Postgres for one test: a streaming standby of the first, or a copy of its data folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psycopg

from ops.local.account import unprivileged
from ops.local.binaries import postgres_programs
from ops.local.postgres import PostgresServer
from tests.support.waiting import eventually


def standby_of(primary: PostgresServer, folder: Path) -> PostgresServer:
    """A started standby that follows the primary; made by pg_basebackup."""
    made = PostgresServer(folder, password=primary.password)
    account = unprivileged()
    folder.mkdir(mode=0o700)
    made.data.mkdir(mode=0o700)
    if account is not None:
        shutil.chown(made.data, account.uid, account.gid)
    done = subprocess.run(
        [
            str(postgres_programs(account) / "pg_basebackup"), "-D", "/proc/self/cwd", "-R", "-X", "stream",
            "--checkpoint=fast", "-d", primary.url_of("postgres"),
        ],
        cwd=made.data, capture_output=True, text=True, timeout=60, check=False,
        user=account.uid if account else None, group=account.gid if account else None,
        extra_groups=[] if account else None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "initialised").touch()
    made.start()
    with psycopg.connect(primary.url, autocommit=True) as db:
        eventually(lambda: db.execute("SELECT 1 FROM pg_stat_replication").fetchone(), timeout=20)
    return made


def make_synchronous(primary: PostgresServer) -> None:
    """From now on no commit of the primary is acknowledged before the standby has it."""
    with psycopg.connect(primary.url, autocommit=True) as db:
        db.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        db.execute("SELECT pg_reload_conf()")
        eventually(
            lambda: db.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone(),
            timeout=20,
        )


def promote(standby: PostgresServer) -> None:
    """Make it a primary, and wait until it takes writes."""
    with psycopg.connect(standby.url_of("postgres"), autocommit=True) as db:
        db.execute("SELECT pg_promote(true, 30)")
        eventually(lambda: db.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,), timeout=30)


def copy_of(stopped: PostgresServer, folder: Path) -> PostgresServer:
    """A server on a copy of the data folder of one that was stopped; not started."""
    assert not stopped.running
    subprocess.run(["cp", "-a", str(stopped.folder), str(folder)], check=True)
    (folder / "server.json").unlink(missing_ok=True)
    return PostgresServer(folder)


def either(first: PostgresServer, second: PostgresServer) -> str:
    """An address that leads to whichever of the two takes writes."""
    login, _, rest = first.url.rpartition("@")
    name = rest.partition("/")[2]
    return f"{login}@127.0.0.1:{first.port},127.0.0.1:{second.port}/{name}?target_session_attrs=read-write"
