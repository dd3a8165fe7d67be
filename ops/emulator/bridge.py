"""One bridge of the emulator: what docs/bridge.yaml says, without HTTP."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ops.emulator.receipts import Receipts

Kind = Literal["key", "lookup", "none"]
KINDS: tuple[Kind, ...] = ("key", "lookup", "none")
MISSING_PREFIX = "missing-"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """What one request would put into a room."""

    room: str
    kind: Literal["text", "image"]
    sha256: str


@dataclass
class Behaviour:
    """What the three bridges have in common; may be changed while they run.

    lookup_lag_s      an effect stays invisible to the look-up for so long
    deliver_after_s   accepted turns delivered so long after the effect
    slow_s            the wait of the slow faults and of the drip
    missing_rooms     rooms answered by 404, besides every room id that starts with `missing-`
    token             if set, the bearer token that every request needs
    """

    lookup_lag_s: float = 0.0
    deliver_after_s: float = 0.5
    slow_s: float = 12.0
    missing_rooms: set[str] = field(default_factory=set)
    token: str | None = None


@dataclass
class Message:
    """What a bridge remembers of a key."""

    content: Content
    message_id: str
    at: float
    failed: bool = False


def error(status: int, code: str, message: str, **headers: str) -> Answer:
    """An answer in the bridge's error form."""
    return Answer(status, {"error": {"code": code, "message": message}}, headers)


def accepted(message_id: str) -> Answer:
    """The answer to a message that was taken."""
    return Answer(200, {"accepted": True, "message_id": message_id})


class Bridge:
    """`key` honours idempotency keys and look-ups, `lookup` only look-ups, `none` neither."""

    def __init__(
        self, kind: Kind, receipts: Receipts, behaviour: Behaviour, now: Callable[[], float], seed: int
    ) -> None:
        self.kind = kind
        self.channel = f"emulator-{kind}"
        self.behaviour = behaviour
        self.capabilities = _capabilities(kind)
        self._receipts, self._now, self._seed = receipts, now, seed
        self._guard = threading.Lock()
        self._messages: dict[str, Message] = {}
        self._rooms: set[str] = set()
        for receipt in receipts.all():  # a restarted bridge still knows its keys
            if receipt.channel == self.channel:
                content = Content(
                    receipt.room, "image" if receipt.kind == "image" else "text", receipt.sha256
                )
                self._remember(receipt.key, Message(content, receipt.message_id, receipt.at))

    def read_capabilities(self) -> Answer:
        """GET /v1/capabilities."""
        lag = self.behaviour.lookup_lag_s if self.capabilities["lookup_by_key"] else 0
        return Answer(200, self.capabilities | {"lookup_lag_s": lag})

    def list_rooms(self) -> Answer:
        """GET /v1/rooms: the rooms that have been written to."""
        with self._guard:
            return Answer(200, {"rooms": [{"id": room, "name": room} for room in sorted(self._rooms)]})

    def check(self, room: str, action: str, body: Any, key: str | None) -> Content | Answer:
        """What the request would do, or the answer that refuses it."""
        if not key and self.capabilities["idempotency"]:
            return error(400, "invalid_request", "the header Idempotency-Key is missing")
        if room in self.behaviour.missing_rooms or room.startswith(MISSING_PREFIX):
            return error(404, "room_not_found", f"the bot is not in a room with the id {room!r}")
        if not isinstance(body, dict):
            return error(400, "invalid_request", "the body is no JSON object")
        return self._check_text(room, body) if action == "text" else self._check_images(room, body)

    def take(self, content: Content, key: str | None, attempt: str | None) -> Answer:
        """Replay the key's first answer, refuse its other use, or have the effect and write the receipt."""
        with self._guard:
            known = self._messages.get(key) if key and self.capabilities["idempotency"] else None
            if known and not known.failed:
                if known.content != content:
                    return error(422, "key_reused", "this key was used for another message")
                return accepted(known.message_id)
            receipt = self._receipts.append(
                at=self._now(),
                channel=self.channel,
                room=content.room,
                kind=content.kind,
                key=key,
                attempt=attempt,
                sha256=content.sha256,
                message_id=f"{self.kind}-{self._seed}-{{n}}",
            )
            self._remember(key, Message(content, receipt.message_id, receipt.at))
        return accepted(receipt.message_id)

    def fail_later(self, content: Content, key: str | None) -> Answer:
        """Say accepted, have no effect, and say failed when looked up. Such a key may be used again."""
        message_id = f"{self.kind}-{self._seed}-undelivered"
        with self._guard:
            self._remember(key, Message(content, message_id, self._now(), failed=True))
        return accepted(message_id)

    def look_up(self, key: str, *, blind: bool = False) -> Answer:
        """GET /v1/messages/{key}; `blind` answers as if the lag were not over."""
        if not self.capabilities["lookup_by_key"]:
            return error(404, "not_supported", "this bridge cannot look messages up")
        with self._guard:
            known = self._messages.get(key)
        age = self._now() - known.at if known else 0.0
        if known is None or blind or age < self.behaviour.lookup_lag_s:
            return Answer(200, {"found": False})
        delivered = self.capabilities["confirms"] and age >= self.behaviour.deliver_after_s
        state = "failed" if known.failed else "delivered" if delivered else "accepted"
        return Answer(200, {"found": True, "message_id": known.message_id, "state": state})

    def forget(self) -> None:
        """Forget every key and room. Receipts stay."""
        with self._guard:
            self._messages.clear()
            self._rooms.clear()

    def _remember(self, key: str | None, message: Message) -> None:
        if not message.failed:
            self._rooms.add(message.content.room)
        if key and (key not in self._messages or self._messages[key].failed):
            self._messages[key] = message

    def _check_text(self, room: str, body: dict[str, Any]) -> Content | Answer:
        text = body.get("text")
        if not isinstance(text, str) or not text:
            return error(400, "invalid_request", "text must be a text that is not empty")
        if len(text) > self.capabilities["text_limit"]:
            return error(413, "too_large", f"text may have {self.capabilities['text_limit']} characters")
        return Content(room, "text", hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())

    def _check_images(self, room: str, body: dict[str, Any]) -> Content | Answer:
        images = body.get("images")
        if not isinstance(images, list) or not 1 <= len(images) <= self.capabilities["max_images"]:
            return error(
                400, "invalid_request", f"images must hold 1 to {self.capabilities['max_images']} images"
            )
        digests: list[str] = []
        for image in images:
            data = _image_bytes(image)
            if data is None:
                return error(400, "invalid_request", "an image needs filename, mime_type and base64 data")
            if image["mime_type"] not in self.capabilities["image_types"]:
                return error(400, "image_type_not_supported", f"{image['mime_type']} is not taken")
            if len(data) > self.capabilities["max_image_bytes"]:
                return error(
                    413, "too_large", f"an image may have {self.capabilities['max_image_bytes']} bytes"
                )
            digests.append(hashlib.sha256(data).hexdigest())
        one = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        return Content(room, "image", one)


def _image_bytes(image: Any) -> bytes | None:
    if not isinstance(image, dict) or not all(
        isinstance(image.get(name), str) and image[name] for name in ("filename", "mime_type", "data")
    ):
        return None
    try:
        return base64.b64decode(image["data"], validate=True)
    except (binascii.Error, ValueError):
        return None


def _capabilities(kind: Kind) -> dict[str, Any]:
    return {
        "contract": "1.0",
        "idempotency": kind == "key",
        "idempotency_ttl_s": 86_400 if kind == "key" else 0,
        "lookup_by_key": kind != "none",
        "lookup_authoritative": kind != "none",
        "lookup_lag_s": 0,
        "confirms": kind != "none",
        "text_limit": 10_000,
        "images": True,
        "max_images": 30,
        "max_image_bytes": 10 * 1024 * 1024,
        "image_types": ["image/png", "image/jpeg", "image/gif", "image/webp"],
        "max_in_flight": None,
    }
