"""Other services ask a real worker for messages: with Celery, with npm's celery-node, with a bare LPUSH."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from celery import Celery

from ops.emulator import Emulator
from runtime.ids import SlotId
from tests.support import databases
from tests.support.processes import Processes
from tests.support.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
QUIET = ("--without-gossip", "--without-mingle")
SCHEDULE = "jeongsi.message.schedule"


@pytest.fixture
def env(scaled_env: dict[str, str]) -> dict[str, str]:
    return scaled_env


@pytest.fixture
def db(env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with databases.connect(env["DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO rooms (room_id, name, type, channel, gap_ms)"
            " VALUES ('hq-alerts', '본사', 'test', 'emulator-key', 0)"
        )
        yield connection


@pytest.fixture
def broker(env: dict[str, str]) -> Iterator[Any]:
    with redis.Redis.from_url(env["REDIS_URL"]) as client:
        yield client


@pytest.fixture
def service(env: dict[str, str]) -> Iterator[Celery]:
    """A Celery client that knows nothing of us but two addresses and a task's name."""
    app = Celery("orders", broker=env["REDIS_URL"], backend=env["REDIS_URL"])
    app.conf.update(
        task_default_queue="enqueue", task_default_exchange="", task_default_routing_key="enqueue"
    )
    yield app
    app.close()


def meta(broker: Any, task_id: str) -> Any:
    """What a client without Celery reads of a result."""
    eventually(lambda: broker.exists(f"celery-task-meta-{task_id}"), timeout=10)
    return json.loads(broker.get(f"celery-task-meta-{task_id}"))["result"]


def test_a_message_asked_for_by_celery_reaches_the_room(
    db: psycopg.Connection, service: Celery, processes: Processes, emulator: Emulator
) -> None:
    processes.worker("send,confirm,enqueue", *QUIET)
    processes.beat()
    answer = service.send_task(SCHEDULE, args=[{"room": "hq-alerts", "text": "안녕"}]).get(timeout=10)
    assert answer == {"id": answer["id"], "status": "accepted", "duplicate_of": None, "errors": []}
    eventually(lambda: [receipt.room for receipt in emulator.receipts.all()] == ["hq-alerts"], timeout=10)
    slot = SlotId.parse(answer["id"])
    eventually(lambda: db.execute("SELECT state FROM slots").fetchall() == [("delivered",)], timeout=10)
    assert db.execute("SELECT schedule_id, slot_at FROM slots").fetchall() == [tuple(slot)]


def test_bad_arguments_are_results_and_the_worker_lives_on(
    db: psycopg.Connection, service: Celery, processes: Processes, broker: Any
) -> None:
    worker = processes.worker("enqueue", *QUIET)
    good = {"room": "hq-alerts", "text": "x", "idempotency_key": "k"}
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    wrong: list[tuple[list[Any], dict[str, Any], str]] = [
        ([], {}, "arguments"), ([good, good], {}, "arguments"), ([good], {"text": "y"}, "arguments"),
        (["x"], {}, "request"), ([None], {}, "request"), ([[good]], {}, "request"),
        ([good | {"text": "a\0b"}], {}, "text"), ([good | {"text": "\ud83d"}], {}, "text"),
        ([good | {"metadata": {"a\0": 1}}], {}, "metadata"),
        ([good | {"metadata": {"deep": deep}}], {}, "metadata"),
        ([good | {"metadata": {"n": float("nan")}}], {}, "metadata"),
        ([good | {"priority": 11}], {}, "priority"),
        ([good | {"text": "가" * 3_000_000}], {}, "text"),
        ([good | {"images": [{"id": 1, "x": 2}]}], {}, "images[0]"),
        ([good | {"room": "hq-alert"}], {}, "room"), ([{"text": "x"}], {}, "room"),
        ([{"x\0": 1, **good}], {}, "x"),
    ]  # fmt: skip
    for args, kwargs, field in wrong:
        answer = service.send_task(SCHEDULE, args=args, kwargs=kwargs).get(timeout=10)
        assert answer["status"] == "refused", (args, answer)
        assert field in answer["errors"][0]["field"], answer
    for args in ([], [{}], [{"id": "1-1", "idempotency_key": "k"}], [{"id": "x\0"}], ["1-1"]):
        answer = service.send_task("jeongsi.message.cancel", args=args).get(timeout=10)
        assert answer["status"] == "refused", (args, answer)
    body = base64.b64encode(b'[[{"metadata": ' + b"[" * 200_000 + b"]" * 200_000 + b"}], {}, {}]").decode()
    broker.lpush("enqueue", json.dumps(envelope() | {"body": body}))
    assert service.send_task(SCHEDULE, kwargs=good).get(timeout=10)["status"] == "accepted"
    assert worker.running
    assert db.execute("SELECT count(*) FROM kb_schedule").fetchone() == (1,)


def test_a_doubled_publish_is_one_message_and_other_content_needs_another_task(
    db: psycopg.Connection, service: Celery, processes: Processes, broker: Any
) -> None:
    """A14."""
    processes.worker("enqueue", *QUIET)
    request = {"room": "hq-alerts", "text": "x", "at": "2998-01-01T00:00:00+09:00"}
    first = service.send_task(SCHEDULE, args=[request], task_id="t-1").get(timeout=10)
    broker.delete("celery-task-meta-t-1")
    service.send_task(SCHEDULE, args=[request], task_id="t-1")
    assert meta(broker, "t-1") == {**first, "status": "duplicate", "duplicate_of": first["id"]}
    other = service.send_task(SCHEDULE, args=[request], task_id="t-2").get(timeout=10)
    assert (other["status"], other["duplicate_of"]) == ("refused", first["id"])
    assert db.execute("SELECT count(*) FROM kb_schedule").fetchone() == (1,)


def envelope() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / "envelope.json").read_text(encoding="utf-8"))
    return found


def test_the_envelope_of_the_page_and_protocol_one_are_understood(
    db: psycopg.Connection, processes: Processes, broker: Any
) -> None:
    processes.worker("enqueue", *QUIET)
    two = envelope()
    broker.lpush("enqueue", json.dumps(two))
    assert meta(broker, two["headers"]["id"])["status"] == "accepted"
    body = {"task": SCHEDULE, "id": "one", "args": [{"room": "hq-alerts", "text": "v1"}], "kwargs": {}}
    one = two | {"headers": {}, "body": base64.b64encode(json.dumps(body).encode()).decode()}
    one["properties"] = two["properties"] | {"correlation_id": "one"}
    broker.lpush("enqueue", json.dumps(one))
    assert meta(broker, "one")["status"] == "accepted"


def test_the_python_example_runs(db: psycopg.Connection, processes: Processes, env: dict[str, str]) -> None:
    processes.worker("enqueue", *QUIET)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "python" / "enqueue.py"],
        env={
            **os.environ, "REDIS_URL": env["REDIS_URL"], "ROOM": "hq-alerts",
            "AT": "2998-01-01T09:00:00+09:00",
        },
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [status for status, _ in lines] == ["accepted", "duplicate", "cancelled"]
    assert lines[0][1] == lines[1][1]


@pytest.fixture
def node_folder(tmp_path: Path) -> Path:
    """The Node example with its packages, as `npm ci` installs them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node or npm is not installed")
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--fetch-retries=1"],
        cwd=folder, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    away = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "ENETUNREACH")
    if done.returncode and any(f"npm error code {code}" in done.stderr for code in away):
        pytest.skip("no npm registry answers")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_node_example_runs_with_the_real_client_from_npm(
    db: psycopg.Connection, processes: Processes, env: dict[str, str], node_folder: Path
) -> None:
    processes.worker("enqueue", *QUIET)
    done = subprocess.run(
        ["node", "enqueue.js"], cwd=node_folder,
        env={**os.environ, "REDIS_URL": env["REDIS_URL"], "ROOM": "hq-alerts"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [status for status, _ in lines] == ["accepted", "duplicate", "refused"]
    assert lines[0][1] == lines[1][1]
    assert lines[2][1] == "priority"
    row = db.execute("SELECT message_text, priority, metadata FROM kb_schedule").fetchone()
    assert row == ("주문 4712가 출고되었습니다 📦", 2, {"order": 4712})
