"""One Iris device of the emulator: its queue of one message, its sender, KakaoTalk's database.

The quirks are those of the real one: `/reply` answers before anything is sent; the queue is conflated, so a
second message overwrites one that was not taken yet; the sender pauses after each message; `message` is
stored encrypted and decrypted in an answer only beside `v` and `user_id`; every value is a string.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import threading
from dataclasses import dataclass
from typing import Any

from ops.emulator.receipts import Receipts
from runtime.clock import Clock

BOT_ID = 430_000_000_000_001
_TYPES = {"text": 1, "image": 2, "image_multiple": 27}
_TABLES = """
CREATE TABLE chat_logs (_id INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER, type INTEGER,
  chat_id INTEGER NOT NULL, user_id INTEGER, message TEXT, attachment TEXT,
  created_at INTEGER, client_message_id INTEGER, v TEXT);
CREATE TABLE chat_sending_logs (_id INTEGER PRIMARY KEY AUTOINCREMENT, type INTEGER, chat_id INTEGER NOT NULL,
  message TEXT, attachment TEXT, created_at INTEGER, client_message_id INTEGER, supplement TEXT, v TEXT);
CREATE TABLE chat_rooms (id INTEGER PRIMARY KEY, type TEXT);
"""
_NO_ERROR: dict[str, Any] = {"success": True, "message": "success"}


class Refused(Exception):
    """What Iris answers with HTTP 500; the text is its `message`."""


@dataclass(frozen=True, slots=True)
class Request:
    """A /reply as it lies in the queue. `key` and `attempt` are headers that Iris itself passes over."""

    room: int
    type: str
    texts: tuple[str, ...]
    key: str | None
    attempt: str | None
    fault: str | None = None
    delay_s: float = 0.0


@dataclass
class Phone:
    """How the device behaves; may be changed while it runs.

    send_rate_ms   the pause after each message, as /config says
    work_s         from taking a message to its row
    observing      as /dashboard/status says
    clock_off_s    the device's clock against the true one
    html           every request is answered by a page, as a captive portal does
    bot_id         0: Iris does not know its account
    """

    send_rate_ms: int = 50
    work_s: float = 0.005
    observing: bool = True
    clock_off_s: float = 0.0
    html: bool = False
    bot_id: int = BOT_ID
    bot_name: str = "정시봇"


class IrisDevice:
    """`overtaken` counts messages that a later one overwrote in the queue; they are lost for good."""

    def __init__(self, channel: str, receipts: Receipts, clock: Clock, stopping: threading.Event) -> None:
        self.channel = channel
        self.phone = Phone()
        self.overtaken = 0
        self._receipts, self._clock, self._stopping = receipts, clock, stopping
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.executescript(_TABLES)
        self._db_guard = threading.Lock()
        self._queued: Request | None = None
        self._wake = threading.Condition()
        self._sender: threading.Thread | None = None

    # -- what HTTP asks ---------------------------------------------------------------------------

    def reply(
        self, body: bytes, key: str | None, attempt: str | None, fault: str | None, delay_s: float
    ) -> dict[str, Any]:
        """POST /reply: queue it, whatever lies there. Raises Refused."""
        request = _read(body, key, attempt, fault, delay_s)
        with self._wake:
            if self._queued is not None:
                self.overtaken += 1
            self._queued = request
            if self._sender is None or not self._sender.is_alive():
                self._sender = threading.Thread(target=self._send_for_ever, name="iris sender", daemon=True)
                self._sender.start()
            self._wake.notify()
        return _NO_ERROR

    def query(self, body: bytes, *, blind: bool = False) -> dict[str, Any]:
        """POST /query; `blind` hides the newest rows, as a database that lags. Raises Refused."""
        asked = _object(body, "QueryRequest", {"query", "bind"}, {"query"})
        bind = [str(value) for value in asked.get("bind") or []]
        with self._db_guard:
            try:
                cursor = self._db.execute(str(asked["query"]), bind)
                names = [column[0] for column in cursor.description or []]
                rows = [dict(zip(names, row, strict=True)) for row in cursor]
            except sqlite3.Error as error:
                raise Refused(f"Query 오류: query={asked['query']}, err={error}") from None
        if blind:
            rows = [row for row in rows if "message" not in row]
        return {"data": [_shown(row) for row in rows]}

    def config(self) -> dict[str, Any]:
        """GET /config."""
        return {
            "bot_name": self.phone.bot_name, "bot_http_port": 3000, "web_server_endpoint": "",
            "db_polling_rate": 100, "message_send_rate": self.phone.send_rate_ms, "bot_id": self.phone.bot_id,
        }  # fmt: skip

    def status(self) -> dict[str, Any]:
        """GET /dashboard/status."""
        told = "Observing database" if self.phone.observing else "Not observing database"
        return {"isObserving": self.phone.observing, "statusMessage": told, "lastLogs": []}

    # -- what tests do ------------------------------------------------------------------------------

    def write_row(self, room: int, text: str, *, user_id: int | None = None, kind: int = 1) -> int:
        """A message appears in a room; answers its `_id`."""
        sender = self.phone.bot_id if user_id is None else user_id
        v = json.dumps(
            {"enc": 31, "origin": "WRITE", "isMine": sender == self.phone.bot_id}, separators=(",", ":")
        )
        with self._db_guard:
            self._db.execute("INSERT OR IGNORE INTO chat_rooms VALUES (?, 'OM')", (room,))
            at = int(self._clock.now().timestamp() + self.phone.clock_off_s)
            cursor = self._db.execute(
                "INSERT INTO chat_logs (type, chat_id, user_id, message, created_at, v)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (kind, room, sender, _sealed(text), at, v),
            )
        return int(cursor.lastrowid or 0)

    def pend(self, room: int, text: str) -> None:
        """A message waits in KakaoTalk itself."""
        with self._db_guard:
            self._db.execute(
                "INSERT INTO chat_sending_logs (type, chat_id, message) VALUES (1, ?, ?)",
                (room, _sealed(text)),
            )

    def unpend(self, room: int) -> None:
        """Nothing waits in this room any more."""
        with self._db_guard:
            self._db.execute("DELETE FROM chat_sending_logs WHERE chat_id = ?", (room,))

    # -- the device itself ----------------------------------------------------------------------------

    def _send_for_ever(self) -> None:
        while not self._stopping.is_set():
            with self._wake:
                if not self._wake.wait_for(lambda: self._queued is not None, timeout=0.2):
                    continue
                request, self._queued = self._queued, None
            assert request is not None
            self._deliver(request)
            self._clock.wait(self.phone.send_rate_ms / 1000, self._stopping)

    def _deliver(self, request: Request) -> None:
        """KakaoTalk takes it and writes its row; a failure is only printed on the device."""
        if request.fault == "lost":
            return
        if request.fault in ("pending", "stuck"):
            self.pend(request.room, request.texts[0])
            if request.fault == "stuck":
                return
        if self._clock.wait(self.phone.work_s + request.delay_s, self._stopping):
            return
        self.unpend(request.room)
        text = (
            request.texts[0] if request.type == "text" else "사진" if request.type == "image" else "사진 모음"
        )
        self._receipts.append(
            at=self._clock.now().timestamp(), channel=self.channel, room=str(request.room),
            kind="text" if request.type == "text" else "image", key=request.key, attempt=request.attempt,
            sha256=_digest(request), message_id="iris-{n}",
        )  # fmt: skip
        self.write_row(request.room, text, kind=_TYPES[request.type])


def _read(body: bytes, key: str | None, attempt: str | None, fault: str | None, delay_s: float) -> Request:
    asked = _object(body, "ReplyRequest", {"type", "room", "data", "threadId"}, {"room", "data"})
    kind = asked.get("type", "text")
    if kind not in _TYPES:
        raise Refused(
            f"party.qwer.iris.model.ReplyType does not contain element with name '{kind}' at path $.type"
        )
    room, data = asked["room"], asked["data"]
    if not isinstance(room, str) or not room.lstrip("-").isascii() or not room.lstrip("-").isdigit():
        raise Refused(f'For input string: "{room}"')
    texts = data if kind == "image_multiple" else [data]
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise Refused("Element class kotlinx.serialization.json.JsonArray is not a JsonPrimitive")
    return Request(int(room), kind, tuple(texts), key, attempt, fault, delay_s)


def _object(body: bytes, name: str, known: set[str], needed: set[str]) -> dict[str, Any]:
    """A request body as kotlinx.serialization reads it: unknown and missing fields are refused."""
    whole = f"party.qwer.iris.model.{name}"
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused(
            f"Illegal input: Unexpected JSON token at offset 0: Expected start of the object of {whole}"
        )
    if unknown := sorted(set(asked) - known):
        raise Refused(f"Illegal input: Encountered an unknown key '{unknown[0]}' at path: $")
    if missing := sorted(needed - set(asked)):
        raise Refused(
            f"Illegal input: Field '{missing[0]}' is required for type with serial name '{whole}', but it was"
            " missing"
        )
    return asked


def _shown(row: dict[str, Any]) -> dict[str, str | None]:
    shown = {name: None if value is None else str(value) for name, value in row.items()}
    if shown.get("message") and shown.get("v") and "user_id" in shown:
        shown["message"] = _opened(str(shown["message"]))
    return shown


def _sealed(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")[::-1]).decode()


def _opened(sealed: str) -> str:
    return base64.b64decode(sealed)[::-1].decode("utf-8", "surrogatepass")


def _digest(request: Request) -> str:
    if request.type == "text":
        return hashlib.sha256(request.texts[0].encode("utf-8", "surrogatepass")).hexdigest()
    digests = [hashlib.sha256(base64.b64decode(one)).hexdigest() for one in request.texts]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
