"""The HTTP transport of every provider.

    prepared = transport.prepare()      DNS, TCP, TLS, before the point of no return
    transport.send(prepared, ...)       one request, over exactly that connection, within one total deadline

What it guarantees (exactly-once section 1 row 30, section 3 R6 and R7, section 6):
a NotSent is proof that no byte left; never a second connection, a retry, a redirect or a proxy that nobody
asked for; the deadline is total, from the call of send() to the last byte of the answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json as _json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import certifi
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from gateways.answer import kept
from gateways.connection import NothingWritten, Wire, new_wire
from gateways.failures import why_no_reply, why_not_connected
from gateways.outcomes import NotSent, Unknown
from gateways.watchdog import Guard, watchdog
from runtime.clock import Clock
from runtime.clock import clock as process_clock

DEADLINE_S = 10.0
CONNECT_TIMEOUT_S = 3.0
KEEP_ALIVE_S = (
    4.0  # below the 5 s after which the common small servers (node, uvicorn) close an idle connection
)
BODY_MAX_BYTES = 1024 * 1024
IDLE_MAX = 64
_USER_AGENT = "jeongsi"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status line. `cut`: the body did not arrive whole (`body` is then empty or a part)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool
    wrote_after_ms: float | None

    def json(self) -> Any:
        """The body as JSON, or None if it is none."""
        try:
            return _json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def answer(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return kept(self.status, self.body, location=self.headers.get("Location"), body_cut=self.cut)


class Request(NamedTuple):
    """One request as it goes out; `target` is path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


class Prepared:
    """One open connection, for one request. Give it to `Transport.send`, or back by `Transport.release`."""

    __slots__ = ("_lock", "_wire")

    def __init__(self, wire: Wire) -> None:
        self._wire: Wire | None = wire
        self._lock = threading.Lock()

    def take(self) -> Wire | None:
        """The connection; None from the second call on, so that nobody writes to it twice."""
        with self._lock:
            wire, self._wire = self._wire, None
        return wire


class Transport:
    """Connections to one base URL. Thread-safe; a Prepared belongs to one attempt.

    `deadline_s`         total, from the call of send() to the end of the answer
    `connect_timeout_s`  for each address of the host, and for the TLS handshake
    `keep_alive_s`       a connection idle for longer is not used again; a shorter `Keep-Alive: timeout=` wins
    `ca_file`            certificates to trust instead of the usual ones
    """

    def __init__(
        self,
        base_url: str,
        *,
        deadline_s: float = DEADLINE_S,
        clock: Clock | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        keep_alive_s: float = KEEP_ALIVE_S,
        body_max_bytes: int = BODY_MAX_BYTES,
        ca_file: str | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("a base URL is http://host[:port][/path] or https://…, with no query")
        if parts.username or parts.password:
            raise ValueError("a base URL carries no user or password; set the token by its own setting")
        self.base_path = parts.path.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = _tls_context(ca_file) if parts.scheme == "https" else None
        self._deadline_s, self._connect_timeout_s = deadline_s, connect_timeout_s
        self._keep_alive_s, self._body_max = keep_alive_s, body_max_bytes
        self._clock = clock or process_clock()
        self._idle: list[Wire] = []
        self._idle_lock = threading.Lock()

    def prepare(self) -> Prepared | NotSent:
        """An open connection: one that idled shortly and is quiet, else a new one (DNS, TCP, TLS)."""
        while (wire := self._pop_idle()) is not None:
            if wire.why_unusable(self._clock.monotonic()) is None:
                return Prepared(wire)
            wire.close()
        wire = new_wire(self._host, self._port, self._tls, self._connect_timeout_s, self._clock.monotonic)
        try:
            _connect(wire, self._connect_timeout_s)
        except (HTTPError, OSError) as error:
            wire.close()
            return NotSent(why_not_connected(error), answer={"error": str(error)[:500]})
        wire.sealed = True
        wire.keep_alive_s = self._keep_alive_s
        wire.idle_since = self._clock.monotonic()
        return Prepared(wire)

    def release(self, prepared: Prepared) -> None:
        """Give an unused connection back. After a send there is nothing to give back; harmless then."""
        wire = prepared.take()
        if wire is not None:
            self._push_idle(wire)

    def send(
        self,
        prepared: Prepared,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        *,
        form: Mapping[str, str] | None = None,
        write_by: float | None = None,
    ) -> Reply | NotSent | Unknown:
        """One request to `path` (below the base path, already percent-encoded), with a JSON body or a form.

        `write_by`: monotonic instant after which the first byte must not leave (rule R6); checked right at
        the write, and missing it is NotSent `guard_missed`.
        Unknown: no whole status line and headers came back, and bytes may have left.
        Raises ValueError for what no request can carry (half a surrogate pair, a line break in a header):
        nothing has left then.
        """
        started = self._clock.monotonic()
        request = self._request(method, path, headers or {}, _body(json, form))
        wire = prepared.take()
        if wire is None:
            return NotSent("connection_used")
        if (stale := wire.why_unusable(started)) is not None:
            wire.close()
            return NotSent(stale)
        wire.wrote_at, wire.write_by = None, write_by
        guard = watchdog().arm(wire.sock, self._deadline_s)
        reusable = False
        try:
            outcome, reusable = self._exchange(wire, request, guard, started)
        finally:
            fired = watchdog().disarm(guard)
            if reusable and not fired and wire.sock is not None:
                wire.idle_since = self._clock.monotonic()
                self._push_idle(wire)
            else:
                wire.close()
        return outcome

    def close(self) -> None:
        """Close the idle connections. Those in use close when their request ends."""
        with self._idle_lock:
            idle, self._idle = self._idle, []
        for wire in idle:
            wire.close()

    def _exchange(
        self, wire: Wire, request: Request, guard: Guard, started: float
    ) -> tuple[Reply | NotSent | Unknown, bool]:
        """The outcome, and whether the connection can serve another request."""
        try:
            response = self._ask(wire, request)
        except NothingWritten as stopped:
            return NotSent(stopped.reason), False
        except (HTTPError, http.client.HTTPException, OSError) as error:
            if wire.wrote_at is None:
                return NotSent("connection_closed", answer={"error": str(error)[:500]}), False
            reason = "deadline" if guard.fired else why_no_reply(error)
            return Unknown(reason, wrote_after_ms=_wrote_ms(wire, started)), False
        if guard.fired:
            # http.client takes the end of the stream for the end of the headers, so these may be cut.
            status = response.status
            return Unknown("deadline", http_status=status, wrote_after_ms=_wrote_ms(wire, started)), False
        body, whole = _read_body(response, self._body_max)
        wire.fresh = False
        wire.keep_alive_s = _keep_alive_s(response.headers, self._keep_alive_s)
        reply = Reply(response.status, response.headers, body, not whole, _wrote_ms(wire, started))
        return reply, whole

    def _ask(self, wire: Wire, request: Request) -> BaseHTTPResponse:
        wire.timeout = self._deadline_s + 1  # per read: only a belt for the case that the watchdog is late
        # A server may answer and close before it has read the whole request; its answer counts.
        with contextlib.suppress(BrokenPipeError):
            wire.request(
                request.method, request.target, body=request.body, headers=request.headers,
                preload_content=False, decode_content=False,
            )  # fmt: skip
        answer: BaseHTTPResponse = wire.getresponse()
        return answer

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: tuple[bytes, str] | None
    ) -> Request:
        whole = {
            "User-Agent": _USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **headers,
        }
        if body is None:
            return Request(method, self.base_path + path, whole, None)
        whole |= {"Content-Type": body[1], "Content-Length": str(len(body[0]))}
        return Request(method, self.base_path + path, whole, body[0])

    def _pop_idle(self) -> Wire | None:
        with self._idle_lock:
            return self._idle.pop() if self._idle else None

    def _push_idle(self, wire: Wire) -> None:
        with self._idle_lock:
            if len(self._idle) < IDLE_MAX:
                self._idle.append(wire)
                return
        wire.close()


def _body(json: Any, form: Mapping[str, str] | None) -> tuple[bytes, str] | None:
    """The bytes and their type; ValueError for half a surrogate pair."""
    if form is not None:
        return urlencode(form).encode(), "application/x-www-form-urlencoded;charset=utf-8"
    if json is None:
        return None
    text = _json.dumps(json, ensure_ascii=False, separators=(",", ":"))
    return text.encode(), "application/json; charset=utf-8"


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _connect(wire: Wire, timeout_s: float) -> None:
    """TCP, then TLS under the watchdog: a handshake that drips would otherwise hold the room for ever."""
    original = wire._new_conn

    def watched() -> Any:
        sock = original()
        if wire.default_port == 443:
            # A second handle: wrapping in TLS detaches the first one.
            twin = sock.dup()
            guards.append((watchdog().arm(twin, timeout_s), twin))
        return sock

    guards: list[tuple[Guard, Any]] = []
    wire._new_conn = watched  # type: ignore[method-assign]
    try:
        wire.connect()
    finally:
        del wire._new_conn
        for guard, twin in guards:
            watchdog().disarm(guard)
            twin.close()


def _read_body(response: BaseHTTPResponse, limit: int) -> tuple[bytes, bool]:
    """At most `limit` bytes, and whether that was all of it."""
    try:
        body = response.read(limit + 1, decode_content=False)
    except (HTTPError, http.client.HTTPException, OSError):
        return b"", False
    return body[:limit], len(body) <= limit and response.closed


def _keep_alive_s(headers: Mapping[str, str], ours: float) -> float:
    """`Keep-Alive: timeout=5` is when the server closes; we stay a second below."""
    for item in headers.get("Keep-Alive", "").split(","):
        name, _, value = item.strip().partition("=")
        if name.lower() == "timeout" and value.strip().isdigit():
            return min(ours, max(0.0, float(value) - 1))
    return ours


def _wrote_ms(wire: Wire, started: float) -> float | None:
    return None if wire.wrote_at is None else (wire.wrote_at - started) * 1000
