"""What the Celery contenders share: one task, one queue, and the instants read from a file."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from celery import Celery

if TYPE_CHECKING:
    from ops.bench.farm import Farm

QUEUE = "bench"
TASK = "bench.send"


def keep(farm: Farm, dues: list[float]) -> None:
    """Where the contender's own process finds its instants."""
    (farm.folder / "dues.json").write_text(json.dumps(dues), encoding="utf-8")


def dues() -> list[float]:
    """The instants, in the contender's process."""
    found: list[float] = json.loads(Path(os.environ["BENCH_DUES"]).read_text(encoding="utf-8"))
    return found


def environment(farm: Farm) -> dict[str, str]:
    """What a contender's process needs beside the farm's environment."""
    return {"BENCH_DUES": str(farm.folder / "dues.json")}


def own_database(farm: Farm, name: str) -> None:
    """A database of the contender's own, empty."""
    with psycopg.connect(farm.postgres.url_of("postgres"), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}".encode())


def lay_by_its_app(farm: Farm, module: str, **env: str) -> None:
    """Let the contender's own app make its schedules, in a process of its own."""
    whole = {**farm.environment, **environment(farm), **env}
    subprocess.run([sys.executable, "-c", f"import {module} as app; app.lay()"], env=whole, check=True)


def start_beat(farm: Farm, module: str, *options: str, **env: str) -> None:
    """`celery beat` of the contender's app."""
    command = ("-m", "celery", "-A", module, "beat", "-l", "WARNING", "--pidfile=", *options)
    farm.python("scheduler", *command, **environment(farm), **env)


def app(name: str) -> Celery:
    """A Celery app as plain as its documentation makes it, on the farm's Redis."""
    made = Celery(name, broker=os.environ["REDIS_URL"])
    made.conf.update(
        task_default_queue=QUEUE, task_ignore_result=True, timezone="UTC", enable_utc=True,
        broker_connection_retry_on_startup=True, beat_max_loop_interval=5,
    )  # fmt: skip
    return made


def at(due: float) -> datetime:
    """The instant, aware."""
    return datetime.fromtimestamp(due, UTC)


def told(raw: bytes) -> list[int]:
    """The schedule's number: the task's only argument."""
    (number,), _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
    return [int(number)]


def envelope(raw: bytes) -> dict[str, Any]:
    """A message's body, whoever made it."""
    found: dict[str, Any] = json.loads(base64.b64decode(json.loads(raw)["body"]))[0][0]
    return found
