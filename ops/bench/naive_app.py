"""The worker of the naive task."""

from __future__ import annotations

import os

import psycopg
import redis
import requests
from celery import Celery

from ops.bench.contenders import common

app: Celery = common.app("naive")
_connections: dict[str, object] = {}


def _db() -> psycopg.Connection[tuple[object, ...]]:
    if "db" not in _connections:
        _connections["db"] = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    return _connections["db"]  # type: ignore[return-value]


def _redis() -> redis.Redis:
    if "redis" not in _connections:
        _connections["redis"] = redis.Redis.from_url(os.environ["REDIS_URL"])
    return _connections["redis"]  # type: ignore[return-value]


def _session() -> requests.Session:
    if "http" not in _connections:
        _connections["http"] = requests.Session()
    return _connections["http"]  # type: ignore[return-value]


@app.task(name=common.TASK, ignore_result=True)
def send(number: int) -> None:
    """Send one message, guarded as well as a lock and a row can."""
    with _redis().lock(f"naive:{number}", timeout=30):
        taken = _db().execute(
            "UPDATE naive SET state = 'sending' WHERE id = %s AND state = 'due' RETURNING id", (number,)
        )
        if taken.fetchone() is None:
            return
        answer = _session().post(
            f"{os.environ['BENCH_RECEIVER']}/v1/rooms/bench/text", json={"text": "bench"},
            headers={"Idempotency-Key": str(number)}, timeout=10,
        )  # fmt: skip
        answer.raise_for_status()
        _db().execute("UPDATE naive SET state = 'sent' WHERE id = %s", (number,))
