"""Adapter and emulator of an Iris device, each held against verbatim fixtures (tests/fixtures/iris)."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from gateways.http import Transport
from gateways.iris.adapter import IrisAdapter, Timing
from gateways.iris.device import Trouble
from gateways.message import ImageBytes, PartToSend, RoomAddress, Sought
from gateways.outcomes import Absent, Accepted, Found, LookUpUnavailable, NotSent, Outcome
from ops.emulator import Emulator, Rule
from runtime.clock import SystemClock
from tests.support.raw_server import RawServer, response
from tests.support.waiting import eventually

FIXTURES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[1] / "fixtures" / "iris").glob("*.json"))
}
REPLIES = [name for name, one in FIXTURES.items() if one["outcome"] and name.startswith("reply")]
ROOM = RoomAddress("iris", "18300000000000001")
TIMING = Timing(deadline=2.0, read_back=0.1, first_lookup=0.1, settle=1.0)
NOW = SystemClock().now()


@contextmanager
def adapter_at(url: str) -> Iterator[IrisAdapter]:
    adapter = IrisAdapter("iris", Transport(url, deadline_s=2.0), Transport(url, deadline_s=0.5), TIMING)
    yield adapter
    adapter.close()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as one:
        yield one


@pytest.fixture
def adapter(emulator: Emulator) -> Iterator[IrisAdapter]:
    with adapter_at(f"{emulator.url}/iris") as one:
        yield one


def send(adapter: IrisAdapter, text: str = "안녕하세요") -> tuple[Outcome, dict[str, Any]]:
    line = adapter.open(ROOM)
    assert not isinstance(line, NotSent), line
    assert line.before is not None
    return adapter.send(line, ROOM, PartToSend("text", text, None, "k-1", uuid4())), line.before


def sought(before: dict[str, Any] | None, text: str = "안녕하세요") -> Sought:
    return Sought("k-1", None, NOW, "text", text, 0, before)


def raw(name: str) -> bytes:
    said = FIXTURES[name]["response"]
    body = json.dumps(said["body"], ensure_ascii=False).encode()
    status = {200: "200 OK", 500: "500 Internal Server Error"}[said["status"]]
    return response(status, body, said["headers"]["Content-Type"])


def device_saying(reply: bytes) -> RawServer:
    """A device that is well, knows no message, and says `reply` to a message."""
    nothing = response("200 OK", b'{"data":[]}')
    stands = response("200 OK", b'{"data":[{"last_id":"7","pending":"0"}]}')

    def behave(sock: socket.socket, server: RawServer) -> None:
        while asked := server.read_request(sock):
            target = asked.split(b" ", 2)[1]
            query = stands if b"AS last_id" in asked else nothing
            answers = {b"/config": raw("config"), b"/dashboard/status": raw("status"), b"/query": query}
            sock.sendall(answers.get(target, reply))

    return RawServer(behave)


# -- fixtures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXTURES)
def test_the_emulator_says_what_iris_says(emulator: Emulator, name: str) -> None:
    one = FIXTURES[name]
    emulator.device().write_row(18300000000000001, "안녕하세요")
    asked = one["request"]
    answer = requests.request(
        asked["method"], f"{emulator.url}/iris{asked['path']}", json=asked["body"], timeout=5
    )
    assert answer.status_code == one["response"]["status"]
    said = answer.json()
    if name == "query-not-decrypted-without-v":
        assert said["data"][0].pop("message") != "안녕하세요"
        one["response"]["body"]["data"][0].pop("message", None)
    assert said == one["response"]["body"]


@pytest.mark.parametrize("name", REPLIES)
def test_the_adapter_reads_iris_as_the_fixture_says(name: str) -> None:
    with device_saying(raw(name)) as server, adapter_at(f"http://127.0.0.1:{server.port}") as adapter:
        outcome, before = send(adapter)
    assert [outcome.kind, outcome.reason] == FIXTURES[name]["outcome"]
    assert before == {
        "bot_id": "430000000000001", "observing": True, "send_rate_ms": 50, "last_id": 7, "pending": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (response("500 Internal Server Error", b'{"status":false,"message":"unknown error"}'), "http_500"),
        (response("200 OK", b"<h1>Login</h1>", "text/html"), "not_the_provider"),
        (response("200 OK", b'{"ok":true}'), "not_the_provider"),
        (response("404 Not Found", b"", "text/plain"), "http_404"),
        (response("307 Temporary Redirect", b"", "text/plain", "Location: /x"), "redirect"),
        (response("500 Internal Server Error", b"For input string", "text/html"), "http_500"),
    ],
)
def test_what_does_not_prove_a_refusal_is_unknown(reply: bytes, reason: str) -> None:
    with device_saying(reply) as server, adapter_at(f"http://127.0.0.1:{server.port}") as adapter:
        outcome, _ = send(adapter)
    assert (outcome.kind, outcome.reason) == ("unknown", reason)


# -- sending and looking -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["글 🙂👨‍👩‍👧", "한글", "مرحبا שלום", "{a} {{b}} {", "줄\r\n줄 ", '"\\\u2028']
)
def test_a_text_is_found_in_the_room_as_it_was_sent(adapter: IrisAdapter, text: str) -> None:
    outcome, _ = send(adapter, text)
    assert isinstance(outcome, Accepted)
    assert (outcome.provider_msg_id, outcome.candidates) == ("1", (("1",),))


def test_a_text_with_nul_is_refused_before_anything_is_written(
    adapter: IrisAdapter, emulator: Emulator
) -> None:
    outcome, _ = send(adapter, "가\x00나")
    assert (outcome.kind, outcome.reason, outcome.wrote_after_ms) == ("rejected_final", "nul_in_text", None)
    assert emulator.receipts.all() == []


def test_what_stood_in_the_room_before_is_never_taken_for_ours(
    adapter: IrisAdapter, emulator: Emulator
) -> None:
    emulator.device().write_row(int(ROOM.room), "안녕하세요")
    emulator.faults.add(Rule("lost"))
    outcome, before = send(adapter)
    assert (outcome.kind, outcome.reason) == ("unknown", "queued")
    seen = adapter.look_up(ROOM, sought(before))
    assert isinstance(seen, Absent)
    assert (seen.doubt, seen.others) == (None, ())


def test_the_message_of_another_person_with_the_same_text_is_not_ours(
    adapter: IrisAdapter, emulator: Emulator
) -> None:
    emulator.faults.add(Rule("lost"))
    _, before = send(adapter)
    emulator.device().write_row(int(ROOM.room), "안녕하세요", user_id=99)
    assert isinstance(adapter.look_up(ROOM, sought(before)), Absent)


def test_a_message_that_shows_up_later_is_found_by_what_was_kept(
    adapter: IrisAdapter, emulator: Emulator
) -> None:
    emulator.faults.add(Rule("lost"))
    _, before = send(adapter)
    emulator.device().write_row(int(ROOM.room), "안녕하세요")
    seen = adapter.look_up(ROOM, sought(before))
    assert isinstance(seen, Found)
    assert seen.state == "delivered"


def test_absence_is_not_said_by_a_device_that_cannot_know(adapter: IrisAdapter, emulator: Emulator) -> None:
    device = emulator.device()
    emulator.faults.add(Rule("lost"))
    _, before = send(adapter)

    def reason(**changed: Any) -> str:
        seen = adapter.look_up(ROOM, sought({**before, **changed}))
        assert isinstance(seen, LookUpUnavailable), seen
        return seen.reason

    device.pend(int(ROOM.room), "안녕하세요")
    assert reason() == "pending_on_device"
    device.unpend(int(ROOM.room))
    device.phone.observing = False
    assert reason() == "device_unwell"
    device.phone.observing = True
    assert reason(last_id=10**6) == "history_lost"
    device.phone.bot_id = 5
    assert reason() == "other_account"
    device.phone.html = True
    assert reason() == "not_the_provider"
    assert isinstance(adapter.look_up(ROOM, sought(None)), LookUpUnavailable)


def test_a_message_that_kakaotalk_still_sends_is_waited_for(adapter: IrisAdapter, emulator: Emulator) -> None:
    emulator.faults.add(Rule("pending", delay_s=0.6))
    outcome, _ = send(adapter)
    assert outcome.kind == "accepted"


def test_nothing_is_sent_to_a_page_nor_to_a_device_without_an_account(
    adapter: IrisAdapter, emulator: Emulator
) -> None:
    emulator.device().phone.bot_id = 0
    assert adapter.open(ROOM) == NotSent("bot_id_unknown")
    emulator.device().phone.html = True
    with adapter_at(f"{emulator.url}/iris") as fresh:
        refused = fresh.open(ROOM)
        assert isinstance(refused, NotSent)
        assert refused.reason == "not_the_provider"
        assert isinstance(fresh.device.health(), Trouble)


def test_several_images_go_in_one_request(adapter: IrisAdapter, emulator: Emulator) -> None:
    image = ImageBytes(base64.b64decode("iVBORw0KGgo="), "image/png", "사진.png")
    line = adapter.open(ROOM)
    assert not isinstance(line, NotSent)
    outcome = adapter.send(line, ROOM, PartToSend("image", None, image, "k", uuid4(), (image, image)))
    assert isinstance(outcome, Accepted)
    assert [one.kind for one in emulator.receipts.all()] == ["image"]


# -- the emulator's own quirks -------------------------------------------------------------------


def test_a_message_that_was_not_taken_yet_is_overwritten_by_the_next(emulator: Emulator) -> None:
    device = emulator.device()
    device.phone.send_rate_ms = 300
    for number in range(3):
        body = {"room": "5", "data": f"글 {number}"}
        answer = requests.post(f"{emulator.url}/iris/reply", json=body, timeout=5)
        assert answer.json() == {"success": True, "message": "success"}
    with adapter_at(f"{emulator.url}/iris") as adapter:

        def shown() -> list[str]:
            rows = adapter.device.rows("5", str(device.phone.bot_id), 0)
            assert isinstance(rows, list), rows
            return [row.text for row in rows]

        eventually(lambda: shown()[-1:] == ["글 2"])
        assert len(shown()) == 3 - device.overtaken
    assert device.overtaken >= 1
