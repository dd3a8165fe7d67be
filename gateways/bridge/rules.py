"""The rules of docs/bridge.yaml that can be checked from outside, one function each, in order."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gateways.bridge.caller import Broken, Caller, Skipped, expect_error, message_id, new_key, shown
from gateways.bridge.dialect import IDEMPOTENCY_TTL_MIN_S, STATES, read_capabilities
from runtime.clock import clock

LOOK_UP_PATIENCE_S = 5.0
DELIVERY_PATIENCE_S = 30.0
DOT_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True, slots=True)
class Rule:
    """`name` is stable; `check` raises Broken or Skipped."""

    name: str
    sentence: str
    check: Callable[[Caller], None]


RULES: list[Rule] = []


def rule(name: str, sentence: str) -> Callable[[Callable[[Caller], None]], Callable[[Caller], None]]:
    """Register a check."""

    def register(check: Callable[[Caller], None]) -> Callable[[Caller], None]:
        RULES.append(Rule(name, sentence, check))
        return check

    return register


def _needs(caller: Caller, capability: str) -> None:
    if not caller.capabilities.get(capability):
        raise Skipped(f"the bridge says {capability}: false")


@rule("capabilities", "GET /v1/capabilities says everything it must")
def _capabilities(caller: Caller) -> None:
    reply = caller.get("/v1/capabilities")
    if reply.status != 200:
        raise Broken(f"expected 200, got {shown(reply)}")
    try:
        read_capabilities(reply.json())
    except ValueError as wrong:
        raise Broken(str(wrong)) from None
    caller.capabilities = reply.json()
    if not str(caller.capabilities.get("contract", "")).startswith("1."):
        raise Broken(f'contract must be "1.0", not {caller.capabilities.get("contract")!r}')


@rule("key-lifetime", "keys are remembered for at least an hour and a half")
def _key_lifetime(caller: Caller) -> None:
    _needs(caller, "idempotency")
    ttl = caller.capabilities["idempotency_ttl_s"]
    if ttl < IDEMPOTENCY_TTL_MIN_S:
        raise Broken(f"idempotency_ttl_s is {ttl:g}; below {IDEMPOTENCY_TTL_MIN_S:g} keys are not used")


@rule("token", "a request without the token is refused")
def _token(caller: Caller) -> None:
    if not caller.has_token:
        raise Skipped("no token was given to this check")
    expect_error(caller.get("/v1/capabilities", with_token=False), 401, code="unauthorized")


@rule("rooms", "GET /v1/rooms lists rooms")
def _rooms(caller: Caller) -> None:
    reply = caller.get("/v1/rooms")
    body = reply.json()
    rooms = body.get("rooms") if isinstance(body, dict) else None
    if reply.status != 200 or not isinstance(rooms, list):
        raise Broken(f'expected 200 {{"rooms": [{{"id": "…"}}]}}, got {shown(reply)}')
    if not all(isinstance(room, dict) and isinstance(room.get("id"), str) and room["id"] for room in rooms):
        raise Broken(f"every room needs an id, got {shown(reply)}")


@rule("text", "a text is accepted, Korean and emoji included")
def _text(caller: Caller) -> None:
    message_id(caller.send({"text": "Jeongsi 점검 메시지입니다 🙂\n두 번째 줄"}, key=new_key()))


@rule("replay", "the same key and body give the first answer again")
def _replay(caller: Caller) -> None:
    _needs(caller, "idempotency")
    key, body = new_key(), {"text": "Jeongsi 점검: 한 번만 보여야 합니다 (replay)"}
    first, second = message_id(caller.send(body, key=key)), message_id(caller.send(body, key=key))
    if first != second:
        raise Broken(
            f"the second request with one key got message_id {second!r} after {first!r}: it was sent twice"
        )


@rule("replay-at-once", "the same key and body at the same moment are one message")
def _replay_at_once(caller: Caller) -> None:
    _needs(caller, "idempotency")
    key, body = new_key(), {"text": "Jeongsi 점검: 한 번만 보여야 합니다 (replay-at-once)"}
    with ThreadPoolExecutor(4) as threads:
        ids = set(threads.map(lambda _: message_id(caller.send(body, key=key)), range(4)))
    if len(ids) != 1:
        raise Broken(f"4 requests at once with one key became {len(ids)} messages")


@rule("key-reused", "the same key with another body is refused by 422")
def _key_reused(caller: Caller) -> None:
    _needs(caller, "idempotency")
    key = new_key()
    message_id(caller.send({"text": "Jeongsi 점검: 첫 번째 내용"}, key=key))
    expect_error(caller.send({"text": "Jeongsi 점검: 보이면 안 됩니다"}, key=key), 422, code="key_reused")


@rule("refusal-frees-key", "a refused request leaves its key unused")
def _refusal_frees_key(caller: Caller) -> None:
    _needs(caller, "idempotency")
    key = new_key()
    expect_error(caller.send({"text": ""}, key=key), 400)
    message_id(caller.send({"text": "Jeongsi 점검: 거절된 키를 다시 썼습니다"}, key=key))


@rule("unknown-room", "a room that does not exist is refused by 404 room_not_found")
def _unknown_room(caller: Caller) -> None:
    reply = caller.send({"text": "Jeongsi 점검"}, key=new_key(), room=f"missing-{new_key()}")
    expect_error(reply, 404, code="room_not_found")


@rule("empty-text", "an empty text is refused by 400")
def _empty_text(caller: Caller) -> None:
    expect_error(caller.send({"text": ""}, key=new_key()), 400)


@rule("no-text", "a body without a text is refused by 400")
def _no_text(caller: Caller) -> None:
    expect_error(caller.send({"message": "Jeongsi"}, key=new_key()), 400)


@rule("long-text", "a text above text_limit is refused, not cut")
def _long_text(caller: Caller) -> None:
    limit = int(caller.capabilities.get("text_limit", 0))
    expect_error(caller.send({"text": "가" * (limit + 1)}, key=new_key()), 413, 400)


@rule("image", "an image is accepted")
def _image(caller: Caller) -> None:
    _needs(caller, "images")
    if "image/png" not in caller.capabilities["image_types"]:
        raise Skipped("the bridge takes no image/png")
    message_id(caller.send(_images("image/png", DOT_PNG), key=new_key(), action="images"))


@rule("image-type", "an image of another type is refused by 400 or 415")
def _image_type(caller: Caller) -> None:
    _needs(caller, "images")
    expect_error(caller.send(_images("text/x-jeongsi", b"x"), key=new_key(), action="images"), 400, 415)


@rule("look-up", "an accepted message is found by its key, with the same message_id")
def _look_up(caller: Caller) -> None:
    _needs(caller, "lookup_by_key")
    key = new_key()
    sent = message_id(caller.send({"text": "Jeongsi 점검: 조회 대상"}, key=key))
    lag = float(caller.capabilities["lookup_lag_s"])
    found = _wait_for(caller, key, lambda answer: answer["found"] is True, lag + LOOK_UP_PATIENCE_S)
    if found is None:
        raise Broken(
            f"not found {lag + LOOK_UP_PATIENCE_S:g} s after it was accepted (lookup_lag_s is {lag:g})"
        )
    if found.get("state") not in STATES or found.get("message_id") != sent:
        raise Broken(f"expected message_id {sent!r} and a state of {', '.join(STATES)}, got {found}")


@rule("look-up-absent", "a key that was never used is not found")
def _look_up_absent(caller: Caller) -> None:
    _needs(caller, "lookup_by_key")
    if caller.look_up(new_key())["found"]:
        raise Broken("a key that was never used was found")


@rule("look-up-refused", "a refused message is not found")
def _look_up_refused(caller: Caller) -> None:
    _needs(caller, "lookup_by_key")
    key = new_key()
    expect_error(caller.send({"text": ""}, key=key), 400)
    if caller.look_up(key)["found"]:
        raise Broken("a message that was refused by 400 was found")


@rule("confirm", "a message turns delivered")
def _confirm(caller: Caller) -> None:
    _needs(caller, "lookup_by_key")
    _needs(caller, "confirms")
    key = new_key()
    message_id(caller.send({"text": "Jeongsi 점검: 전달 확인"}, key=key))
    if _wait_for(caller, key, lambda answer: answer.get("state") == "delivered", DELIVERY_PATIENCE_S) is None:
        raise Broken(f"not delivered {DELIVERY_PATIENCE_S:g} s after it was accepted")


def _wait_for(
    caller: Caller, key: str, good: Callable[[dict[str, object]], bool], seconds: float
) -> dict[str, object] | None:
    until = clock().monotonic() + seconds
    while True:
        answer = caller.look_up(key)
        if good(answer):
            return answer
        if clock().monotonic() >= until:
            return None
        clock().wait(0.2)


def _images(mime_type: str, data: bytes) -> dict[str, object]:
    image = {"filename": "점검.png", "mime_type": mime_type, "data": base64.b64encode(data).decode()}
    return {"images": [image]}
