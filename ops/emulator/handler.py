"""One connection to the emulator: reads requests, meets faults, answers."""

from __future__ import annotations

import json
import os
import socket
import struct
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ops.emulator import control, iris_http
from ops.emulator.bridge import Answer, Bridge, Content, accepted, error
from ops.emulator.faults import Rule
from ops.emulator.playauto import http as playauto_http
from ops.emulator.webhooks import Said

if TYPE_CHECKING:
    from ops.emulator.server import Emulator, EmulatorServer

BODY_MAX = 64 * 1024 * 1024
_REFUSING = {
    "429": error(429, "rate_limited", "too many messages, come again", **{"Retry-After": "1"}),
    "503": error(503, "unavailable", "not accepted, come again", **{"Retry-After": "1"}),
    "4xx": error(400, "invalid_request", "refused by a scripted fault"),
    "500_before": error(500, "internal_error", "failed before anything happened"),
}


class Handler(BaseHTTPRequestHandler):
    """Made by the server for each connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 75
    server: EmulatorServer

    @property
    def emulator(self) -> Emulator:
        return self.server.emulator

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            return
        path = urlsplit(self.path).path
        first, *rest = [unquote(segment) for segment in path.removeprefix("/").split("/")]
        if first == "_control":
            self._answer(control.handle(self.emulator, self.command, "/".join(rest), self.path, body))
            return
        if first in ("discord", "slack"):
            self._serve_webhook(first, rest, path, body)
            return
        if first in ("kakao", "kauth"):
            self._serve_kakao(first, rest, path, body)
            return
        if first == "playauto" or first.startswith("playauto-"):
            playauto_http.serve(self, self.emulator.playauto(first), path, rest, body)
            return
        if first == "iris" or first.startswith("iris-"):
            iris_http.serve(self, self.emulator.device(first), path, rest, body)
            return
        bridge = next((one for kind, one in self.emulator.bridges.items() if kind == first), None)
        if bridge is None:
            self._answer(error(404, "not_found", "bridges are at /key, /lookup and /none"))
            return
        self._seen = self._note(bridge, path)
        token = self.emulator.behaviour.token
        if token and self.headers.get("Authorization") != f"Bearer {token}":
            self._answer(error(401, "unauthorized", "a valid bearer token is needed"))
            return
        self._serve_bridge(bridge, path, rest, body)

    def _serve_kakao(self, host: str, rest: list[str], path: str, body: bytes) -> None:
        kakao = self.emulator.kakao
        channel = "kauth" if host == "kauth" else "kakao-friends" if "message" in rest else "kakao-memo"
        rule = self.emulator.faults.choose(channel, None, None, path, lookup=False) if body else None
        kakao.requests.append(
            {"at": self.emulator.now(), "path": path, "fault": rule.fault if rule else None,
             "connection": self.client_address[1], "type": self.headers.get("Content-Type")}
        )  # fmt: skip
        if rule and self._stopped_before(rule):
            return
        if host == "kauth":
            spoken = kakao.auth(self.command, rest, self.headers, body)
        else:
            spoken = kakao.api(self.command, rest, self.path, self.headers, body)
        kakao.take(spoken, None)
        answer = Answer(spoken.status, spoken.body, spoken.headers)
        if rule is None or not self._spoiled_after(rule, answer):
            self._answer(answer)

    def _serve_webhook(self, service: str, rest: list[str], path: str, body: bytes) -> None:
        hooks = self.emulator.webhooks
        said = hooks.meet(service, self.command, rest, self.path, _json(body))
        hook = rest[-2] if len(rest) > 1 else None
        met = said.status not in (401, 404, 405)
        rule = hooks.faults.choose(service, hook, None, path, lookup=False) if met else None
        if rule and self._webhook_stopped(service, rule):
            return
        if said.effect is not None:
            hooks.receive(said.effect)
        if rule is None or not self._webhook_spoiled(rule):
            self._say(said)

    def _webhook_stopped(self, service: str, rule: Rule) -> bool:
        """The faults without an effect; 429 in the service's own form. True: the request is over."""
        if rule.fault == "429":
            self._say(self.emulator.webhooks.limited(service, 1.0 if rule.delay_s is None else rule.delay_s))
            return True
        if rule.fault in ("500_before", "503"):
            self._html(int(rule.fault[:3]), "<h1>Server Error</h1>")
            return True
        return rule.fault != "4xx" and self._stopped_before(rule)

    def _webhook_spoiled(self, rule: Rule) -> bool:
        if rule.fault == "500_after":
            self._html(500, "<h1>Server Error</h1>")
            return True
        if rule.fault in ("accept_then_drop", "reset_after", "slow_after"):
            return self._spoiled_after(rule, Answer(200, {}))
        return False

    def _say(self, said: Said) -> None:
        self._write(said.status, said.body, said.content_type, said.headers)

    def _serve_bridge(self, bridge: Bridge, path: str, rest: list[str], body: bytes) -> None:
        match self.command, rest:
            case "GET", ["v1", "capabilities"]:
                self._answer(bridge.read_capabilities())
            case "GET", ["v1", "rooms"]:
                self._answer(bridge.list_rooms())
            case "GET", ["v1", "messages", key] if key:
                self._look_up(bridge, path, key)
            case "POST", ["v1", "rooms", room, ("text" | "images") as action] if room:
                self._send(bridge, path, room, action, body)
            case _:
                self._answer(error(404, "not_found", f"there is no {self.command} {path}"))

    def _look_up(self, bridge: Bridge, path: str, key: str) -> None:
        rule = self.emulator.faults.choose(bridge.channel, None, key, path, lookup=True)
        self._seen["fault"] = rule.fault if rule else None
        if rule and rule.fault == "lookup_down":
            self._html(503, "<h1>Service Unavailable</h1>")
            return
        self._answer(bridge.look_up(key, blind=rule is not None))

    def _send(self, bridge: Bridge, path: str, room: str, action: str, body: bytes) -> None:
        key = self.headers.get("Idempotency-Key")
        rule = self.emulator.faults.choose(bridge.channel, room, key, path, lookup=False)
        self._seen |= {"room": room, "fault": rule.fault if rule else None}
        fault = rule.fault if rule else None
        if rule and self._stopped_before(rule):
            return
        content = bridge.check(room, action, _json(body), key)
        if isinstance(content, Answer):
            self._answer(content)
            return
        answer = self._effect(bridge, content, key, fault)
        if rule is None or not self._spoiled_after(rule, answer):
            self._answer(answer)

    def _effect(self, bridge: Bridge, content: Content, key: str | None, fault: str | None) -> Answer:
        if fault == "lost":
            return accepted(f"{bridge.kind}-{self.emulator.faults.seed}-lost")
        if fault == "undelivered":
            return bridge.fail_later(content, key)
        return bridge.take(content, key, self.headers.get("X-Attempt-Id"))

    def _stopped_before(self, rule: Rule) -> bool:
        """The faults without an effect. True: the request is over."""
        match rule.fault:
            case "429" | "503" | "4xx" | "500_before":
                self._answer(_REFUSING[rule.fault])
            case "html_404":
                self._html(404, "<h1>Not Found</h1>")
            case "redirect":
                self._answer(Answer(307, {}, {"Location": self.path}))
            case "drop":
                self.close_connection = True
            case "reset_before":
                self._reset()
            case "slow_before":
                self._wait(rule)
                return self.emulator.stopping.is_set()
            case _:
                return False
        return True

    def _spoiled_after(self, rule: Rule, answer: Answer) -> bool:
        """The faults after the effect. True: the answer is not to be sent any more."""
        match rule.fault:
            case "500_after":
                self._answer(error(500, "internal_error", "failed after the message had gone out"))
            case "accept_then_drop":
                self.close_connection = True
            case "reset_after":
                self._reset()
            case "drip":
                self._drip(rule, answer)
            case "cut_body":
                whole = _encoded(answer)
                self.wfile.write(whole[: len(whole) - 8])
                self.close_connection = True
            case "slow_after":
                self._wait(rule)
                return False
            case _:
                return False
        return True

    def _drip(self, rule: Rule, answer: Answer) -> None:
        head, _, body = _encoded(answer).partition(b"\r\n\r\n")
        status, _, headers = head.partition(b"\r\n")
        self.wfile.write(status + b"\r\n")
        pause = self._delay(rule) / len(headers)
        for byte in headers:
            if self.emulator.clock.wait(pause, self.emulator.stopping):
                break
            self.wfile.write(bytes([byte]))
        self.wfile.write(b"\r\n\r\n" + body)

    def _delay(self, rule: Rule) -> float:
        return self.emulator.behaviour.slow_s if rule.delay_s is None else rule.delay_s

    def _wait(self, rule: Rule) -> None:
        self.emulator.clock.wait(self._delay(rule), self.emulator.stopping)

    def _reset(self) -> None:
        """RST instead of FIN. The descriptor itself is closed: the server would say goodbye first."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_MAX or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._answer(error(413, "too_large", f"a body needs a Content-Length of at most {BODY_MAX}"))
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True  # the client left in the middle; nothing was asked
            return None
        return body

    def _note(self, bridge: Bridge, path: str) -> dict[str, Any]:
        seen: dict[str, Any] = {
            "at": self.emulator.now(),
            "channel": bridge.channel,
            "method": self.command,
            "path": path,
            "key": self.headers.get("Idempotency-Key"),
            "attempt": self.headers.get("X-Attempt-Id"),
        }
        self.emulator.requests.append(seen)
        return seen

    def _html(self, status: int, text: str) -> None:
        self._write(status, text.encode(), "text/html; charset=utf-8", {})

    def _answer(self, answer: Answer) -> None:
        self.wfile.write(_encoded(answer, close=self.close_connection))

    def _write(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        self.wfile.write(_response(status, body, content_type, headers, close=self.close_connection))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """The request log is kept by the emulator."""


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _encoded(answer: Answer, *, close: bool = False) -> bytes:
    body = json.dumps(answer.body, ensure_ascii=False).encode()
    return _response(answer.status, body, "application/json; charset=utf-8", answer.headers, close=close)


def _response(status: int, body: bytes, content_type: str, headers: dict[str, str], *, close: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
