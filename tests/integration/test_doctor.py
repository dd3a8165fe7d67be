"""The doctor says what is missing and what to do, never shows a secret, and never fails itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ops.doctor.ledger import OLDEST
from runtime import redis_keys
from runtime.clock import clock
from runtime.redis_client import broker_redis
from tests.support.cli import jeongsi

ROOT = Path(__file__).resolve().parents[2]


def checks() -> dict[str, dict[str, Any]]:
    answer = jeongsi("doctor", "--json")
    found = {one["check"]: one for one in answer.json["checks"]}
    assert answer.json["ok"] is all(one["level"] != "fail" for one in found.values())
    assert answer.code == (0 if answer.json["ok"] else 1)
    assert all(one["todo"] for one in found.values() if one["level"] != "ok")
    return found


def heartbeat(queue: str, age_s: float = 0.0) -> None:
    beat = {"at": clock().now().timestamp() - age_s, "threads": 16, "free": 16, "service_ms": {}}
    broker_redis().hset(redis_keys.workers(queue), "worker-1", json.dumps(beat))


def tick(pg: Any, node: str = "beat-1") -> None:
    pg.execute("SELECT beat_tick(%s, now(), '1 hour')", (node,))


def test_an_installation_without_beats_and_workers_is_not_healthy(env: dict[str, str]) -> None:
    found = checks()
    assert found["beats"]["level"] == "fail"
    assert "celery -A workers beat" in found["beats"]["todo"]
    for queue in ("send", "confirm"):
        assert found[f"queue {queue}"]["level"] == "fail"
        assert f"celery -A workers worker -Q {queue}" in found[f"queue {queue}"]["todo"]
    assert {found[name]["level"] for name in ("database", "migrations", "partitions", "clocks")} == {"ok"}


def test_living_beats_and_workers_make_it_healthy(env: dict[str, str], pg: Any) -> None:
    tick(pg, "beat-1")
    tick(pg, "beat-2")
    heartbeat("send")
    heartbeat("confirm")
    found = checks()
    assert [name for name, one in found.items() if one["level"] == "fail"] == []
    assert "2 alive" in found["beats"]["found"]
    assert "1 worker with 16 threads" in found["queue send"]["found"]


def test_a_worker_that_was_not_heard_of_for_long_does_not_count(env: dict[str, str], pg: Any) -> None:
    tick(pg)
    heartbeat("send", age_s=30)
    heartbeat("confirm")
    found = checks()
    assert found["queue send"]["level"] == "fail"
    assert found["queue confirm"]["level"] == "ok"


def test_a_database_that_is_not_set_up_is_told_what_it_lacks(
    env: dict[str, str], empty_db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_db_url)
    assert checks()["migrations"]["todo"] == "run `jeongsi db upgrade`"


def test_a_database_older_than_fifteen_is_a_failure_with_a_sentence(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = checks()["database"]["found"]
    monkeypatch.setattr("ops.doctor.ledger.OLDEST", 99)  # no older server is at hand
    found = checks()["database"]
    assert found["level"] == "fail"
    assert found["found"] == f"{version} is too old"
    assert found["todo"] == "use PostgreSQL 99 or newer"


@pytest.mark.parametrize("page", [".env.example", "docs/operators.md"])
def test_the_pages_name_the_same_oldest_database_as_the_doctor(page: str) -> None:
    said = re.findall(
        r"PostgreSQL (?:from )?(\d+)(?: or newer|, Redis)", (ROOT / page).read_text(encoding="utf-8")
    )
    assert said == [str(OLDEST)]


def test_dead_servers_are_findings(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://jeongsi:hidden-word@127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URL", "redis://:hidden-word@127.0.0.1:1/0")
    found = checks()
    assert found["database"]["level"] == found["redis"]["level"] == "fail"
    assert "hidden-word" not in jeongsi("doctor").said


def test_without_any_server_it_says_how_to_get_one(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("REDIS_URL")
    found = checks()
    assert "make up" in found["database"]["todo"]
    listed = jeongsi("room", "list")
    assert listed.code == 1
    assert "`make up`" in listed.err
    assert "DATABASE_URL" in listed.err


def test_settings_are_shown_and_secrets_are_not(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAKAO_ACCESS_TOKEN", "hidden-word")
    answer = jeongsi("doctor")
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["KAKAO_ACCESS_TOKEN", "(set)"] in lines
    assert ["JEONGSI_LEASE_S", "4.0"] in lines
    assert "hidden-word" not in answer.said


def test_a_room_whose_channel_no_setting_knows_is_a_failure(env: dict[str, str], pg: Any) -> None:
    pg.execute("INSERT INTO rooms (room_id, name, channel) VALUES ('강남', '강남', 'iris')")
    assert "iris" in checks()["channels"]["found"]


def test_the_database_is_set_up_by_command(
    env: dict[str, str], empty_db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_db_url)
    assert "db upgrade" in jeongsi("room", "list").err
    assert jeongsi("db", "current").code == 1
    assert "tables: nothing -> " in jeongsi("db", "upgrade").out
    assert "up to date" in jeongsi("db", "upgrade").out
    assert jeongsi("db", "current").code == 0
    assert jeongsi("room", "list", "--json").json == []
