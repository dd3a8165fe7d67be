"""The conformance check passes good bridges and names the rule that a bad one breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from gateways.bridge import conformance, rules
from gateways.bridge.conformance import check_bridge
from ops.emulator import KINDS, Emulator
from ops.emulator.bridge import Answer, Behaviour, Bridge, Kind, accepted, error
from tests.support.bridge_fixtures import CONTRACT

ROOM = "시험방/1"
APPLICABLE = {"key": 18, "lookup": 13, "none": 9}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator is quick; a real bridge gets seconds."""
    monkeypatch.setattr(rules, "LOOK_UP_PATIENCE_S", 0.3)
    monkeypatch.setattr(rules, "DELIVERY_PATIENCE_S", 0.5)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(behaviour=Behaviour(deliver_after_s=0.05)) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_the_emulator_keeps_the_contract(emulator: Emulator, kind: Kind) -> None:
    checks = check_bridge(f"{emulator.url}/{kind}", ROOM, deadline_s=5)
    assert [check for check in checks if check.result == "fail"] == []
    assert sum(check.result == "pass" for check in checks) == APPLICABLE[kind]


def test_a_bridge_with_a_token_is_checked_with_it(emulator: Emulator) -> None:
    emulator.behaviour.token = "bot-token"
    with_token = check_bridge(f"bridge+{emulator.url}/none", ROOM, "bot-token", deadline_s=5)
    assert {check.rule: check.result for check in with_token}["token"] == "pass"
    without = check_bridge(f"{emulator.url}/none", ROOM, deadline_s=5)
    assert without[0].result == "fail"
    assert {check.result for check in without[1:]} == {"skip"}


def _always_new(bridge: Bridge) -> None:
    take = bridge.take
    numbers = iter(range(10_000))
    bridge.take = lambda content, key, attempt: take(content, f"{key}-{next(numbers)}", attempt)  # type: ignore[method-assign]


def _new_when_at_once(bridge: Bridge) -> None:
    """Looks first and writes later, without a lock."""
    answers: dict[str, Answer] = {}
    take = bridge.take
    meeting = threading.Barrier(4)

    def careless(content: Any, key: str | None, attempt: str | None) -> Answer:
        known = answers.get(str(key))
        if known is None and _at_once(meeting):
            return take(content, f"{key}-{attempt}", attempt)
        return answers.setdefault(str(key), known or take(content, key, attempt))

    bridge.take = careless  # type: ignore[method-assign]


def _at_once(meeting: threading.Barrier) -> bool:
    try:
        meeting.wait(0.1)
    except threading.BrokenBarrierError:
        meeting.reset()
        return False
    return True


def _replays_anything(bridge: Bridge) -> None:
    take = bridge.take
    first: dict[str | None, Answer] = {}

    def lax(content: Any, key: str | None, attempt: str | None) -> Answer:
        if key not in first:
            first[key] = take(content, key, attempt)
        return first[key]

    bridge.take = lax  # type: ignore[method-assign]


def _remembers_refusals(bridge: Bridge) -> None:
    check = bridge.check
    refused: dict[str | None, Answer] = {}

    def grudging(room: str, action: str, body: Any, key: str | None) -> Any:
        answer = refused.get(key) or check(room, action, body, key)
        if isinstance(answer, Answer):
            refused[key] = answer
        return answer

    bridge.check = grudging  # type: ignore[method-assign]


def _answers_instead(method: str, answer: Callable[..., Any]) -> Callable[[Bridge], None]:
    return lambda bridge: setattr(bridge, method, answer)


def _says(**claims: Any) -> Callable[[Bridge], None]:
    return lambda bridge: bridge.capabilities.update(claims)


def _accepts_when(bad: Callable[[str, Any], bool]) -> Callable[[Bridge], None]:
    """Takes what it should refuse."""

    def break_it(bridge: Bridge) -> None:
        check = bridge.check
        fine = {"text": "x"}

        def lenient(room: str, action: str, body: Any, key: str | None) -> Any:
            return check("r", "text", fine, key) if bad(room, body) else check(room, action, body, key)

        bridge.check = lenient  # type: ignore[method-assign]

    return break_it


BROKEN: list[tuple[str, str, Callable[[Bridge], None]]] = [
    ("capabilities", "text_limit must be a number", _says(text_limit="many")),
    ("capabilities", 'contract must be "1.0"', _says(contract="2.0")),
    ("key-lifetime", "idempotency_ttl_s is 60", _says(idempotency_ttl_s=60)),
    ("rooms", "every room needs an id", _answers_instead("list_rooms", lambda: Answer(200, {"rooms": [{}]}))),
    ("text", "expected 200", _answers_instead("take", lambda *_: Answer(200, {"accepted": "yes"}))),
    ("replay", "it was sent twice", _always_new),
    ("replay-at-once", "became 4 messages", _new_when_at_once),
    ("key-reused", "expected 422", _replays_anything),
    ("refusal-frees-key", "expected 200", _remembers_refusals),
    ("unknown-room", "expected 404", _accepts_when(lambda room, _: room.startswith("missing-"))),
    ("empty-text", "expected 400", _accepts_when(lambda _, body: body.get("text") == "")),
    ("no-text", "expected 400", _accepts_when(lambda _, body: "message" in body)),
    ("long-text", "expected 413 or 400", _accepts_when(lambda _, body: len(body.get("text", "")) > 9_999)),
    ("image-type", "expected 400 or 415", _accepts_when(lambda _, body: "x-jeongsi" in str(body))),
    ("image", "expected 200", _says(max_image_bytes=3)),
    ("look-up", "not found", _answers_instead("look_up", lambda *_, **__: Answer(200, {"found": False}))),
    ("look-up", "expected message_id", _answers_instead(
        "look_up", lambda *_, **__: Answer(200, {"found": True, "message_id": "0", "state": "delivered"}))),
    ("look-up-absent", "must be 200", _answers_instead("look_up", lambda *_, **__: error(404, "no", "no"))),
    ("look-up-refused", "a message that was refused", _answers_instead(
        "look_up", lambda *_, **__: Answer(200, {"found": True, "message_id": "0", "state": "accepted"}))),
    ("confirm", "not delivered", _answers_instead(
        "look_up", lambda *_, **__: Answer(200, {"found": True, "message_id": "0", "state": "accepted"}))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "why", "break_it"), BROKEN, ids=[f"{rule}: {why}" for rule, why, _ in BROKEN]
)
def test_a_broken_bridge_is_told_which_rule_it_breaks(
    emulator: Emulator,
    rule: str,
    why: str,
    break_it: Callable[[Bridge], None],
) -> None:
    break_it(emulator.bridges["key"])
    checks = {check.rule: check for check in check_bridge(f"{emulator.url}/key", ROOM, deadline_s=5)}
    assert checks[rule].result == "fail"
    assert why in checks[rule].why


def test_a_claim_of_keys_that_are_not_honoured_is_found_out(emulator: Emulator) -> None:
    bridge = emulator.bridges["lookup"]
    bridge.take = lambda content, key, attempt: accepted(str(attempt))  # type: ignore[method-assign]
    bridge.capabilities |= {"idempotency": True, "idempotency_ttl_s": 86_400}
    failed = {one.rule for one in check_bridge(f"{emulator.url}/lookup", ROOM) if one.result == "fail"}
    assert {"replay", "replay-at-once", "key-reused"} <= failed


def test_the_command_prints_a_table_and_its_exit_code_is_the_verdict(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conformance.main([f"{emulator.url}/key", "--room", ROOM]) == 0
    assert "PASS  replay " in capsys.readouterr().out
    _always_new(emulator.bridges["key"])
    assert conformance.main([f"{emulator.url}/key", "--room", ROOM]) == 1
    said = capsys.readouterr().out
    assert "FAIL  replay " in said
    assert "This bridge breaks the contract: " in said
    assert conformance.main(["localhost:8080", "--room", ROOM]) == 2
    assert "a base URL is http://" in capsys.readouterr().err


def test_without_a_room_the_check_writes_into_one_that_is_clearly_its_own(emulator: Emulator) -> None:
    before = len(emulator.receipts.all())
    assert conformance.main([f"{emulator.url}/lookup"]) == 0
    rooms = {receipt.room for receipt in emulator.receipts.all()[before:]}
    assert len(rooms) == 1
    assert rooms.pop().startswith("conformance-")
    assert conformance.own_room() != conformance.own_room()


def test_a_bridge_that_is_not_there_fails_the_first_rule() -> None:
    checks = check_bridge("http://127.0.0.1:1", ROOM)
    assert (checks[0].result, checks[0].why) == ("fail", "no connection: refused")


def test_the_published_contract_is_valid_openapi_and_names_every_rule_of_use() -> None:
    validate(CONTRACT)
    text = (Path(__file__).parent.parent.parent / "docs" / "bridge.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == CONTRACT
    for word in (
        "Idempotency-Key",
        "X-Attempt-Id",
        "Retry-After",
        "key_reused",
        "gateways.bridge.conformance",
    ):
        assert word in text
