"""The adapter of an Iris device (docs/iris.md): queue a message, then read it back from the room itself.

Iris answers before anything is sent, and its queue holds one message: a second one overwrites the first.
So one request is in flight per device (the ledger's device gate), and a message counts as accepted only
when it was seen among the bot's own rows of `chat_logs`. What the device looked like before the write is
kept with the attempt, so that any worker can look the message up later.
"""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import dataclass, replace
from typing import Any

from gateways.adapter import Line
from gateways.capabilities import Capabilities
from gateways.errors import RoomsUnavailable
from gateways.http import Prepared, Reply, Transport
from gateways.iris.device import Device, Health, Trouble
from gateways.iris.dialect import is_queued, refusal, why_unclear
from gateways.iris.recognise import candidates, unexplained
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
    Unknown,
)
from runtime.clock import clock
from runtime.settings import Settings

_ROOM = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_QUESTION_S = 2.0  # the most that one question may take
_HEALTH_S = 5.0  # how long what /config and /dashboard/status said is believed before a send
_FIRST_LOOK_S = 0.01  # a message of an idle device is seldom there sooner
_NEXT_LOOK_S = 0.005
_LOOK_GROWTH = 1.5
_LOOK_MOST_S = 0.1


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `deadline`: of a whole send. `read_back`: how long a send itself looks for its message, on
    top of the device's own pause. `first_lookup`, `settle`: as the settings have them."""

    deadline: float
    read_back: float
    first_lookup: float
    settle: float


class IrisLine:
    """A connection to the device, and what the device looked like when it was opened."""

    __slots__ = ("_transport", "before", "prepared")

    def __init__(self, transport: Transport, prepared: Prepared, before: dict[str, Any]) -> None:
        self._transport = transport
        self.prepared = prepared
        self.before: dict[str, Any] | None = before

    def close(self) -> None:
        """Give the connection back unused; harmless after a send."""
        self._transport.release(self.prepared)


class IrisAdapter:
    """See `gateways.adapter.Adapter`. One channel is one device."""

    def __init__(self, channel: str, transport: Transport, questions: Transport, timing: Timing) -> None:
        self.channel = channel
        self.device = Device(questions)
        self._transport = transport
        self._timing = timing
        self._health: tuple[float, Health] | None = None
        self._came_at = float("-inf")  # monotonic instant at which the latest message was there, about
        self._asking = threading.Lock()

    @classmethod
    def of(cls, channel: str, base_url: str, settings: Settings) -> IrisAdapter:
        """The adapter as the settings say. Raises ValueError for an address that is none."""
        deadline_s = settings.http_deadline_s
        timing = Timing(deadline_s, settings.iris_read_back_s, settings.first_lookup_s, settings.settle_s)
        questions = Transport(base_url, deadline_s=min(_QUESTION_S, deadline_s / 3))
        return cls(channel, Transport(base_url, deadline_s=deadline_s), questions, timing)

    def capabilities(self) -> Capabilities:
        """The same for every device, so nobody is asked."""
        first_s, settle_s = self._timing.first_lookup, self._timing.settle
        return Capabilities(
            lookup_by_key=True,
            lookup_authoritative=True,
            text_limit=1000,
            images=True,
            max_images=10,
            max_image_bytes=10 * 1024 * 1024,
            image_types=("image/png", "image/jpeg", "image/gif", "image/webp"),
            max_in_flight=1,
            one_image_per_request=False,
            absence_factor=2.0,
            resend_on_absent=("text",),
            lookup_delays_s=(first_s / 15, first_s / 5, first_s, settle_s),
            confirmed_on_accept=True,
        )

    def open(self, room: RoomAddress) -> IrisLine | NotSent:
        """Is the device well, where does it stand, and a connection to it."""
        if not _ROOM.fullmatch(room.room):
            prepared = self._transport.prepare()
            return prepared if isinstance(prepared, NotSent) else IrisLine(self._transport, prepared, {})
        health = self._recent_health()
        if isinstance(health, Trouble):
            return NotSent(health.reason, answer=health.answer)
        if health.bot_id == "0":
            return NotSent("bot_id_unknown")
        standing = self.device.standing(room.room)
        if isinstance(standing, Trouble):
            return NotSent(standing.reason, answer=standing.answer)
        prepared = self._transport.prepare()
        if isinstance(prepared, NotSent):
            return prepared
        before = {
            "bot_id": health.bot_id, "observing": health.observing, "send_rate_ms": health.send_rate_ms,
            "last_id": standing.last_id, "pending": standing.pending,
        }  # fmt: skip
        return IrisLine(self._transport, prepared, before)

    def send(
        self, line: Line, room: RoomAddress, part: PartToSend, *, write_by: float | None = None
    ) -> Outcome:
        """POST /reply, then look for the message in the room. Not seen in time is Unknown, reason `queued`.

        A room id that is no number, or a text with NUL in it, is RejectedFinal; nothing is written then."""
        assert isinstance(line, IrisLine), "a line belongs to the adapter that opened it"
        if (unsendable := _unsendable(room, part)) is not None:
            line.close()
            return RejectedFinal(unsendable)
        until = clock().monotonic() + self._timing.deadline
        # Iris passes these over; they make its access log, and an emulator's, readable.
        headers = {"Idempotency-Key": part.idempotency_key, "X-Attempt-Id": str(part.attempt_id)}
        reply = self._transport.send(
            line.prepared, "POST", "/reply", headers, _request_of(room.room, part), write_by=write_by
        )
        outcome = _outcome_of(reply)
        if not isinstance(outcome, Unknown) or not line.before:
            return outcome
        return self._read_back(outcome, room.room, part, line.before, until)

    def look_up(self, room: RoomAddress, sought: Sought) -> LookUp:
        """Look for the message among the bot's own rows that came after the send was begun.

        Absent is said only by a device that answers, knows the same account and the same history, and
        has nothing pending in the room; whether it is believed is the pipeline's matter."""
        before = sought.before
        if not before or "last_id" not in before:
            return LookUpUnavailable("no_baseline")
        health = self.device.health()
        if isinstance(health, Trouble):
            return LookUpUnavailable(health.reason, health.answer)
        # Asked before the rows: a message that moves from one to the other in between is then found.
        standing = self.device.standing(room.room)
        if isinstance(standing, Trouble):
            return LookUpUnavailable(standing.reason, standing.answer)
        rows = self.device.rows(room.room, before["bot_id"], int(before["last_id"]))
        if isinstance(rows, Trouble):
            return LookUpUnavailable(rows.reason, rows.answer)
        found = candidates(rows, sought.kind, sought.text, sought.images)
        seen = {
            "rows": [row.id for row in rows], "matched": [list(ids) for ids in found],
            "pending": standing.pending, "last_id": standing.last_id, "observing": health.observing,
        }  # fmt: skip
        if found:
            return Found("delivered", found[0][0], seen, found)
        if (unsure := _unsure(health, standing.last_id, standing.pending, before)) is not None:
            return LookUpUnavailable(unsure, seen)
        doubt = None if before["observing"] else "device_unwell_before"
        return Absent(seen, doubt, unexplained(rows, found))

    def rooms(self) -> list[str]:
        """The rooms that KakaoTalk on the device knows. Raises RoomsUnavailable."""
        rooms = self.device.rooms()
        if isinstance(rooms, Trouble):
            raise RoomsUnavailable(self.channel, rooms.reason)
        return rooms

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()
        self.device.close()

    def _recent_health(self) -> Health | Trouble:
        now = clock().monotonic()
        with self._asking:
            if self._health is not None and now - self._health[0] < _HEALTH_S:
                return self._health[1]
            health = self.device.health()
            self._health = None if isinstance(health, Trouble) else (now, health)
            return health

    def _read_back(
        self, outcome: Unknown, room: str, part: PartToSend, before: dict[str, Any], until: float
    ) -> Outcome:
        """Look for the message until it is there or the time is up; a photo that is still going out gets
        the whole deadline."""
        began = clock().monotonic()
        question_s = min(_QUESTION_S, self._timing.deadline / 3)
        last = until - question_s
        patience = min(last, began + before["send_rate_ms"] / 1000 + self._timing.read_back)
        # The device pauses after each message, so this one comes about a pause after the latest.
        earliest = max(began, self._came_at + before["send_rate_ms"] / 1000)
        pause, looks, looked_at = earliest - began + _FIRST_LOOK_S, 0, began
        while True:
            clock().wait(min(pause, last - clock().monotonic()))
            asked_at = clock().monotonic()
            rows = self.device.rows(room, before["bot_id"], before["last_id"])
            looks += 1
            if isinstance(rows, list):
                found = candidates(rows, part.kind, part.text, len(part.images))
                if found:
                    self._came_at = (looked_at + asked_at) / 2 if looks > 1 else earliest
                    return _seen(outcome, found, looks, clock().monotonic() - began)
            looked_at = asked_at
            pause = min(max(_NEXT_LOOK_S * _LOOK_GROWTH**looks, _NEXT_LOOK_S), _LOOK_MOST_S)
            now = clock().monotonic()
            if now >= patience:
                standing = self.device.standing(room) if now + question_s < last else None
                pending = None if standing is None or isinstance(standing, Trouble) else standing.pending
                if not pending:
                    return _unseen(outcome, rows, looks, now - began)
                patience = last


def _outcome_of(reply: Reply | NotSent | Unknown) -> Outcome:
    if not isinstance(reply, Reply):
        return reply
    facts = {
        "http_status": reply.status, "answer": reply.answer(), "wrote_after_ms": reply.wrote_after_ms,
    }  # fmt: skip
    if refusal(reply) is not None:
        return RejectedFinal("invalid_request", **facts)  # type: ignore[arg-type]
    return Unknown("queued" if is_queued(reply) else why_unclear(reply), **facts)  # type: ignore[arg-type]


def _seen(outcome: Unknown, found: tuple[tuple[str, ...], ...], looks: int, after_s: float) -> Accepted:
    told = {"found": [list(ids) for ids in found], "looks": looks, "after_ms": round(after_s * 1000)}
    return Accepted(
        "read_back", outcome.http_status, found[0][0], None, {**outcome.answer, "read_back": told},
        outcome.wrote_after_ms, found,
    )  # fmt: skip


def _unseen(outcome: Unknown, rows: Any, looks: int, after_s: float) -> Unknown:
    told: dict[str, Any] = {"looks": looks, "after_ms": round(after_s * 1000)}
    told |= {"trouble": rows.reason} if isinstance(rows, Trouble) else {"rows": [row.id for row in rows]}
    return replace(outcome, answer={**outcome.answer, "read_back": told})


def _unsure(health: Health, last_id: int, pending: int, before: dict[str, Any]) -> str | None:
    """Why this device cannot tell that the message is absent."""
    if health.bot_id != before["bot_id"]:
        return "other_account"
    if last_id < int(before["last_id"]):
        return "history_lost"
    if pending:
        return "pending_on_device"
    return None if health.observing else "device_unwell"


def _unsendable(room: RoomAddress, part: PartToSend) -> str | None:
    if not _ROOM.fullmatch(room.room):
        return "bad_room_id"
    return "nul_in_text" if part.text is not None and "\x00" in part.text else None


def _request_of(room: str, part: PartToSend) -> dict[str, Any]:
    if part.image is None:
        return {"type": "text", "room": room, "data": part.text}
    images = [base64.b64encode(image.data).decode("ascii") for image in part.images]
    if len(images) == 1:
        return {"type": "image", "room": room, "data": images[0]}
    return {"type": "image_multiple", "room": room, "data": images}
