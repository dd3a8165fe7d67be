"""The whole system on this machine: servers, migrations, emulator, beats, workers, Flower.

`Stack` starts and stops it; what a person sees of it is in `up.py` and `live.py`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis
import requests

from models import migrate
from models.queries import last_tick
from ops.demo.uploads import ACCOUNT
from ops.local.home import Home
from ops.local.ports import free_port, is_free
from ops.local.processes import Child, Plan, stop_all
from ops.local.servers import PostgresServer, ValkeyServer
from runtime import redis_keys
from runtime.clock import clock
from runtime.redis_client import client_of
from runtime.settings import Settings

READY_S = 30.0
STOP_S = 7.0
_ROOT = Path(__file__).parents[2]


class StackFailed(RuntimeError):
    """The system did not come up; the message says what stands in the way and what to do."""


@dataclass(frozen=True)
class Options:
    """What may be chosen for a run. Ports: None takes a free one, the one used before if possible.

    ``fault_rate``: share of the emulator's sends that meet a provider fault, 0..1.
    """

    postgres_port: int | None = None
    redis_port: int | None = None
    emulator_port: int | None = None
    flower_port: int | None = None
    send_workers: int | None = None
    fault_rate: float = 0.0
    seed: int = 1
    env: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """One run of the system in one home. Use it inside ``home.lock()``."""

    def __init__(self, home: Home, settings: Settings, options: Options, say: Callable[[str], None]) -> None:
        self.home = home
        self.options = options
        self._settings = settings
        self._say = say
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None
        self._emulator: Child | None = None
        self._children: list[Child] = []
        self.database_url = ""
        self.redis_url = ""
        self.emulator_url = ""
        self.flower_url = ""
        self.playauto_url = ""

    @property
    def embedded(self) -> bool:
        """Whether the database is our own child, made for trying things out."""
        return self._postgres is not None

    @property
    def receipts(self) -> Path:
        """The emulator's receipt log: what the rooms would have shown."""
        return self.home.path / "receipts.jsonl"

    def start_servers(self) -> None:
        """Postgres and Redis (embedded unless the environment names others), migrations, emulator."""
        self._say("servers …")
        self.database_url = self._settings.database_url or self._start_postgres()
        self.redis_url = self._settings.redis_url or self._start_valkey()
        done = self._migrate()
        for sentence in done:
            self._say(f"database: {sentence}")
        if any(sentence.startswith("tables: nothing") for sentence in done):
            self._set_receipts_aside()
        self._start_emulator()
        addresses = {
            "database_url": self.database_url, "redis_url": self.redis_url, "emulator_url": self.emulator_url,
        }  # fmt: skip
        if self._playauto_is_emulated():
            self.playauto_url = addresses["playauto_api_url"] = f"{self.emulator_url}/playauto"
        self.home.write_run(**addresses)

    def start_system(self) -> None:
        """Beats, workers and Flower; returns when all of them answer."""
        self._say("beats, workers, Flower …")
        send = self.options.send_workers or max(1, (os.cpu_count() or 2) - 1)
        names = [("beat-1", _beat(self.home, 1)), ("beat-2", _beat(self.home, 2))]
        names += [(f"send-{n}", _worker("send", f"send-{n}")) for n in range(1, send + 1)]
        names += [("confirm-1", _worker("confirm,upkeep,enqueue,notify", "confirm-1"))]
        names += [("tracking-1", _worker("tracking", "tracking-1"))]
        for name, command in names:
            self._add(name, command)
        self._start_flower()
        self._wait_until_ready(send)

    def check(self) -> list[str]:
        """See to every child; sentences about what happened since the last look."""
        watched = [*self._children, *([self._emulator] if self._emulator else [])]
        return [sentence for sentence in (child.check() for child in watched) if sentence]

    def stop_system(self) -> None:
        """End beats, workers and Flower, all at once; sends in flight are finished."""
        stop_all(self._children, timeout=STOP_S)
        self._children = []

    def stop_servers(self) -> None:
        """End the emulator and the servers that are ours."""
        if self._emulator is not None:
            self._emulator.stop(timeout=1.0)
        self.home.clear_run()
        for server in (self._valkey, self._postgres):
            if server is not None:
                server.stop()

    def connect(self) -> psycopg.Connection[Any]:
        """An autocommit connection to the ledger."""
        return psycopg.connect(self.database_url, autocommit=True)

    def pids(self) -> dict[str, int]:
        """Name -> pid of everything that runs now."""
        watched = [*self._children, *([self._emulator] if self._emulator else [])]
        servers = [server for server in (self._postgres, self._valkey) if server is not None]
        return {c.name: c.pid for c in watched if c.pid} | {s.name: s.pid for s in servers if s.pid}

    def environment(self) -> dict[str, str]:
        """What every child of this stack runs with."""
        return {
            **os.environ, "DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url,
            "JEONGSI_EMULATOR_URL": self.emulator_url, "JEONGSI_HOME": str(self.home.path),
            **self.options.env,
        }  # fmt: skip

    # -- servers --------------------------------------------------------------------------------

    def _start_postgres(self) -> str:
        self._postgres = PostgresServer(self.home.folder("postgres"), port=self.options.postgres_port)
        self._postgres.start()
        return self._postgres.url

    def _start_valkey(self) -> str:
        self._valkey = ValkeyServer(self.home.folder("valkey"), port=self.options.redis_port)
        self._valkey.start()
        return self._valkey.url

    def _migrate(self) -> list[str]:
        try:
            return migrate.upgrade(self.database_url)
        except Exception as error:
            raise StackFailed(
                f"The database could not be migrated: {error}. If it is damaged, restore a backup; if it "
                f"holds nothing you need, move {self.home.path / 'postgres'} away and start again."
            ) from error

    def _playauto_is_emulated(self) -> bool:
        """Only where nobody can mean the real one: a database for trying things out, no login, no address, no
        account but the demo's. Children and commands read it from run.json, the weakest of sources."""
        known = self._settings
        chosen = known.playauto_api_url != Settings.model_fields["playauto_api_url"].default
        if not self.embedded or chosen or known.playauto_api_key is not None:
            return False
        with self.connect() as db:
            row = db.execute(
                "SELECT count(*) FROM tracking_upload_scheduler WHERE deleted_at IS NULL AND account <> %s",
                (ACCOUNT,),
            ).fetchone()
        return row is not None and not row[0]

    def _set_receipts_aside(self) -> None:
        """A new ledger knows nothing of an older one's receipts."""
        if self.receipts.exists():
            self.receipts.replace(self.receipts.with_suffix(".before.jsonl"))

    def _start_emulator(self) -> None:
        port = self._port("emulator", self.options.emulator_port)
        command = [
            sys.executable, "-m", "ops.emulator", "--port", str(port), "--receipts", str(self.receipts),
            "--seed", str(self.options.seed), "--fault-rate", str(self.options.fault_rate),
        ]  # fmt: skip
        self.emulator_url = f"http://127.0.0.1:{port}"
        self._emulator = self._child("emulator", command, env=dict(os.environ))
        self._emulator.start()
        if not self._emulator.wait_for(lambda: not is_free(port), READY_S):
            raise StackFailed(f"The emulator did not start:\n{self._emulator.tail()}")

    def _port(self, name: str, wanted: int | None, usual: int | None = None) -> int:
        """The port asked for, else the one used last time, else the usual one, else any free one."""
        if wanted is not None and not is_free(wanted):
            raise StackFailed(
                f"Port {wanted} for the {name} is taken; choose another, or none to get a free one."
            )
        kept = self.home.folder("run") / f"{name}.port"
        last = int(kept.read_text()) if kept.exists() else None
        port = wanted or next((p for p in (last, usual) if p and is_free(p)), None) or free_port()
        kept.write_text(str(port))
        return port

    # -- processes ------------------------------------------------------------------------------

    def _child(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        plan = Plan(name, command, env=env, cwd=_ROOT)
        return Child(plan, state_folder=self.home.folder("run"), log_folder=self.home.folder("log"))

    def _add(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
        child = self._child(name, command, env or self.environment())
        child.start()
        self._children.append(child)
        return child

    def _start_flower(self) -> None:
        port = self._port("flower", self.options.flower_port, self._settings.flower_port)
        env = {**self.environment(), "FLOWER_PORT": str(port)}
        self._add("flower", [*_CELERY, "flower"], env)
        self.flower_url = f"http://{self._settings.flower_address}:{port}"

    def _wait_until_ready(self, send_workers: int) -> None:
        end = clock().monotonic() + READY_S
        while (missing := self._missing(send_workers)) and clock().monotonic() < end:
            for sentence in self.check():
                self._say(sentence)
            clock().wait(0.1)
        if missing:
            raise StackFailed(
                f"{missing} did not come up within {READY_S:g} s; its log is in {self.home.path / 'log'}"
            )

    def _missing(self, send_workers: int) -> str | None:
        with self.connect() as db:
            ticked = last_tick(db)
        if ticked is None or (clock().now() - ticked).total_seconds() > 3:
            return "beat-1"
        try:
            with client_of(self.redis_url, socket_timeout=2, connect_timeout=2) as client:
                if len(_living(client, "send")) < send_workers:
                    return "send-1"
                if not _living(client, "confirm"):
                    return "confirm-1"
                if not _living(client, "tracking"):
                    return "tracking-1"
            answer = requests.get(self.flower_url, timeout=2, allow_redirects=False)
        except (redis.RedisError, requests.RequestException):
            return "flower"
        return None if answer.status_code in (200, 302, 401) else "flower"


_CELERY = [sys.executable, "-m", "celery", "-A", "workers"]


def _beat(home: Home, number: int) -> list[str]:
    return [*_CELERY, "beat", "--pidfile", str(home.folder("run") / f"beat-{number}.pid")]


def _worker(queues: str, name: str) -> list[str]:
    return [*_CELERY, "worker", "-Q", queues, "-n", f"{name}@%h", "--without-gossip", "--without-mingle"]


def _living(client: redis.Redis, queue: str) -> list[str]:
    now = clock().now().timestamp()
    found: Any = client.hgetall(redis_keys.workers(queue))
    return [node for node, word in found.items() if now - json.loads(word)["at"] < 5]
