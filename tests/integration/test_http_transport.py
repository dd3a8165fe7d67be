"""What each behaviour of a socket proves: the table of outcomes, over real connections."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from gateways.bridge.adapter import BridgeAdapter
from gateways.http import Prepared, Reply, Transport
from gateways.message import PartToSend, RoomAddress
from gateways.outcomes import NotSent, Outcome, Unknown
from runtime.clock import ManualClock, clock
from tests.support.raw_server import Behaviour, RawServer, answering, reset, response
from tests.support.waiting import eventually

DEADLINE_S = 0.3
ROOM = RoomAddress("bridge", "거래처-단톡방")
PART = PartToSend("text", "장부 확인 부탁드립니다", None, "key-1", UUID(int=7))
TLS = Path(__file__).parent.parent / "fixtures" / "tls"
TAKEN = b'{"accepted":true,"message_id":"m-1"}'
ERROR = b'{"error":{"code":"room_not_found","message":"no such room"}}'
JSON, TEXT_HTML = "application/json", "text/html"
HTML = b"<html><h1>Not Found</h1></html>"


opened: list[Transport] = []


@pytest.fixture(autouse=True)
def _close_transports() -> Iterator[None]:
    yield
    while opened:
        opened.pop().close()


def transport_at(url: str, **options: Any) -> Transport:
    opened.append(Transport(url, **{"deadline_s": DEADLINE_S, **options}))
    return opened[-1]


def transport_to(port: int, **options: Any) -> Transport:
    return transport_at(f"http://127.0.0.1:{port}", **options)


def send_over(server: RawServer) -> Outcome:
    adapter = BridgeAdapter("bridge", transport_to(server.port))
    line = adapter.open(ROOM)
    assert not isinstance(line, NotSent)
    try:
        return adapter.send(line, ROOM, PART)
    finally:
        adapter.close()


def once(*pieces: bytes, pause_s: float = 0.0, then_wait: bool = False) -> Behaviour:
    """Reads one request, writes the pieces with pauses between them, then closes (or waits)."""

    def behave(sock: socket.socket, server: RawServer) -> None:
        server.read_request(sock)
        for piece in pieces:
            sock.sendall(piece)
            server.stopping.wait(pause_s)
        if then_wait:
            server.stopping.wait(5)

    return behave


def read_then_reset(sock: socket.socket, server: RawServer) -> None:
    server.read_request(sock)
    reset(sock)


def drips(text: bytes) -> Behaviour:
    return once(*(bytes([byte]) for byte in text), pause_s=0.05)


class Case(NamedTuple):
    name: str
    behave: Behaviour
    kind: str
    reason: str
    status: int | tuple[int | None, ...] | None = None


def said(status: str, body: bytes, content_type: str = "application/json", *headers: str) -> Behaviour:
    return answering(response(status, body, content_type, *headers))


CASES = [
    Case("taken", said("200 OK", TAKEN), "accepted", "accepted", 200),
    Case("taken with 202", said("202 Accepted", TAKEN), "accepted", "accepted", 202),
    Case("read, then closed", once(), "unknown", "no_response"),
    Case("read, then reset", read_then_reset, "unknown", "reset"),
    Case("silence", once(then_wait=True), "unknown", "deadline"),
    Case("half a status line", once(b"HTTP/1.1 20"), "unknown", "bad_response"),
    Case("no HTTP at all", once(b"SSH-2.0-OpenSSH_9.6\r\n"), "unknown", "bad_response"),
    Case(
        "a header without an end", once(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000),
        "unknown", "bad_response",
    ),
    Case("status line only", once(b"HTTP/1.1 200 OK\r\n"), "unknown", "not_the_provider", 200),
    Case("status line drips", drips(b"HTTP/1.1 200 OK\r\n\r\n"), "unknown", "deadline"),
    Case(
        # Cut off in the middle of a line the status may be lost with it: it tells nothing that counts.
        "headers drip", once(b"HTTP/1.1 200 OK\r\n", *[b"X-A: 1\r\n"] * 20, pause_s=0.05),
        "unknown", "deadline", (200, None),
    ),
    Case(
        "headers stop",
        once(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", then_wait=True),
        "unknown", "deadline", 200,
    ),
    Case("body cut", once(response("200 OK", TAKEN)[:-9]), "accepted", "body_cut", 200),
    Case("body slow", once(response("200 OK", TAKEN)[:-9], then_wait=True), "accepted", "body_cut", 200),
    Case(
        "body drips",
        once(response("200 OK", b"")[:-5].replace(b"h: ", b"h: 9"), b"\r\n\r\n", *[b"x"] * 20, pause_s=0.05),
        "accepted", "body_cut", 200,
    ),
    Case(
        "chunked body cut",
        once(response("200 OK", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"9\r\n"),
        "accepted", "body_cut", 200,
    ),
    Case("body huge", once(response("200 OK", TAKEN + b" " * 30_000_000)), "accepted", "body_cut", 200),
    Case(
        "body cut, in HTML", once(response("200 OK", HTML, TEXT_HTML)[:-9]),
        "unknown", "not_the_provider", 200,
    ),
    Case("login page", said("200 OK", HTML, TEXT_HTML), "unknown", "not_the_provider", 200),
    Case("JSON of somebody else", said("200 OK", b'{"ok":true}'), "unknown", "not_the_provider", 200),
    Case("not accepted in a 200", said("200 OK", b'{"accepted":false}'), "unknown", "not_the_provider", 200),
    Case("nothing in a 204", once(b"HTTP/1.1 204 No Content\r\n\r\n"), "unknown", "not_the_provider", 204),
    Case("301", said("301 Moved", b"", TEXT_HTML, "Location: /v1/rooms/x/text"), "unknown", "redirect", 301),
    Case(
        "307", said("307 Temporary Redirect", b"", TEXT_HTML, "Location: /again"),
        "unknown", "redirect", 307,
    ),
    Case("404 of an intermediary", said("404 Not Found", HTML, TEXT_HTML), "unknown", "intermediary", 404),
    Case("404 in another form", said("404 Not Found", b'{"error":"none"}'), "unknown", "intermediary", 404),
    Case("404 cut", once(response("404 Not Found", ERROR)[:-9]), "unknown", "intermediary", 404),
    Case("404 of the bridge", said("404 Not Found", ERROR), "rejected_final", "room_not_found", 404),
    Case("400 of the bridge", said("400 Bad Request", ERROR), "rejected_final", "room_not_found", 400),
    Case("422 of the bridge", said("422 Unprocessable", ERROR), "rejected_final", "room_not_found", 422),
    Case("408", said("408 Request Timeout", ERROR), "unknown", "http_408", 408),
    Case("409", said("409 Conflict", ERROR), "unknown", "http_409", 409),
    Case("425", said("425 Too Early", ERROR), "unknown", "http_425", 425),
    Case("429", said("429 Too Many", ERROR, JSON, "Retry-After: 3"), "rejected_retry", "room_not_found", 429),
    Case(
        "429 of an intermediary", said("429 Too Many", HTML, TEXT_HTML, "Retry-After: 3"),
        "unknown", "http_429", 429,
    ),
    Case("500", said("500 Oops", ERROR), "unknown", "http_500", 500),
    Case("502", said("502 Bad Gateway", HTML, TEXT_HTML), "unknown", "http_502", 502),
    Case("503", said("503 Busy", ERROR), "unknown", "http_503", 503),
    Case(
        "503 with Retry-After", said("503 Busy", ERROR, JSON, "Retry-After: 3"),
        "rejected_retry", "room_not_found", 503,
    ),
    Case(
        "503 of an intermediary", said("503 Busy", HTML, TEXT_HTML, "Retry-After: 3"),
        "unknown", "http_503", 503,
    ),
    Case("504", said("504 Gateway Timeout", HTML, TEXT_HTML), "unknown", "http_504", 504),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_becomes_the_outcome_that_it_proves(case: Case) -> None:
    started = clock().monotonic()
    with RawServer(case.behave) as server:
        outcome = send_over(server)
        assert (outcome.kind, outcome.reason) == (case.kind, case.reason)
        assert outcome.http_status in (case.status if isinstance(case.status, tuple) else (case.status,))
        assert server.connections == 1
        assert len(server.requests) == 1, "sent once, whatever came back"
    assert clock().monotonic() - started < DEADLINE_S + 1
    assert outcome.wrote_after_ms is not None
    assert 0 <= outcome.wrote_after_ms < 1000
    assert json.dumps(outcome.answer)


def test_the_wait_that_the_provider_wishes_is_passed_on() -> None:
    with RawServer(said("429 Too Many", ERROR, "application/json", "Retry-After: 12")) as server:
        assert send_over(server).retry_after_s == 12


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
    return port


def test_a_refused_connection_is_proof_of_not_sent() -> None:
    assert_not_prepared(transport_to(refused_port()), "refused")


def test_a_name_that_does_not_resolve_is_proof_of_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_host(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    assert_not_prepared(transport_at("http://bot.invalid"), "dns")


def test_a_network_that_cannot_be_reached_is_proof_of_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert_not_prepared(transport_to(1), "unreachable")


def test_a_connect_timeout_is_proof_of_not_sent() -> None:
    with socket.socket() as full, contextmanager(_filled)(full) as port:
        assert_not_prepared(transport_to(port, connect_timeout_s=0.1), "connect_timeout")


def _filled(listening: socket.socket) -> Iterator[int]:
    """A listener whose queue is full, so that the kernel leaves further connections unanswered."""
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listening.getsockname())
    yield listening.getsockname()[1]
    for filler in fillers:
        filler.close()


def assert_not_prepared(transport: Transport, *reasons: str) -> None:
    started = clock().monotonic()
    outcome = transport.prepare()
    assert isinstance(outcome, NotSent)
    assert outcome.reason in reasons
    assert outcome.wrote_after_ms is None
    assert clock().monotonic() - started < 1.5


def hello_in_plain(sock: socket.socket, server: RawServer) -> None:
    sock.sendall(b"220 smtp.example.com ESMTP\r\n")
    server.stopping.wait(5)


def silent(sock: socket.socket, server: RawServer) -> None:
    server.stopping.wait(5)


def drips_a_handshake(sock: socket.socket, server: RawServer) -> None:
    sock.sendall(b"\x16\x03\x03\x0f\xff")
    while not server.stopping.wait(0.05):
        sock.sendall(b"\x02")


@pytest.mark.parametrize("behave", [hello_in_plain, silent, drips_a_handshake])
def test_a_failed_tls_handshake_is_proof_of_not_sent(behave: Behaviour) -> None:
    with RawServer(behave) as server:
        assert_not_prepared(transport_at(f"https://127.0.0.1:{server.port}", connect_timeout_s=0.3), "tls")


def test_a_reset_instead_of_a_handshake_is_proof_of_not_sent() -> None:
    with RawServer(lambda sock, _: reset(sock)) as server:
        at = transport_at(f"https://127.0.0.1:{server.port}", connect_timeout_s=0.3)
        assert_not_prepared(at, "tls", "unreachable")  # the reset may come before the handshake begins


@contextmanager
def tls_server(behave: Behaviour) -> Iterator[RawServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    with RawServer(behave, context) as server:
        yield server


def test_a_certificate_that_nobody_vouches_for_is_proof_of_not_sent() -> None:
    with tls_server(answering(response("200 OK", TAKEN))) as server:
        assert_not_prepared(transport_at(f"https://127.0.0.1:{server.port}"), "tls")


def test_a_request_goes_over_tls_and_the_connection_serves_the_next_one() -> None:
    with tls_server(answering(response("200 OK", TAKEN))) as server:
        transport = transport_at(f"https://localhost:{server.port}", ca_file=str(TLS / "localhost.crt"))
        for _ in range(3):
            assert isinstance(reply := ask(transport), Reply)
            assert reply.body == TAKEN
        assert server.connections == 1


def test_the_deadline_ends_a_silent_tls_connection() -> None:
    with tls_server(once(then_wait=True)) as server:
        url = f"https://localhost:{server.port}"
        outcome = ask(transport_at(url, ca_file=str(TLS / "localhost.crt")))
        assert isinstance(outcome, Unknown)
        assert outcome.reason == "deadline"


def ask(transport: Transport, write_by: float | None = None) -> Reply | NotSent | Unknown:
    prepared = transport.prepare()
    assert isinstance(prepared, Prepared)
    return transport.send(prepared, "POST", "/v1/rooms/r/text", {}, {"text": "x"}, write_by=write_by)


def wait_until_closed_by_peer(prepared: Prepared) -> None:
    assert prepared._wire is not None
    assert select.select([prepared._wire.sock], [], [], 5)[0]


def test_a_connection_closed_between_prepare_and_send_is_not_opened_again() -> None:
    with RawServer(lambda sock, _: sock.close()) as server:
        transport = transport_to(server.port)
        prepared = transport.prepare()
        assert isinstance(prepared, Prepared)
        wait_until_closed_by_peer(prepared)
        assert transport.send(prepared, "POST", "/", {}, {}) == NotSent("connection_closed")
        assert server.connections == 1


def test_bytes_that_nobody_asked_for_make_a_connection_unusable() -> None:
    with RawServer(once_greeting) as server:
        transport = transport_to(server.port)
        prepared = transport.prepare()
        assert isinstance(prepared, Prepared)
        wait_until_closed_by_peer(prepared)
        assert transport.send(prepared, "POST", "/", {}, {}) == NotSent("connection_closed")


def once_greeting(sock: socket.socket, server: RawServer) -> None:
    sock.sendall(response("408 Request Timeout", b""))
    server.stopping.wait(5)


def test_a_prepared_connection_that_waited_too_long_is_not_written_to() -> None:
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        hands = ManualClock(datetime(2026, 11, 21, tzinfo=UTC))
        transport = transport_to(server.port, clock=hands, keep_alive_s=4.0)
        prepared = transport.prepare()
        assert isinstance(prepared, Prepared)
        hands.advance(4.1)
        assert transport.send(prepared, "POST", "/", {}, {}) == NotSent("connection_expired")
        assert server.requests == []


def test_a_send_whose_time_to_write_has_passed_leaves_no_byte() -> None:
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        transport = transport_to(server.port)
        assert ask(transport, write_by=clock().monotonic() - 0.001) == NotSent("guard_missed")
        assert isinstance(ask(transport, write_by=clock().monotonic() + 10), Reply)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "text"),
    [({"Idempotency-Key": "a\r\nX: 1"}, "x"), ({"Idempotency-Key": "열쇠"}, "x"), ({}, "\ud800")],
)
def test_what_no_request_can_carry_is_an_error_and_leaves_no_byte(headers: dict[str, str], text: str) -> None:
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        transport = transport_to(server.port)
        prepared = transport.prepare()
        assert isinstance(prepared, Prepared)
        with pytest.raises(ValueError):
            transport.send(prepared, "POST", "/", headers, {"text": text})
        transport.release(prepared)
        assert isinstance(ask(transport), Reply)
        assert len(server.requests) == 1


def test_a_child_process_has_connections_of_its_own() -> None:
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        use = f"bridge+http://127.0.0.1:{server.port}"
        code = (
            "import os, sys\n"
            "from gateways.registry import adapter_for\n"
            "first = adapter_for('bridge')\n"
            "first._transport.release(first._transport.prepare())\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    second = adapter_for('bridge')\n"
            "    os._exit(0 if second is not first and not second._transport._idle else 1)\n"
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "KAKAO_BOT_URL": use},
            timeout=30,
            check=False,
        )
        assert done.returncode == 0


def test_a_prepared_connection_serves_one_send() -> None:
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        transport = transport_to(server.port)
        prepared = transport.prepare()
        assert isinstance(prepared, Prepared)
        assert isinstance(transport.send(prepared, "POST", "/", {}, {}), Reply)
        assert transport.send(prepared, "POST", "/", {}, {}) == NotSent("connection_used")
        assert len(server.requests) == 1


def test_a_connection_is_used_again_whether_it_sent_or_was_given_back() -> None:
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        transport = transport_to(server.port)
        unused = transport.prepare()
        assert isinstance(unused, Prepared)
        transport.release(unused)
        for _ in range(3):
            assert isinstance(ask(transport), Reply)
        assert server.connections == 1


@pytest.mark.parametrize(
    "behave",
    [
        answering(response("200 OK", TAKEN, "application/json", "Connection: close")),
        answering(response("200 OK", TAKEN, "application/json", "Keep-Alive: timeout=1")),
        answering(response("200 OK", TAKEN)[:-9]),
    ],
    ids=["announced as closed", "kept for a second", "cut"],
)
def test_a_connection_that_may_be_dead_is_not_used_again(behave: Behaviour) -> None:
    with RawServer(behave) as server:
        transport = transport_to(server.port)
        for _ in range(2):
            assert isinstance(ask(transport), Reply)
        assert server.connections == 2


def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    with RawServer(once(response("200 OK", TAKEN))) as server:
        transport = transport_to(server.port)
        for asked in (1, 2):
            assert isinstance(ask(transport), Reply)
            eventually(lambda asked=asked: server.closed == asked)  # type: ignore[misc]
        assert server.connections == 2


def test_an_idle_connection_beyond_the_keep_alive_limit_is_replaced() -> None:
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        hands = ManualClock(datetime(2026, 11, 21, tzinfo=UTC))
        transport = transport_to(server.port, clock=hands, keep_alive_s=4.0)
        for seconds in (0.0, 3.9, 4.1):
            hands.advance(seconds)
            assert isinstance(ask(transport), Reply)
        assert server.connections == 2


def test_proxies_from_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{refused_port()}")
    with RawServer(answering(response("200 OK", TAKEN))) as server:
        assert isinstance(ask(transport_to(server.port)), Reply)


def test_many_sends_at_once_each_keep_their_own_deadline() -> None:
    with RawServer(once(then_wait=True)) as server, ThreadPoolExecutor(40) as threads:
        transport = transport_to(server.port)
        together = threading.Barrier(40)

        def send(_: int) -> float:
            together.wait()
            started = clock().monotonic()
            outcome = ask(transport)
            assert isinstance(outcome, Unknown)
            assert outcome.reason == "deadline"
            return clock().monotonic() - started

        assert all(DEADLINE_S - 0.01 <= took < DEADLINE_S + 1 for took in threads.map(send, range(40)))


def test_a_large_body_that_is_reset_half_way_is_unknown() -> None:
    def reads_little(sock: socket.socket, server: RawServer) -> None:
        sock.recv(1000)
        reset(sock)

    with RawServer(reads_little) as server:
        transport = transport_to(server.port)
        prepared = transport.prepare()
        assert isinstance(prepared, Prepared)
        outcome = transport.send(prepared, "POST", "/", {}, {"images": "x" * 20_000_000})
        assert isinstance(outcome, Unknown)
        assert outcome.reason in {"reset", "no_response", "connection_lost"}


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "http://", "http://user:secret@host", "http://host/?a=b", "http://host/#x", "host"],
)
def test_a_base_url_that_cannot_be_meant_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="a base URL") as refused:
        Transport(url)
    assert "secret" not in str(refused.value)
