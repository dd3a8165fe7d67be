"""The servers of one run, the proxies before them, and the emulated provider."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
import requests

from models import migrate
from ops.chaos.crew import ROOT
from ops.chaos.plan import SCALED, SLOW_S
from ops.chaos.proxy import PostgresSpeech, TcpProxy
from ops.local.identity import Identity
from ops.local.servers import PostgresServer, ValkeyServer, free_port, is_free
from ops.local.spawn import Order, spawn
from runtime.clock import clock

_START_S = 20.0


class World:
    """Postgres (durable) and Valkey of its own below ``home``, each behind a proxy; the emulator."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.seed = seed
        self.postgres = PostgresServer(home / "postgres")
        self.valkey = ValkeyServer(home / "valkey", debug=True)
        self.receipts = home / "receipts.jsonl"
        self.log = home / "log"
        self.emulator_url = ""
        self._emulator: Identity | None = None

    def start(self) -> None:
        """Start everything that is no worker and no beat."""
        for folder in (self.log, self.home / "members", self.home / "work"):
            folder.mkdir(parents=True, exist_ok=True)
        self.postgres.start()
        self.valkey.start()
        migrate.upgrade(self.postgres.url)
        self.ledger_proxy = TcpProxy(("127.0.0.1", self.postgres.port), PostgresSpeech).open()
        self.redis_proxy = TcpProxy(("127.0.0.1", self.valkey.port)).open()
        self._start_emulator()
        self.kakao_token = self._log_in()

    def environment(self) -> dict[str, str]:
        """What workers and beats run with: scaled times, servers behind their proxies."""
        return {
            **os.environ, **SCALED, "ENVIRONMENT": "testing", "LOG_LEVEL": "WARNING", "LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1", "DATABASE_URL": _moved(self.postgres.url, self.ledger_proxy.port),
            "REDIS_URL": _moved(self.valkey.url, self.redis_proxy.port),
            "JEONGSI_EMULATOR_URL": self.emulator_url,
            "KAKAO_BOT_URL": f"iris-2=iris+{self.emulator_url}/iris-2",
            "KAKAO_API_URL": f"{self.emulator_url}/kakao", "KAKAO_AUTH_URL": f"{self.emulator_url}/kauth",
            "KAKAO_ACCESS_TOKEN": self.kakao_token,
            "JEONGSI_HOME": str(self.home / "work"),
        }  # fmt: skip

    def connect(self) -> psycopg.Connection[Any]:
        """An autocommit connection to the ledger, past the proxy."""
        return psycopg.connect(self.postgres.url, autocommit=True, application_name="chaos")

    def redis(self) -> redis.Redis:
        """A client past the proxy."""
        return redis.Redis.from_url(self.valkey.url, socket_timeout=5)

    def empty_redis(self) -> None:
        """Kill Redis and start it on the same port with nothing in it."""
        port = self.valkey.port
        self.valkey.kill()
        for leftover in self.valkey.folder.glob("appendonlydir"):
            shutil.rmtree(leftover)
        self.valkey.wanted_port = port
        self.valkey.start()

    def script(self, what: str, asked: dict[str, Any]) -> None:
        """Tell the emulator: `faults` or `settings`."""
        requests.post(f"{self.emulator_url}/_control/{what}", json=asked, timeout=5).raise_for_status()

    def read(self, what: str) -> dict[str, Any]:
        """Ask the emulator: `requests`, `faults`."""
        found: dict[str, Any] = requests.get(f"{self.emulator_url}/_control/{what}", timeout=30).json()
        return found

    def read_receipts(self) -> list[dict[str, Any]]:
        """Every effect so far."""
        if not self.receipts.exists():
            return []
        lines = self.receipts.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def close(self) -> None:
        """End everything."""
        if self._emulator is not None:
            self._emulator.end(signal.SIGTERM, 3.0)
        for proxy in (getattr(self, "ledger_proxy", None), getattr(self, "redis_proxy", None)):
            if proxy is not None:
                proxy.close()
        self.valkey.stop()
        self.postgres.stop()

    def _log_in(self) -> str:
        form = {"grant_type": "authorization_code", "code": "good"}
        answer = requests.post(f"{self.emulator_url}/kauth/oauth/token", data=form, timeout=5)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def _start_emulator(self) -> None:
        port = free_port()
        command = [
            sys.executable, "-m", "ops.emulator", "--port", str(port), "--receipts", str(self.receipts),
            "--seed", str(self.seed), "--slow-s", str(SLOW_S), "--deliver-after-s", "0.2",
        ]  # fmt: skip
        self.emulator_url = f"http://127.0.0.1:{port}"
        child = spawn(
            Order(
                command, state=self.home / "emulator.json", log=self.log / "emulator.log", cwd=ROOT,
                env=dict(os.environ), death_signal=signal.SIGTERM,
            )
        )  # fmt: skip
        self._emulator = Identity.of(child.pid)
        end = clock().monotonic() + _START_S
        while is_free(port):
            if child.poll() is not None or clock().monotonic() > end:
                raise RuntimeError(f"the emulator did not start; its log is {self.log / 'emulator.log'}")
            clock().wait(0.05)


def _moved(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
