"""Memos and friends' messages: real ledger, real Redis, real HTTP to an emulator of kapi and kauth."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from gateways.registry import close_adapters, kakao_tokens
from models.ledger import tokens as ledger
from models.store.tokens import kakao_token, set_kakao_token
from ops.emulator import Emulator, Rule
from runtime.events import Event, captured
from runtime.sealing import Unsealable
from tasks.kakao_tokens import LedgerTokens
from tests.support.cli import jeongsi
from tests.support.environment import clear_caches
from tests.support.sending import Sending


@pytest.fixture
def kakao(
    scaled_env: dict[str, str],
    emulator: Emulator,
    make_sending: Callable[[], Sending],
    monkeypatch: pytest.MonkeyPatch,
) -> Sending:
    """A logged-in account, and an engine that sends by it."""
    monkeypatch.setenv("KAKAO_API_URL", f"{emulator.url}/kakao")
    monkeypatch.setenv("KAKAO_AUTH_URL", f"{emulator.url}/kauth")
    monkeypatch.setenv("KAKAO_REST_API_KEY", "rest-key")
    clear_caches()
    close_adapters()
    one = make_sending()
    log_in(one)
    return one


def log_in(sending: Sending, *, expires_s: float = 21_599, refresh_s: float = 5_183_999) -> None:
    granted = sending.emulator.kakao.grant(access_s=max(expires_s, 1), refresh_s=refresh_s)
    set_kakao_token(
        sending.db, granted["access_token"], refresh_token=granted["refresh_token"], expires_in_s=expires_s,
        who="test",
    )  # fmt: skip


def asked(sending: Sending, what: str) -> list[dict[str, object]]:
    return [one for one in sending.emulator.kakao.requests if what in str(one["path"])]


def ended(sending: Sending, room: str, channel: str = "kakao-memo", **columns: object) -> tuple[str, str]:
    slot = sending.promise(room, channel, **columns)
    sending.until_ended(slot)
    row = sending.row("SELECT state, reason FROM slots WHERE schedule_id = %s", slot.schedule_id)
    return row["state"], row["reason"]


def test_a_memo_is_accepted_once_and_never_called_confirmed(kakao: Sending) -> None:
    """A34: KAKAO_* credentials make the channel; there is no confirmation to be had."""
    assert ended(kakao, "me", message_text="안녕 {time} 🙂")[0] == "delivered"
    assert len(kakao.emulator.receipts.all()) == 1
    assert kakao.row("SELECT confirmed_at FROM slots")["confirmed_at"] is None
    assert str(asked(kakao, "memo")[0]["type"]) == "application/x-www-form-urlencoded;charset=utf-8"


def test_two_sends_share_one_connection(kakao: Sending) -> None:
    """A62: the HTTP session is reused."""
    for room in ("me", "me2"):
        assert ended(kakao, room)[0] == "delivered"
    assert len({one["connection"] for one in asked(kakao, "memo")}) == 1


def test_a_timeout_after_the_request_left_is_in_doubt_and_never_sent_again(
    kakao: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A61: the time-out is a setting; what it cuts off is unresolved."""
    monkeypatch.setenv("JEONGSI_KAKAO_TIMEOUT_S", "0.2")
    clear_caches()
    close_adapters()
    kakao.emulator.faults.add(Rule("slow_after", channel="kakao-memo", delay_s=2.0))
    assert ended(kakao, "me") == ("unresolved", "unproven")
    assert len(kakao.emulator.receipts.all()) == 1


def test_a_long_text_goes_out_in_pieces_in_order(kakao: Sending) -> None:
    text = "\n".join(f"{n:03} 장부 점검 결과입니다 👨‍👩‍👧" for n in range(30))
    assert ended(kakao, "me", message_text=text)[0] == "delivered"
    bodies = [row["body"] for row in kakao.rows("SELECT body FROM parts ORDER BY ord")]
    assert len(bodies) > 2
    assert "\n".join(bodies) == text
    assert all(len(body) <= 200 for body in bodies)


def test_a_long_text_is_refused_where_that_is_wanted(kakao: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_KAKAO_LONG_TEXT", "refuse")
    clear_caches()
    close_adapters()
    state, reason = ended(kakao, "me", message_text="가" * 201)
    assert (state, "201 characters" in reason) == ("failed", True)
    assert not asked(kakao, "memo")


@pytest.mark.parametrize("text", ["{{ x }} {x} %s", "\u200fשלום \u202eabc", "한글 é", "<script>&amp;"])
def test_texts_arrive_as_written(kakao: Sending, text: str) -> None:
    import hashlib

    assert ended(kakao, "me", message_text=text)[0] == "delivered"
    assert kakao.emulator.receipts.all()[0].sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_of_five_friends_three_get_it_and_the_slot_says_who_did_not(kakao: Sending) -> None:
    kakao.room("team", "kakao-friends")
    kakao.db.execute("UPDATE rooms SET address = 'f1, f2,f3,f4,f5' WHERE room_id = 'team'")
    kakao.emulator.kakao.rules.not_friends.add("f2")
    kakao.emulator.kakao.rules.refusing.add("f4")
    slot = kakao.slot(kakao.schedule("team"))
    kakao.until_ended(slot)
    row = kakao.row("SELECT state, reason FROM slots")
    assert row == {"state": "partial", "reason": "receivers_refused: f2 (-502), f4 (-530)"}
    assert sorted(one.room for one in kakao.emulator.receipts.all()) == ["f1", "f3", "f5"]
    assert kakao.row("SELECT status, outcome FROM kb_schedule_logs") == {
        "status": "partial", "outcome": "partial",
    }  # fmt: skip
    assert jeongsi("audit").code == 0


def test_friends_who_all_refuse_are_a_refusal(kakao: Sending) -> None:
    kakao.room("team", "kakao-friends")
    kakao.db.execute("UPDATE rooms SET address = 'f2' WHERE room_id = 'team'")
    kakao.emulator.kakao.rules.not_friends.add("f2")
    kakao.until_ended(kakao.slot(kakao.schedule("team")))
    row = kakao.row("SELECT state, reason FROM slots")
    assert row["state"] == "failed"
    assert "make friends in Kakao Talk" in row["reason"]


def test_a_room_whose_address_names_nobody_fails_with_what_is_right(kakao: Sending) -> None:
    assert "1 to 5 receiver uuids" in ended(kakao, "a,b,c,d,e,f", "kakao-friends")[1]
    assert not asked(kakao, "friends")


def test_a_used_up_quota_ends_the_slot_with_what_a_person_must_do(kakao: Sending) -> None:
    kakao.emulator.kakao.rules.answer_code = -10
    state, reason = ended(kakao, "me")
    assert (state, "buy quota in Kakao Developers" in reason) == ("failed", True)


def test_an_ending_token_is_refreshed_before_the_send(kakao: Sending) -> None:
    log_in(kakao, expires_s=60)
    assert ended(kakao, "me")[0] == "delivered"
    assert len(asked(kakao, "oauth")) == 1
    facts = kakao_token(kakao.db)
    assert facts is not None
    assert facts.expires_at is not None
    assert facts.expires_at > datetime.now(UTC) + timedelta(hours=5)


def test_a_token_that_dies_in_mid_run_is_replaced_and_the_send_repeated(kakao: Sending) -> None:
    assert ended(kakao, "me")[0] == "delivered"
    kakao.emulator.kakao._access.clear()
    assert ended(kakao, "me2")[0] == "delivered"
    assert len(kakao.emulator.receipts.all()) == 2
    assert kakao.row("SELECT count(*) AS n FROM attempts WHERE outcome = 'rejected_retry'")["n"] == 1


def test_twenty_threads_of_two_processes_refresh_once(kakao: Sending) -> None:
    """Two `Tokens` share nothing but the ledger and Redis, like two worker processes."""
    log_in(kakao, expires_s=60, refresh_s=86_400)
    both = [kakao_tokens(LedgerTokens()) for _ in range(2)]
    with ThreadPoolExecutor(20) as threads:
        found = set(threads.map(lambda n: both[n % 2].fresh(), range(20)))
    assert len(found) == 1
    assert len(asked(kakao, "oauth")) == 1


def test_a_rotated_refresh_token_is_kept_and_serves_the_next_refresh(kakao: Sending) -> None:
    log_in(kakao, expires_s=60, refresh_s=86_400)
    tokens = kakao_tokens(LedgerTokens())
    first, second = tokens.renew(), tokens.renew()
    assert isinstance(first, str)
    assert isinstance(second, str)
    assert first != second


def test_a_rotated_token_that_the_ledger_could_not_take_is_not_lost(
    kakao: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(kakao, expires_s=60, refresh_s=86_400)
    kakao.db.execute("ALTER TABLE kakao_tokens ADD CONSTRAINT full_disk CHECK (updated_by <> 'refresh')")
    try:
        assert isinstance(kakao_tokens(LedgerTokens()).fresh(), str)
    finally:
        kakao.db.execute("ALTER TABLE kakao_tokens DROP CONSTRAINT full_disk")
    again = kakao_tokens(LedgerTokens())
    assert isinstance(again.fresh(), str)
    assert isinstance(again.renew(), str), "the new refresh token is the one that lives"


def test_a_dead_refresh_token_fails_the_slot_with_the_sentence_and_tells_operators(kakao: Sending) -> None:
    kakao.emulator.kakao.unlink()
    kakao.db.execute("UPDATE kakao_tokens SET expires_at = now() - interval '1 s'")
    with captured() as heard:
        state, reason = ended(kakao, "me")
    assert (state, "KOE322" in reason, "log in again" in reason) == ("failed", True, True)
    assert Event.KAKAO_LOGIN_NEEDED in [event for event, _ in heard]
    assert kakao.row("SELECT kind FROM incidents")["kind"] == "kakao_login_needed"
    assert not asked(kakao, "memo")
    log_in(kakao)
    close_adapters()  # a process believes the store for two seconds; a new one asks
    assert ended(kakao, "me2")[0] == "delivered"


def test_without_redis_the_ledger_alone_serializes(kakao: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.redis_client import reset_clients

    log_in(kakao, expires_s=60, refresh_s=86_400)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    clear_caches()
    reset_clients()
    both = [kakao_tokens(LedgerTokens()) for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: both[n % 2].fresh(), range(8)))
    assert all(isinstance(one, str) for one in found)
    assert len(asked(kakao, "oauth")) == 1


def test_tokens_are_sealed_and_another_key_does_not_open_them(
    kakao: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = kakao.row("SELECT access, refresh FROM kakao_tokens")
    assert b"emulated" not in bytes(raw["access"]) + bytes(raw["refresh"])
    monkeypatch.setenv("JEONGSI_SECRET_KEY", "A" * 43 + "=")
    clear_caches()
    with pytest.raises(Unsealable):
        ledger.load(kakao.db)
    state, reason = ended(kakao, "me")
    assert (state, "another key" in reason) == ("failed", True)


def test_a_token_is_set_by_command_and_never_shown(
    kakao: Sending, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A26: a token is set at run time."""
    import io

    secret = "a-secret-access-token"
    monkeypatch.setattr("sys.stdin", io.StringIO(secret + "\n"))
    answer = jeongsi("token", "set", "--expires-in", 3600)
    assert answer.code == 0, answer.err
    shown = jeongsi("token", "show").said + jeongsi("token", "show", "--json").said + answer.said
    assert secret not in shown
    held = ledger.load(kakao.db)
    assert held is not None
    assert held.access == secret
    assert "client_id=rest-key" in jeongsi("token", "login-url", "--redirect-uri", "https://x.kr/cb").out


def test_the_code_of_a_login_becomes_a_token(kakao: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    kakao.db.execute("DELETE FROM kakao_tokens")
    monkeypatch.setattr("sys.stdin", io.StringIO("bad\n"))
    refused = jeongsi("token", "exchange", "--redirect-uri", "https://x.kr/cb")
    assert (refused.code, "KOE320" in refused.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("good\n"))
    assert jeongsi("token", "exchange", "--redirect-uri", "https://x.kr/cb").code == 0
    assert ended(kakao, "me")[0] == "delivered"


def test_a_token_file_that_is_a_folder_is_named(kakao: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAKAO_ACCESS_TOKEN_FILE", "/tmp")
    clear_caches()
    answer = jeongsi("token", "show")
    assert (answer.code, "KAKAO_ACCESS_TOKEN_FILE=/tmp" in answer.err) == (1, True)


def test_the_doctor_knows_the_token(kakao: Sending) -> None:
    levels = {one["check"]: one["level"] for one in jeongsi("doctor", "--json").json["checks"]}
    assert levels["kakao token"] == "ok"
    assert levels["kakao api"] == "ok"
    kakao.db.execute("UPDATE kakao_tokens SET refresh_expires_at = now() + interval '3 days'")
    checks = {one["check"]: one for one in jeongsi("doctor", "--json").json["checks"]}
    assert checks["kakao token"]["level"] == "warn"
    assert "jeongsi token login-url" in json.dumps(checks["kakao token"])
