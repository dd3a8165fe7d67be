"""What a target's answer means, held against verbatim answers with their sources (tests/fixtures/notices)."""

from __future__ import annotations

import email.utils
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from gateways.http import Reply
from gateways.notices import Heard, Note, send
from gateways.notices.address import Address
from gateways.notices.answers import from_discord, from_slack, from_web, retry_after_s
from gateways.notices.note import cut, quiet
from ops.emulator import Emulator, Rule
from runtime import clock

FOLDER = Path(__file__).parents[1] / "fixtures" / "notices"
PAIRS = [(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(FOLDER.glob("*.json"))]
EMULATED = [(name, pair) for name, pair in PAIRS if pair["emulator"] is not None]
NOTE = Note(7, "test", "error", "제목", "글", None)


def reply_of(pair: dict[str, Any]) -> Reply:
    said = pair["response"]
    body = said["body"] if isinstance(said["body"], str) else json.dumps(said["body"])
    return Reply(said["status"], said["headers"], body.encode(), False, 1.0)


def heard_of(pair: dict[str, Any]) -> Heard:
    return (from_discord if pair["service"] == "discord" else from_slack)(reply_of(pair))


@pytest.mark.parametrize(("name", "pair"), PAIRS, ids=[name for name, _ in PAIRS])
def test_an_answer_means_what_the_service_says(name: str, pair: dict[str, Any]) -> None:
    heard = heard_of(pair)
    assert (heard.what, heard.error, heard.wait_s) == tuple(pair["heard"].values())
    assert heard.answer["status"] == pair["response"]["status"]
    assert pair["source"]


@pytest.mark.parametrize(("name", "pair"), EMULATED, ids=[name for name, _ in EMULATED])
def test_the_emulator_answers_as_the_service(name: str, pair: dict[str, Any]) -> None:
    asked, service = pair["emulator"], pair["service"]
    token = asked.get("token", "token")
    with Emulator() as emulator:
        if asked.get("gone"):
            emulator.webhooks.gone.add("11")
        if "fault" in asked:
            emulator.webhooks.faults.add(Rule(asked["fault"], delay_s=asked.get("delay_s")))
        path = f"discord/api/webhooks/11/{token}" if service == "discord" else f"slack/services/T/11/{token}"
        wait = "" if asked.get("no_wait") or service == "slack" else "?wait=true"
        text = {"long": "가" * 2001, "empty": ""}.get(asked.get("text"), "**❌ 제목**\n글")
        field = "content" if service == "discord" else "text"
        body = asked.get("body") or json.dumps({field: text})
        answer = requests.post(f"{emulator.url}/{path}{wait}", data=body.encode(), timeout=5)
    said = pair["response"]
    assert answer.status_code == said["status"]
    assert (answer.text if isinstance(said["body"], str) else answer.json()) == said["body"]
    assert answer.headers.items() >= said["headers"].items() or said["status"] == 204


def test_the_longer_wait_counts_and_a_date_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 21, 3, tzinfo=UTC)
    clock.set_clock(clock.ManualClock(now))
    try:
        date = email.utils.format_datetime(now + timedelta(seconds=40), usegmt=True)
        assert retry_after_s({"Retry-After": date}, b"") == 40
        assert retry_after_s({"Retry-After": "1"}, b'{"retry_after": 1.337}') == 1.337
        assert retry_after_s({"Retry-After": "0.5"}, b"not json") == 0.5
        assert retry_after_s({}, b"") == 30
        assert retry_after_s({"Retry-After": "nan"}, b'{"retry_after": -3}') == 30
        assert retry_after_s({"Retry-After": "999999"}, b"") == 3600
    finally:
        clock.set_clock(None)


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (204, "sent"),
        (404, "failed"),
        (401, "failed"),
        (410, "gone"),
        (422, "refused"),
        (503, "failed"),
        (302, "failed"),
    ],
)
def test_any_other_web_address_is_gone_only_by_its_own_word(status: int, what: str) -> None:
    assert from_web(Reply(status, {}, b"", False, 1.0)).what == what


def test_nothing_in_a_notice_calls_anybody() -> None:
    note = Note(1, "test", "error", "@everyone <!channel>", "@here & <@U1>", None)
    with Emulator() as emulator:
        for service, path in (("discord", "/api/webhooks/1/t?wait=true"), ("slack", "/services/T/B/x")):
            assert send(Address(service, "", f"{emulator.url}/{service}", path), note).what == "sent"
        arrived = emulator.webhooks.notices
    assert len(arrived) == 2
    assert not any(one.pings for one in arrived)
    assert "&lt;!channel&gt;" in arrived[1].text
    assert "@everyone" not in quiet("hello @everyone")


def test_a_long_text_is_cut_to_what_the_service_takes() -> None:
    note = Note(1, "test", "error", "긴 글", "🙂" * 5000, None)
    with Emulator() as emulator:
        address = Address("discord", "", f"{emulator.url}/discord", "/api/webhooks/1/t?wait=true")
        assert send(address, note).what == "sent"
        assert emulator.webhooks.notices[0].text.endswith("…")
    assert cut("짧다", 10) == "짧다"
    assert len(cut("가" * 20, 10)) == 10


def test_what_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.settings import get_settings

    monkeypatch.setenv("JEONGSI_NOTICE_DEADLINE_S", "0.3")
    monkeypatch.setenv("JEONGSI_ENV_FILE", "")
    get_settings.cache_clear()
    with Emulator() as emulator:
        emulator.webhooks.faults.add(Rule("slow_before", delay_s=30))
        address = Address("discord", "", f"{emulator.url}/discord", "/api/webhooks/1/t?wait=true")
        started = clock.SystemClock().monotonic()
        heard = send(address, NOTE)
        assert clock.SystemClock().monotonic() - started < 5
    get_settings.cache_clear()
    assert (heard.what, heard.error) == ("failed", "deadline")


def test_a_machine_gets_json_in_apprise_s_form() -> None:
    from gateways.notices.send import _body

    body = _body("json", NOTE)
    assert body["type"] == "failure"
    assert (body["title"], body["message"], body["kind"]) == ("❌ 제목", "글", "test")


def test_the_emulator_s_webhooks_are_scripted_and_read_from_another_process() -> None:
    with Emulator() as emulator:
        control = f"{emulator.url}/_control"
        rules = [{"fault": "429", "channel": "slack", "room": "22", "delay_s": 3}]
        requests.post(f"{control}/webhooks", json={"gone": ["11"], "rules": rules}, timeout=5)
        note = {"content": "글", "text": "글"}
        asked = [
            requests.post(f"{emulator.url}/{path}", json=note, timeout=5).status_code
            for path in (
                "discord/api/webhooks/11/t", "discord/api/v10/webhooks/12/t", "slack/services/T/22/t",
                "slack/services/T/22/t", "discord/nowhere", "slack/nowhere",
            )
        ]  # fmt: skip
        state = requests.get(f"{control}/notices", timeout=5).json()
        requests.post(f"{control}/reset", timeout=5)
        assert requests.get(f"{control}/notices", timeout=5).json() == {"notices": [], "requests": []}
        wrong = requests.post(f"{control}/webhooks", json={"rules": [{"colour": 1}]}, timeout=5)
    assert asked == [404, 204, 429, 200, 404, 404]
    assert [(one["service"], one["hook"]) for one in state["notices"]] == [("discord", "12"), ("slack", "22")]
    assert wrong.status_code == 400
