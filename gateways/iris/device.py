"""Questions to one Iris device: its settings, its health, the rows of KakaoTalk's own database.

Every answer is a value; what is not Iris's own words is a `Trouble`, never a fact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateways.http import Reply, Transport
from gateways.outcomes import NotSent

# The whole table's last id, not the bot's: what comes later has a higher one in any room.
_STANDING = (
    "SELECT (SELECT max(_id) FROM chat_logs) AS last_id,"
    " (SELECT count(*) FROM chat_sending_logs WHERE chat_id = ?) AS pending"
)
# `message` is decrypted in the answer only if `v` and `user_id` are selected with it.
_ROWS = (
    "SELECT _id, chat_id, user_id, type, message, v FROM chat_logs"
    " WHERE chat_id = ? AND user_id = ? AND _id > ? ORDER BY _id LIMIT 100"
)
_ROOMS = "SELECT id FROM chat_rooms ORDER BY id"
_CLOCK = (
    "SELECT strftime('%s', 'now') AS now, (SELECT count(*) FROM chat_sending_logs) AS pending,"
    " (SELECT max(_id) FROM chat_logs) AS last_id"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """The device could not be asked, or somebody else answered. `reason` is a short stable code."""

    reason: str
    answer: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """`bot_id` is "0" while Iris does not know its own account. `send_rate_ms`: its pause after a message."""

    bot_id: str
    bot_name: str
    send_rate_ms: int
    observing: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """`last_id`: the newest message on the device. `pending`: those of a room that KakaoTalk still sends."""

    last_id: int
    pending: int


@dataclass(frozen=True, slots=True)
class Row:
    """One of the bot's own messages. `type` is KakaoTalk's: 1 text, 2 photo, 27 several photos."""

    id: int
    type: int
    text: str


class Device:
    """`transport` has a short deadline of its own: a question is cheap and asked again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def health(self) -> Health | Trouble:
        """GET /config and GET /dashboard/status."""
        config = self._ask("GET", "/config")
        if isinstance(config, Trouble):
            return config
        status = self._ask("GET", "/dashboard/status")
        if isinstance(status, Trouble):
            return status
        bot_id: Any = config.get("bot_id")
        rate: Any = config.get("message_send_rate")
        observing = status.get("isObserving")
        if not _is_number(bot_id) or not _is_number(rate) or not isinstance(observing, bool):
            return Trouble("not_the_provider", {"config": _short(config), "status": _short(status)})
        return Health(str(bot_id), str(config.get("bot_name") or ""), int(rate), observing)

    def standing(self, room: str) -> Standing | Trouble:
        """Where the device stands now, as far as a room is concerned."""
        rows = self._query(_STANDING, room)
        if isinstance(rows, Trouble):
            return rows
        try:
            return Standing(int(rows[0]["last_id"] or 0), int(rows[0]["pending"]))
        except (IndexError, KeyError, TypeError, ValueError):
            return Trouble("not_the_provider", {"rows": str(rows)[:500]})

    def rows(self, room: str, bot_id: str, after: int) -> list[Row] | Trouble:
        """The bot's own messages in a room, newer than an id, oldest first."""
        rows = self._query(_ROWS, room, bot_id, str(after))
        if isinstance(rows, Trouble):
            return rows
        try:
            return [Row(int(row["_id"]), int(row["type"]), row["message"] or "") for row in rows]
        except (KeyError, TypeError, ValueError):
            return Trouble("not_the_provider", {"rows": str(rows)[:500]})

    def rooms(self) -> list[str] | Trouble:
        """The ids of the rooms that KakaoTalk knows."""
        rows = self._query(_ROOMS)
        if isinstance(rows, Trouble):
            return rows
        return [str(row["id"]) for row in rows if row.get("id") is not None]

    def clock(self) -> tuple[float, int] | Trouble:
        """The device's own time as epoch seconds, and how many messages are pending in all rooms."""
        rows = self._query(_CLOCK)
        if isinstance(rows, Trouble):
            return rows
        try:
            return float(rows[0]["now"]), int(rows[0]["pending"])
        except (IndexError, KeyError, TypeError, ValueError):
            return Trouble("not_the_provider", {"rows": str(rows)[:500]})

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def _query(self, query: str, *bind: str) -> list[dict[str, Any]] | Trouble:
        answer = self._ask("POST", "/query", {"query": query, "bind": list(bind)})
        if isinstance(answer, Trouble):
            return answer
        rows = answer.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            return Trouble("not_the_provider", {"body": _short(answer)})
        return rows

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | Trouble:
        prepared = self._transport.prepare()
        if isinstance(prepared, NotSent):
            return Trouble(prepared.reason, prepared.answer)
        reply = self._transport.send(prepared, method, path, None, body)
        if not isinstance(reply, Reply):
            return Trouble(reply.reason, reply.answer)
        said = None if reply.cut else reply.json()
        if reply.status != 200 or not isinstance(said, dict):
            reason = "not_the_provider" if reply.status == 200 else f"http_{reply.status}"
            return Trouble(reason, reply.answer())
        return said


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return str(value)[:500]
