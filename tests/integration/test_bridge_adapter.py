"""The bridge adapter over real HTTP, against verbatim pairs and a server that says exactly those."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from gateways.bridge.adapter import BridgeAdapter, path_segment
from gateways.errors import CapabilitiesUnavailable, RoomsUnavailable
from gateways.http import Transport
from gateways.message import PartToSend, RoomAddress, Sought
from gateways.outcomes import (
    Absent,
    Accepted,
    Found,
    LookUp,
    LookUpUnavailable,
    NotSent,
    Outcome,
    RejectedFinal,
)
from tests.support.bridge_fixtures import PAIRS, Pair, assert_follows, pair, request_schema
from tests.support.raw_server import Behaviour, RawServer, answering, once_unanswered, response

NOON = datetime(2026, 11, 21, 3, tzinfo=UTC)
ROOM = RoomAddress("bridge", "방 1")
PART = PartToSend("text", "안녕하세요", None, "key-1", UUID(int=1))
CAPABILITIES = pair("capabilities-key").response["body"]


@contextmanager
def adapter_to(server: RawServer, token: str | None = None, path: str = "") -> Iterator[BridgeAdapter]:
    transport = Transport(f"http://127.0.0.1:{server.port}{path}", deadline_s=2)
    adapter = BridgeAdapter("bridge", transport, token=token)
    try:
        yield adapter
    finally:
        adapter.close()


def said(status: int, body: Any, content_type: str = "application/json") -> Behaviour:
    return answering(response(f"{status} Said", json.dumps(body).encode(), content_type))


def says(one: Pair) -> Behaviour:
    headers = dict(one.response["headers"])
    body = one.response["body"]
    raw = (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()
    kind = headers.pop("Content-Type")
    more = [f"{name}: {value}" for name, value in headers.items()]
    return answering(response(f"{one.response['status']} Said", raw, kind, *more))


def parsed(raw: bytes) -> tuple[str, str, dict[str, str], Any]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return method, path, headers, json.loads(body) if body else None


def send(adapter: BridgeAdapter, room: RoomAddress = ROOM, part: PartToSend = PART) -> Outcome:
    line = adapter.open(room)
    assert not isinstance(line, NotSent)
    return adapter.send(line, room, part)


def called(adapter: BridgeAdapter, one: Pair) -> Any:
    match one.call["do"]:
        case "send":
            outcome = send(adapter, one.room(), one.part())
            return {name: getattr(outcome, name) for name in one.outcome}
        case "look_up":
            return _as_json(adapter.look_up(one.room(), Sought(one.call["key"], None, NOON)))
        case "capabilities":
            return {name: getattr(adapter.capabilities(), name) for name in one.outcome}
        case _:
            return adapter.rooms()


def _as_json(answer: LookUp) -> dict[str, Any]:
    match answer:
        case Found(state, provider_msg_id):
            return {"found": state, "provider_msg_id": provider_msg_id}
        case Absent():
            return {"absent": True}
        case LookUpUnavailable(reason):
            return {"unavailable": reason}


@pytest.mark.parametrize("one", PAIRS, ids=lambda one: one.name)
def test_the_adapter_asks_and_understands_what_the_pair_says(one: Pair) -> None:
    with RawServer(says(one)) as server, adapter_to(server, one.call.get("token")) as adapter:
        assert called(adapter, one) == one.outcome
        [raw] = server.requests
    method, path, headers, body = parsed(raw)
    assert (method, path, body) == (one.request["method"], one.request["path"], one.request["body"])
    assert headers.items() >= one.request["headers"].items()
    assert ("Authorization" in headers) == ("Authorization" in one.request["headers"])
    assert headers["Accept-Encoding"] == "identity"
    if one.response["status"] != 400 and (schema := request_schema(path)):
        assert_follows(schema, body)


@pytest.mark.parametrize("one", [one for one in PAIRS if one.schema], ids=lambda one: one.name)
def test_the_pairs_follow_the_published_contract(one: Pair) -> None:
    assert_follows(str(one.schema), one.response["body"])


@pytest.mark.parametrize(
    ("room", "segment"),
    [
        ("18398338829933617", "18398338829933617"),
        ("a/b?c#d%e", "a%2Fb%3Fc%23d%25e"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("방 1\r\nX: 1", "%EB%B0%A9%201%0D%0AX%3A%201"),
        ("@evil.example.com", "%40evil.example.com"),
    ],
)
def test_a_room_id_stays_one_path_segment(room: str, segment: str) -> None:
    with RawServer(said(200, {"accepted": True, "message_id": "1"})) as server, adapter_to(server) as adapter:
        assert isinstance(send(adapter, RoomAddress("bridge", room)), Accepted)
        assert parsed(server.requests[0])[1] == f"/v1/rooms/{segment}/text"


@pytest.mark.parametrize("room", ["", " ", ".", ".."])
def test_a_room_id_that_no_path_can_carry_is_refused_and_not_sent(room: str) -> None:
    assert path_segment(room) is None
    with RawServer(said(200, {})) as server, adapter_to(server) as adapter:
        assert send(adapter, RoomAddress("bridge", room)) == RejectedFinal("bad_room_id")
        assert server.requests == []


def test_a_path_of_the_base_url_stays_in_front() -> None:
    behave = said(200, {"accepted": True, "message_id": "1"})
    with RawServer(behave) as server, adapter_to(server, path="/bots/one/") as adapter:
        send(adapter)
        assert parsed(server.requests[0])[1].startswith("/bots/one/v1/rooms/")


def test_capabilities_are_asked_once() -> None:
    with RawServer(said(200, CAPABILITIES)) as server, adapter_to(server) as adapter:
        assert adapter.capabilities() is adapter.capabilities()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, CAPABILITIES, "http_500"),
        (200, [], "no JSON object"),
        (200, {**CAPABILITIES, "idempotency": "yes"}, "idempotency must be true or false, not 'yes'"),
        (200, {**CAPABILITIES, "text_limit": 0}, "text_limit must be a number from 1 on, not 0"),
        (200, {**CAPABILITIES, "image_types": "png"}, "image_types must be a list of texts"),
        (200, {"contract": "1.0"}, "must be a number"),
    ],
)
def test_capabilities_that_cannot_be_believed_are_an_error_that_says_why(
    status: int, body: Any, why: str
) -> None:
    with RawServer(said(status, body)) as server, adapter_to(server) as adapter:
        for _ in range(2):
            with pytest.raises(CapabilitiesUnavailable, match=why):
                adapter.capabilities()
        assert len(server.requests) == 2, "a failure is not kept"


def test_a_bridge_that_forgets_keys_too_early_is_used_as_one_without_keys() -> None:
    forgetful = {**CAPABILITIES, "idempotency_ttl_s": 3600}
    with RawServer(said(200, forgetful)) as server, adapter_to(server) as adapter:
        assert adapter.capabilities().kind == "lookup"


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (said(404, {"error": {"code": "not_found", "message": ""}}), "http_404"),
        (said(503, {}), "http_503"),
        (said(200, "<html>", "text/html"), "not_the_provider"),
        (said(200, {"found": "no"}), "not_the_provider"),
        (said(200, {"found": True, "message_id": "1", "state": "flying"}), "bad_state"),
        (answering(response("200 OK", b'{"found": false}')[:-3]), "not_the_provider"),
        (once_unanswered, "no_response"),
    ],
)
def test_an_answer_that_is_no_clear_no_is_never_read_as_absence(behave: Behaviour, reason: str) -> None:
    with RawServer(behave) as server, adapter_to(server) as adapter:
        answer = adapter.look_up(ROOM, Sought("key-1", None, NOON))
        assert isinstance(answer, LookUpUnavailable)
        assert answer.reason == reason


def test_a_bridge_that_is_not_there_is_not_sent_and_cannot_be_asked() -> None:
    with RawServer(said(200, {})) as server:
        port = server.port
    adapter = BridgeAdapter("bridge", Transport(f"http://127.0.0.1:{port}"))
    assert isinstance(adapter.open(ROOM), NotSent)
    assert adapter.look_up(ROOM, Sought("k", None, NOON)) == LookUpUnavailable("refused", _answer_of(adapter))
    with pytest.raises(CapabilitiesUnavailable, match="'bridge' did not say what it can do: refused"):
        adapter.capabilities()
    with pytest.raises(RoomsUnavailable, match="refused"):
        adapter.rooms()


def _answer_of(adapter: BridgeAdapter) -> dict[str, Any]:
    refused = adapter.open(ROOM)
    assert isinstance(refused, NotSent)
    return refused.answer


def test_a_list_of_rooms_in_another_form_is_an_error() -> None:
    behave = said(200, {"rooms": ["방 1"]})
    with RawServer(behave) as server, adapter_to(server) as adapter, pytest.raises(RoomsUnavailable):
        adapter.rooms()


def test_an_unused_line_gives_its_connection_back() -> None:
    with (
        RawServer(said(200, {"accepted": True, "message_id": "1"})) as server,
        adapter_to(server) as adapter,
    ):
        for _ in range(3):
            line = adapter.open(ROOM)
            assert not isinstance(line, NotSent)
            line.close()
            line.close()
        send(adapter)
        assert server.connections == 1


def test_a_line_sends_once() -> None:
    behave = said(200, {"accepted": True, "message_id": "1"})
    with RawServer(behave) as server, adapter_to(server) as adapter:
        line = adapter.open(ROOM)
        assert not isinstance(line, NotSent)
        assert isinstance(adapter.send(line, ROOM, PART), Accepted)
        assert adapter.send(line, ROOM, PART) == NotSent("connection_used")
        line.close()
        assert len(server.requests) == 1


def test_an_image_of_ten_megabytes_goes_out_whole() -> None:
    one = pair("image-accepted")
    image = one.part().image
    assert image is not None
    large = type(image)(b"\x00\xff" * 5_000_000, image.mime_type, image.filename)
    part = PartToSend("image", None, large, "key-1", UUID(int=1))
    with RawServer(says(one)) as server, adapter_to(server) as adapter:
        assert isinstance(send(adapter, ROOM, part), Accepted)
        [image_sent] = parsed(server.requests[0])[3]["images"]
    assert base64.b64decode(image_sent["data"]) == large.data
