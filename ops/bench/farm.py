"""Servers, beats, workers and a receiver for one measurement: started, measured, stopped, removed.

Postgres is durable (fsync on), everything listens on loopback, and every process is a child that dies
with this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import redis
import requests

from models import migrate
from ops.local.servers import PostgresServer, ValkeyServer
from ops.local.spawn import Order, spawn
from runtime.clock import clock

_ROOT = Path(__file__).parents[2]
_CELERY = ("-m", "celery", "-A", "workers")
START_S = 30.0


class Farm:
    """Everything of one measurement, in a folder of its own. Use it as a context."""

    def __init__(self, **env: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="jeongsi-bench-", dir="/var/tmp"))
        self.folder.chmod(0o755)  # as root, the servers run as somebody else
        self.postgres = PostgresServer(self.folder / "postgres")
        self.valkey = ValkeyServer(self.folder / "valkey")
        self._env = env
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self.postgres.start()
            self.valkey.start()
            migrate.upgrade(self.postgres.url)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._children):
            self.stop(name)
        for server in (self.valkey, self.postgres):
            server.kill()  # its data is thrown away
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """What every child runs with."""
        return {
            **os.environ, "DATABASE_URL": self.postgres.url, "REDIS_URL": self.valkey.url,
            "JEONGSI_HOME": str(self.folder / "home"), "ENVIRONMENT": "development",
            "JEONGSI_LOG_FORMAT": "json", "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1", **self._env,
        }  # fmt: skip

    def connect(self) -> psycopg.Connection[Any]:
        """An autocommit connection to the ledger."""
        return psycopg.connect(self.postgres.url, autocommit=True)

    def broker(self) -> redis.Redis:
        """A client of the broker."""
        return redis.Redis.from_url(self.valkey.url)

    # -- children --------------------------------------------------------------------------------

    def beat(self, name: str = "beat", **env: str) -> None:
        """Start a beat; returns when it ticks."""
        self._start(name, *_CELERY, "beat", "-l", "WARNING", "--pidfile=", **env)
        with self.connect() as db:
            before = db.execute("SELECT max(last_tick_at) FROM beat_pulse").fetchone()
            self._until(
                name,
                lambda: db.execute("SELECT max(last_tick_at) FROM beat_pulse").fetchone() != before,
            )

    def worker(self, queues: str = "send", name: str = "send-1", concurrency: int = 16, **env: str) -> None:
        """Start a worker; returns when its heartbeat is there."""
        options = ("--without-gossip", "--without-mingle", "-l", "WARNING")
        self._start(
            name, *_CELERY, "worker", "-Q", queues, "-n", f"{name}@%h", "-c", str(concurrency), *options,
            JEONGSI_WORKER_CONCURRENCY=str(concurrency), **env,
        )  # fmt: skip
        key = f"jeongsi:workers:{queues.split(',', maxsplit=1)[0]}"
        count = sum(1 for other in self._children if other.startswith(name.rstrip("0123456789")))
        with self.broker() as client:
            self._until(name, lambda: client.hlen(key) >= count)

    def receiver(self, *options: str) -> str:
        """Start the receiver; answers its URL."""
        log = self._start("receiver", "-m", "ops.bench.receiver", *options)
        self._until("receiver", lambda: "http://" in log.read_text(encoding="utf-8"))
        url = log.read_text(encoding="utf-8").strip().splitlines()[-1]
        self._env["KAKAO_BOT_URL"] = f"receiver=bridge+{url}"
        return url

    def emulator(self, channels: Sequence[str]) -> str:
        """Start the provider emulator with these Iris devices as channels, and PlayAuto; answers its URL."""
        log = self._start("emulator", "-m", "ops.emulator")
        self._until("emulator", lambda: '"url"' in log.read_text(encoding="utf-8"))
        url = str(json.loads(log.read_text(encoding="utf-8").splitlines()[0])["url"])
        if channels:
            self._env["KAKAO_BOT_URL"] = ",".join(f"{name}=iris+{url}/{name}" for name in channels)
        self._env["PLAYAUTO_API_URL"] = f"{url}/playauto"
        return url

    def python(self, name: str, *arguments: str, **env: str) -> None:
        """Start any Python program under this name; returns at once."""
        self._start(name, *arguments, **env)

    def running(self, name: str) -> bool:
        """Whether a child still runs."""
        return self._children[name].poll() is None

    def kill9(self, name: str) -> None:
        """End a child and all its own children by signal 9: what it held is gone with it."""
        child = self._children.pop(name)
        family = [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait()

    def stop(self, name: str) -> None:
        """End a child, kindly first."""
        child = self._children.pop(name)
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def log(self, name: str) -> str:
        """What a child has written."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def pid(self, name: str) -> int:
        """The process of a child."""
        return self._children[name].pid

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, by child; Postgres and Redis with all their processes."""
        pids = {name: child.pid for name, child in self._children.items()}
        pids |= {"postgres": self.postgres.pid or 0, "redis": self.valkey.pid or 0}
        return {name: _cpu_s(pid) for name, pid in pids.items() if pid}

    def rss_mb(self, name: str) -> float:
        """Resident memory of a child, in MB."""
        return float(psutil.Process(self.pid(name)).memory_info().rss) / 1e6

    def _start(self, name: str, *arguments: str, **env: str) -> Path:
        log = self.folder / f"{name}.log"
        (self.folder / "home").mkdir(exist_ok=True)
        self._children[name] = spawn(
            Order(
                [sys.executable, *arguments], state=self.folder / f"{name}.json", log=log, cwd=_ROOT,
                env={**self.environment, **env}, death_signal=signal.SIGKILL,
            )
        )  # fmt: skip
        return log

    def _until(self, name: str, met: Callable[[], object]) -> None:
        end = clock().monotonic() + START_S
        while not met():
            if self._children[name].poll() is not None or clock().monotonic() > end:
                raise RuntimeError(f"{name} did not start:\n{self.log(name)[-2000:]}")
            clock().wait(0.02)


def _cpu_s(pid: int) -> float:
    parent = psutil.Process(pid)
    total = 0.0
    for process in (parent, *parent.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + (times.children_user + times.children_system)
    return total


def until_arrived(receiver: str, count: int, limit_s: float) -> dict[str, Any]:
    """What a receiver has got once it has ``count`` messages, or after ``limit_s`` seconds."""
    end = clock().monotonic() + limit_s
    while True:
        seen = dict(stats(receiver))
        if seen["count"] >= count or clock().monotonic() > end:
            return seen
        clock().wait(0.5)


def stats(receiver: str) -> Mapping[str, Any]:
    """What a receiver has got."""
    answer: dict[str, Any] = requests.get(f"{receiver}/stats", timeout=10).json()
    return answer
