"""The adapter of a room bot that speaks the bridge contract (docs/bridge.yaml)."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateways.adapter import Line
from gateways.bridge.dialect import BridgeDialect, read_capabilities, read_look_up
from gateways.capabilities import Capabilities
from gateways.classify import classify
from gateways.errors import CapabilitiesUnavailable, RoomsUnavailable
from gateways.http import Prepared, Reply, Transport
from gateways.message import PartToSend, RoomAddress, Sought
from gateways.outcomes import LookUp, LookUpUnavailable, NotSent, Outcome, RejectedFinal, Unknown

_DIALECT = BridgeDialect()


class BridgeLine:
    """One prepared connection to the bridge."""

    __slots__ = ("_transport", "before", "prepared")

    def __init__(self, transport: Transport, prepared: Prepared) -> None:
        self._transport = transport
        self.prepared = prepared
        self.before: dict[str, Any] | None = None

    def close(self) -> None:
        """Give the connection back unused; harmless after a send."""
        self._transport.release(self.prepared)


class BridgeAdapter:
    """See `gateways.adapter.Adapter`. `token` goes out as a bearer token and is never shown."""

    def __init__(self, channel: str, transport: Transport, *, token: str | None = None) -> None:
        self.channel = channel
        self._transport = transport
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._capabilities: Capabilities | None = None
        self._asking = threading.Lock()

    def capabilities(self) -> Capabilities:
        """GET /v1/capabilities, once. Raises CapabilitiesUnavailable; asked again at the next call then."""
        with self._asking:
            if self._capabilities is None:
                self._capabilities = self._ask_capabilities()
            return self._capabilities

    def open(self, room: RoomAddress) -> BridgeLine | NotSent:
        """A connection to the bridge; every room is reached through the same one host."""
        prepared = self._transport.prepare()
        return prepared if isinstance(prepared, NotSent) else BridgeLine(self._transport, prepared)

    def send(
        self, line: Line, room: RoomAddress, part: PartToSend, *, write_by: float | None = None
    ) -> Outcome:
        """POST the part. A room id that cannot be a path segment is RejectedFinal, reason `bad_room_id`."""
        assert isinstance(line, BridgeLine), "a line belongs to the adapter that opened it"
        if (segment := path_segment(room.room)) is None:
            line.close()
            return RejectedFinal("bad_room_id")
        action, body = _request_of(part)
        headers = {
            **self._headers,
            "Idempotency-Key": part.idempotency_key,
            "X-Attempt-Id": str(part.attempt_id),
        }
        reply = self._transport.send(
            line.prepared, "POST", f"/v1/rooms/{segment}/{action}", headers, body, write_by=write_by
        )
        return classify(reply, _DIALECT) if isinstance(reply, Reply) else reply

    def look_up(self, room: RoomAddress, sought: Sought) -> LookUp:
        """GET /v1/messages/{key}."""
        if (segment := path_segment(sought.part_key)) is None:
            return LookUpUnavailable("bad_key")
        reply = self._get(f"/v1/messages/{segment}")
        return (
            read_look_up(reply) if isinstance(reply, Reply) else LookUpUnavailable(reply.reason, reply.answer)
        )

    def rooms(self) -> list[str]:
        """GET /v1/rooms. Raises RoomsUnavailable."""
        reply = self._get("/v1/rooms")
        if not isinstance(reply, Reply):
            raise RoomsUnavailable(self.channel, reply.reason)
        body = reply.json()
        rooms = body.get("rooms") if reply.status == 200 and isinstance(body, dict) else None
        if not isinstance(rooms, list) or not all(_has_id(room) for room in rooms):
            raise RoomsUnavailable(self.channel, f"http_{reply.status} without a list of rooms")
        return [room["id"] for room in rooms]

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def _ask_capabilities(self) -> Capabilities:
        reply = self._get("/v1/capabilities")
        if not isinstance(reply, Reply):
            raise CapabilitiesUnavailable(self.channel, reply.reason)
        if reply.status != 200 or reply.cut:
            raise CapabilitiesUnavailable(self.channel, f"http_{reply.status}")
        try:
            return read_capabilities(reply.json())
        except ValueError as error:
            raise CapabilitiesUnavailable(self.channel, str(error)) from None

    def _get(self, path: str) -> Reply | NotSent | Unknown:
        prepared = self._transport.prepare()
        if isinstance(prepared, NotSent):
            return prepared
        return self._transport.send(prepared, "GET", path, self._headers)


def path_segment(text: str) -> str | None:
    """One percent-encoded path segment, or None where there can be none: empty, or dots, which servers and
    proxies resolve as a path even when encoded."""
    if text.strip() in {"", ".", ".."}:
        return None
    return quote(text, safe="")


def _request_of(part: PartToSend) -> tuple[str, Mapping[str, Any]]:
    if part.image is None:
        return "text", {"text": part.text}
    images = [
        {
            "filename": image.filename,
            "mime_type": image.mime_type,
            "data": base64.b64encode(image.data).decode("ascii"),
        }
        for image in part.images
    ]
    return "images", {"images": images}


def _has_id(room: Any) -> bool:
    return isinstance(room, dict) and isinstance(room.get("id"), str)
