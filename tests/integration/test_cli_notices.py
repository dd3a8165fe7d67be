"""`jeongsi notice`: targets added without showing an address, tried for real, switched, listed (C93)."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from ops.emulator import Emulator, Rule
from runtime import redis_keys
from runtime.clock import clock
from runtime.redis_client import broker_redis
from tests.support.cli import jeongsi
from tests.support.environment import clear_caches
from tests.support.noticing import Noticing


@pytest.fixture
def hooks(env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setenv("JEONGSI_DISCORD_URL", f"{emulator.url}/discord")
    monkeypatch.setenv("JEONGSI_SLACK_URL", f"{emulator.url}/slack")
    monkeypatch.setenv("JEONGSI_NOTICE_DEADLINE_S", "0.5")
    clear_caches()
    return emulator


def add(name: str, url: str, tmp_path: Path, *more: object) -> None:
    file = tmp_path / f"{name}.txt"
    file.write_text(f"{url}\n", encoding="utf-8")
    answer = jeongsi("notice", "add", name, "--from-file", file, *more)
    assert answer.code == 0, answer.said
    assert "hush-hush" not in answer.said


def test_a_target_is_added_tried_and_answers_as_its_service_does(hooks: Emulator, tmp_path: Path) -> None:
    """C93: the webhook is tried by a real notice, and what the service said is shown."""
    add("ops", "discord://11/hush-hush", tmp_path)
    add("team", "slack://T/22/hush-hush", tmp_path, "--min-severity", "error", "--kind", "slots")
    answer = jeongsi("notice", "test")
    assert answer.code == 0, answer.said
    assert "ops: taken  HTTP 200" in answer.out
    assert "team: taken  HTTP 200 ok" in answer.out
    assert "hush-hush" not in answer.said
    assert [one.hook for one in hooks.webhooks.notices] == ["11", "22"]
    assert "정시 알림 시험" in hooks.webhooks.notices[0].text


def test_a_target_that_does_not_take_it_is_said_with_status_and_body(hooks: Emulator, tmp_path: Path) -> None:
    add("dead", "discord://11/hush-hush", tmp_path)
    hooks.webhooks.gone.add("11")
    answer = jeongsi("notice", "test", "dead")
    assert answer.code == 1
    assert "dead: not taken (HTTP 404: Unknown Webhook)" in answer.out
    assert "10015" in answer.out
    hooks.webhooks.gone.clear()
    hooks.webhooks.faults.add(Rule("slow_before", delay_s=20))
    shown = jeongsi("notice", "test", "dead", "--json")
    assert shown.code == 1
    assert shown.json == [{"target": "dead", "taken": False, "error": "deadline", "answer": {}}]


def test_an_address_comes_by_stdin_argument_or_setting_and_is_never_listed(
    hooks: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("discord://1/hush-hush\n"))
    assert jeongsi("notice", "add", "piped").code == 0
    assert jeongsi("notice", "add", "typed", "slack://T/2/hush-hush", "--as", "김").code == 0
    monkeypatch.setenv("JEONGSI_NOTICE_URLS", "discord://3/hush-hush")
    clear_caches()
    listed = jeongsi("notice", "list")
    rows = jeongsi("notice", "list", "--json").json
    assert "hush-hush" not in listed.said + json.dumps(rows) + jeongsi("doctor").said
    assert [row["from_settings"] for row in rows].count(True) == 1
    named = next(row["target"] for row in rows if row["from_settings"])
    assert jeongsi("notice", "test", named).code == 0
    assert jeongsi("notice", "remove", named).code == 2


def test_targets_are_switched_and_removed(hooks: Emulator, tmp_path: Path, pg: Any) -> None:
    add("ops", "discord://11/hush-hush", tmp_path)
    assert jeongsi("notice", "disable", "ops", "--as", "김").code == 0
    row = jeongsi("notice", "list", "--json").json[0]
    assert (row["enabled"], row["disabled_reason"]) == (False, "switched off by 김")
    assert Noticing(pg).post().fresh
    assert jeongsi("notice", "test").code == 1
    assert jeongsi("notice", "enable", "ops").code == 0
    assert jeongsi("notice", "remove", "ops").code == 0
    assert jeongsi("notice", "list", "--json").json == []
    for command in ("remove", "enable", "disable", "test"):
        assert jeongsi("notice", command, "nobody").code == 2


def test_the_log_says_what_was_told_and_what_became_of_it(hooks: Emulator, tmp_path: Path, pg: Any) -> None:
    add("ops", "discord://11/hush-hush", tmp_path)
    noticing = Noticing(pg)
    noticing.post("비트가 멈췄습니다", kind="beat.silent", key="")
    noticing.post("비트가 멈췄습니다", kind="beat.silent", key="")
    noticing.done(noticing.take()[0])
    (row,) = jeongsi("notice", "log", "--json").json
    assert (row["kind"], row["count"], row["targets"]) == ("beat.silent", 2, {"ops": "sent"})
    assert "비트가 멈췄습니다" in jeongsi("notice", "log").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "https://example.com/hush-hush"), "jsons://host/path"),
        (("x", "discord://"), "cannot read this discord:// address"),
        (("x", ""), "the address is empty"),
        (("x", "--from-file", "/nowhere/at-all"), "cannot be read"),
        (("x", "--from-file", "/tmp"), "cannot be read"),
        (("x", "discord://1/hush-hush", "--min-severity", "loud"), "One of info, warning, error, critical"),
        (("x" * 101, "discord://1/hush-hush"), "1 to 100"),
    ],
)
def test_bad_input_is_refused_with_its_reason_and_nothing_is_written(
    hooks: Emulator, arguments: tuple[str, ...], said: str
) -> None:
    """C90."""
    answer = jeongsi("notice", "add", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert "hush-hush" not in answer.said
    assert jeongsi("notice", "list", "--json").json == []


def test_without_a_key_in_production_nothing_is_sealed_with_a_made_up_one(
    hooks: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    clear_caches()
    answer = jeongsi("notice", "add", "ops", "discord://1/hush-hush")
    assert answer.code == 1
    assert "JEONGSI_SECRET_KEY is not set" in answer.err
    assert not (home / "secret.key").exists()


def test_the_key_that_is_made_is_for_its_owner_alone(hooks: Emulator, home: Path, tmp_path: Path) -> None:
    add("ops", "discord://1/hush-hush", tmp_path)
    assert (home / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_doctor_says_that_nobody_watches(hooks: Emulator, tmp_path: Path, pg: Any) -> None:
    assert watch()["level"] == "warn"
    add("ops", "discord://1/hush-hush", tmp_path)
    found = watch()
    assert found["level"] == "fail"
    assert "celery -A workers worker -Q notify" in found["todo"]
    word = {"at": clock().now().timestamp(), "threads": 1, "free": 1, "service_ms": {}}
    broker_redis().hset(redis_keys.workers("notify"), "worker-1", json.dumps(word))
    assert watch()["level"] == "ok"
    pg.execute("UPDATE notice_targets SET enabled = false, disabled_reason = 'HTTP 404: Unknown Webhook'")
    told = next(one for one in jeongsi("doctor", "--json").json["checks"] if one["check"] == "notices")
    assert (told["level"], told["found"]) == ("warn", "ops: off, HTTP 404: Unknown Webhook")


def test_the_doctor_names_an_address_of_the_settings_that_nobody_can_read(
    hooks: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C90."""
    monkeypatch.setenv("JEONGSI_NOTICE_URLS", "discord://1/t https://example.com/hush-hush")
    clear_caches()
    answer = jeongsi("doctor", "--json")
    told = next(one for one in answer.json["checks"] if one["check"] == "notices")
    assert told["level"] == "warn"
    assert told["found"].startswith("JEONGSI_NOTICE_URLS, number 2: a plain web address is taken for Discord")
    assert "hush-hush" not in answer.said


def watch() -> dict[str, Any]:
    found: dict[str, Any] = next(
        one for one in jeongsi("doctor", "--json").json["checks"] if one["check"] == "watch"
    )
    return found
