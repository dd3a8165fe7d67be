"""The health checks of containers ask for signs of life, not for a process."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import psycopg
import pytest

from ops import health
from runtime import redis_keys
from runtime.clock import clock
from runtime.redis_client import lock_redis

HOST = socket.gethostname()
pytestmark = pytest.mark.usefixtures("env")


def said(capsys: pytest.CaptureFixture[str], *check: str) -> tuple[int, str]:
    status = health.main(list(check))
    return status, capsys.readouterr().out.strip()


def test_a_beat_is_healthy_while_it_ticks(pg: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "beat") == (1, f"no beat of {HOST} has ever ticked")
    pg.execute(
        "INSERT INTO beat_pulse (node, started_at, last_tick_at)"
        " VALUES (%s, clock_timestamp(), clock_timestamp())",
        (f"{HOST}:7",),
    )
    assert said(capsys, "beat") == (0, "healthy")
    pg.execute("UPDATE beat_pulse SET last_tick_at = last_tick_at - interval '20 s'")
    assert said(capsys, "beat") == (1, f"the beat of {HOST} ticked last 20 s ago")


def test_a_worker_is_healthy_while_it_shows_itself_on_its_queue(capsys: pytest.CaptureFixture[str]) -> None:
    def seen(ago_s: float) -> None:
        word = json.dumps({"at": clock().now().timestamp() - ago_s})
        lock_redis().hset(redis_keys.workers("send"), f"{HOST}:7", word)

    assert said(capsys, "worker", "send") == (1, f"no worker of {HOST} takes from the queue send")
    seen(1)
    assert said(capsys, "worker", "send") == (0, "healthy")
    assert said(capsys, "worker", "confirm")[0] == 1
    seen(60)
    assert said(capsys, "worker", "send") == (1, f"the worker of {HOST} showed itself last 60 s ago")


class Flower(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthcheck" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def flower(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Flower) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("FLOWER_PORT", str(server.server_port))
        yield server
        server.shutdown()


def test_flower_is_healthy_while_it_answers(flower: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "flower") == (0, "healthy")


def test_a_server_out_of_reach_is_unhealthy_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWER_PORT", "1")
    status, sentence = said(capsys, "flower")
    assert status == 1
    assert "refused" in sentence
