"""Kakao's answers, held against verbatim ones with their sources; the emulator says the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from gateways.http import Reply
from gateways.kakao.dialect import friends_outcome, memo_outcome
from gateways.kakao.errors import BY_CODE, ERRORS, told
from gateways.kakao.tokens import KakaoToken, read_token
from ops.emulator import Emulator

FOLDER = Path(__file__).parents[1] / "fixtures" / "kakao"
SENDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
LOGINS = {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "login").glob("*.json"))}
NOW = datetime(2026, 11, 26, tzinfo=UTC)
PATHS = {"memo": "/v2/api/talk/memo/default/send", "friends": "/v1/api/talk/friends/message/default/send"}
TEMPLATE = {"object_type": "text", "text": "안녕하세요 🙂", "link": {"web_url": "https://example.com"}}


def reply_of(status: int, body: Any, content_type: str = "application/json;charset=UTF-8") -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {"Content-Type": content_type}, raw, False, 1.0)


@pytest.mark.parametrize("name", SENDS)
def test_an_answer_means_what_kakao_says(name: str) -> None:
    pair = SENDS[name]
    reply = reply_of(**pair["response"])
    outcome = (memo_outcome if pair["way"] == "memo" else friends_outcome)(reply)
    assert outcome.kind == pair["outcome"]["kind"]
    assert outcome.reason.startswith(pair["outcome"]["reason"])
    assert pair["source"]


@pytest.mark.parametrize("name", SENDS)
def test_the_emulator_answers_as_kakao(name: str) -> None:
    pair = SENDS[name]
    with Emulator() as emulator:
        access = pair.get("token") or emulator.kakao.grant()["access_token"]
        for field, value in pair.get("rules", {}).items():
            setattr(emulator.kakao.rules, field, value)
        emulator.kakao.rules.not_friends |= set(pair.get("not_friends", []))
        emulator.kakao.rules.refusing |= set(pair.get("refusing", []))
        form = {"template_object": json.dumps(TEMPLATE)}
        if pair["way"] == "friends":
            form["receiver_uuids"] = json.dumps(pair["room"].split(","))
        answer = requests.post(
            f"{emulator.url}/kakao{PATHS[pair['way']]}", data=form, timeout=5,
            headers={"Authorization": f"Bearer {access}"},
        )  # fmt: skip
        assert (answer.status_code, answer.json()) == (pair["response"]["status"], pair["response"]["body"])


@pytest.mark.parametrize("name", LOGINS)
def test_a_login_answers_with_a_token_or_the_code_of_its_refusal(name: str) -> None:
    pair = LOGINS[name]
    before = KakaoToken("old", "old-refresh", NOW, NOW + timedelta(days=40))
    token = read_token(reply_of(pair["status"], pair["body"]), NOW, before)
    if pair["rotated"] is None:
        assert token is None
        return
    assert token is not None
    assert token.expires_at == NOW + timedelta(seconds=21_599)
    assert token.refresh == ("y" if pair["rotated"] else "old-refresh")
    with Emulator() as emulator:
        granted = emulator.kakao.grant(refresh_s=86_400 if pair["rotated"] else 86_400 * 59)
        form = {"grant_type": "refresh_token", "client_id": "k", "refresh_token": granted["refresh_token"]}
        first = requests.post(f"{emulator.url}/kauth/oauth/token", data=form, timeout=5)
        assert set(first.json()) == set(pair["body"])
        second = requests.post(f"{emulator.url}/kauth/oauth/token", data=form, timeout=5)
        assert second.status_code == (400 if pair["rotated"] else 200), "a rotated refresh token is dead"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_every_code_of_the_table_leads_to_its_effect_and_says_what_to_do(error: Any) -> None:
    assert error.todo
    assert error.means in told(error.code)
    if error.code.startswith("KOE"):
        return
    outcome = memo_outcome(reply_of(error.http or 400, {"msg": "refused", "code": int(error.code)}))
    kinds = {
        "final": "rejected_final", "retry": "rejected_retry", "token": "rejected_retry", "unknown": "unknown",
    }  # fmt: skip
    assert outcome.kind == kinds[error.effect]
    assert error.todo in outcome.reason


def test_an_unknown_code_is_a_refusal_only_with_a_status_that_refuses() -> None:
    assert memo_outcome(reply_of(400, {"msg": "new", "code": -77})).kind == "rejected_final"
    assert memo_outcome(reply_of(500, {"msg": "new", "code": -77})).kind == "unknown"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>please log in to the wifi</html>"),
        (200, {"result_code": False}),
        (200, {"result_code": -1}),
        (200, {}),
        (404, b"<h1>Not Found</h1>"),
        (502, b"Bad Gateway"),
        (400, {"msg": "no code"}),
    ],
)
def test_what_kakao_did_not_say_proves_nothing(status: int, body: Any) -> None:
    assert memo_outcome(reply_of(status, body)).kind == "unknown"
    assert friends_outcome(reply_of(status, body)).kind == "unknown"


def test_the_guide_lists_every_code_with_its_sentence() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "kakao.md").read_text(encoding="utf-8")
    for code, error in BY_CODE.items():
        assert f"| {code} | {error.http or ''} | {error.means} |" in guide
        assert error.todo in guide
