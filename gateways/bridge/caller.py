"""Plain calls to a bridge for the conformance check: what was asked, what came back, in words."""

from __future__ import annotations

import uuid
from typing import Any

from gateways.bridge.adapter import path_segment
from gateways.bridge.dialect import BridgeDialect
from gateways.http import Prepared, Reply, Transport


class Broken(Exception):
    """A rule of docs/bridge.yaml does not hold; the message says what was seen."""


class Skipped(Exception):
    """A rule does not apply to this bridge; the message says why."""


class Caller:
    """Calls one bridge. `capabilities` is what it says of itself, empty until asked."""

    def __init__(self, transport: Transport, room: str, token: str | None) -> None:
        self._transport = transport
        self._token = token
        self.room = room
        self.capabilities: dict[str, Any] = {}

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def get(self, path: str, *, with_token: bool = True) -> Reply:
        """GET; raises Broken if no answer came."""
        return self._call("GET", path, {}, None, with_token)

    def send(self, body: Any, *, key: str, room: str | None = None, action: str = "text") -> Reply:
        """POST a text or images; raises Broken if no answer came, or the room id cannot be a path segment."""
        segment = path_segment(self.room if room is None else room)
        if segment is None:
            raise Broken(f"{self.room!r} cannot be a room id")
        headers = {"Idempotency-Key": key, "X-Attempt-Id": str(uuid.uuid4())}
        return self._call("POST", f"/v1/rooms/{segment}/{action}", headers, body, True)

    def look_up(self, key: str) -> dict[str, Any]:
        """The body of a look-up; raises Broken if it is not a 200 in the bridge's form."""
        reply = self.get(f"/v1/messages/{path_segment(key)}")
        body = reply.json()
        if reply.status != 200 or not isinstance(body, dict) or not isinstance(body.get("found"), bool):
            raise Broken(f'a look-up must be 200 {{"found": true|false, …}}, not {shown(reply)}')
        return body

    def _call(self, method: str, path: str, headers: dict[str, str], body: Any, with_token: bool) -> Reply:
        if with_token and self._token:
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        prepared = self._transport.prepare()
        if not isinstance(prepared, Prepared):
            raise Broken(f"no connection: {prepared.reason}")
        reply = self._transport.send(prepared, method, path, headers, body)
        if not isinstance(reply, Reply):
            raise Broken(f"{method} {path} got no whole answer: {reply.reason}")
        if reply.cut:
            raise Broken(f"{method} {path}: the answer broke off")
        return reply


def new_key() -> str:
    """A key that no bridge has seen."""
    return f"check-{uuid.uuid4()}"


def message_id(reply: Reply) -> str:
    """The id in an acceptance; raises Broken if it is not one as documented."""
    acceptance = BridgeDialect().read_acceptance(reply)
    if reply.status != 200 or acceptance is None or not acceptance.message_id:
        raise Broken(
            f'expected 200 {{"accepted": true, "message_id": "…"}} as application/json, got {shown(reply)}'
        )
    return acceptance.message_id


def expect_error(reply: Reply, *statuses: int, code: str | None = None) -> None:
    """Raises Broken unless it is one of these statuses in the error form (with this code)."""
    seen = BridgeDialect().read_error(reply)
    wanted = " or ".join(map(str, statuses))
    if reply.status not in statuses or seen is None or (code is not None and seen != code):
        form = f'{{"error": {{"code": "{code or "…"}", "message": "…"}}}}'
        raise Broken(f"expected {wanted} {form} as application/json, got {shown(reply)}")


def shown(reply: Reply) -> str:
    """Status, type and the beginning of the body."""
    kind = reply.headers.get("Content-Type", "no content type")
    return f"{reply.status} ({kind}) {reply.body[:120].decode('utf-8', 'replace')!r}"
