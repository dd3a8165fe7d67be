"""The calls of the customer's document, for scripts on the same installation (A10-A33, A40-A42, A54-A59).

    scheduler = KakaoScheduler(room="gangnam-notice")
    scheduler.schedule_regular_message("정기 알림 {time}")

State is kept by the ledger and not by the process (ruling 2): a script may end right after the call, and
every script sees the same messages. Other services do not import this, they enqueue (docs/enqueue.md).
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from api.config import get_config
from api.ledger_views import Messages, Recent, message_status
from api.running import Processes
from beat.recurrence import next_after, parse_rules
from models.ledger import people
from models.queries.health import health
from models.store import create_schedule, find_room, ledger_now, transaction
from models.store import messages as store
from models.store.tokens import set_kakao_token
from models.tables import Room
from runtime import database
from runtime.events import Event, emit
from runtime.ids import SlotId
from runtime.settings import get_settings

KST = ZoneInfo("Asia/Seoul")
_SHOWN = 50  # characters of a duplicate that the log shows (A19)
_PRIORITIES = {"high": 2, "normal": 5, "low": 8}


class ScheduleType(StrEnum):
    """How a message repeats."""

    REGULAR = "regular"
    PEAK = "peak"
    CUSTOM = "custom"


class CallRefused(ValueError):
    """A call asks for what cannot be; the message says what is right."""


class KakaoScheduler:
    """Schedules messages of one room and tells what became of them. Thread-safe; opens nothing by itself.

    ``room``: where calls send to that name no room; else JEONGSI_DEFAULT_ROOM.
    ``environment``: whose configuration `schedule_config` starts from (A36); else the current one.
    """

    def __init__(self, room: str | None = None, *, environment: str | None = None) -> None:
        self._room = room
        self.schedule_config = get_config(environment)["schedule"]
        self._processes = Processes()
        self.scheduled_messages = Messages("live")
        self.sent_messages = Messages("sent")
        self.failed_messages = Messages("failed")
        self.recent_message_hashes = Recent(lambda: self._room_of(None))

    # -- the token, start and stop ------------------------------------------------------------------

    def set_kakao_token(
        self, access_token: str, refresh_token: str | None = None, expires_in: float | None = None
    ) -> None:
        """Keep the Kakao token for all workers, sealed (A26). ``expires_in``: seconds. Raises Refused."""
        database.retrying(
            lambda db: set_kakao_token(
                db, access_token, refresh_token=refresh_token, expires_in_s=expires_in, who=_who()
            )
        )

    async def start_scheduler(self) -> bool:
        """Start a beat and workers here, unless some run already (then False) (A27). Raises NotStarted."""
        return await self._processes.start()

    async def stop_scheduler(self) -> None:
        """End what `start_scheduler` started; sends in flight are finished (A28)."""
        await self._processes.stop()

    @property
    def is_running(self) -> bool:
        """Whether a beat ticks (A25)."""
        return database.retrying(health).running

    # -- scheduling ---------------------------------------------------------------------------------

    def schedule_regular_message(
        self, content: str, metadata: Mapping[str, Any] | None = None, *, room: str | None = None
    ) -> str | None:
        """At every :00 and :30 (A10). Answers the schedule's id; None: the room has the same (A14)."""
        return self._repeat(content, {"kind": "regular"}, metadata, room)

    def schedule_peak_message(
        self, content: str, metadata: Mapping[str, Any] | None = None, *, room: str | None = None
    ) -> str | None:
        """Every 15 minutes in the hours of `schedule_config["peak_hours"]` (A11, A37)."""
        hours = sorted(int(hour) for hour in self.schedule_config["peak_hours"])
        return self._repeat(content, {"kind": "peak", "hours": hours}, metadata, room)

    def schedule_message(
        self,
        content: str,
        schedule_time: dt.datetime,
        schedule_type: ScheduleType = ScheduleType.CUSTOM,
        metadata: Mapping[str, Any] | None = None,
        *,
        room: str | None = None,
    ) -> str | None:
        """Once, at ``schedule_time`` (A18, A29); a naive one is Korean time (A06).

        Answers the message's id, None for a duplicate of room, content and time (A14). Raises CallRefused
        with every field that is wrong.
        """
        if schedule_type is ScheduleType.REGULAR:
            return self.schedule_regular_message(content, metadata, room=room)
        if schedule_type is ScheduleType.PEAK:
            return self.schedule_peak_message(content, metadata, room=room)
        at = schedule_time if schedule_time.tzinfo else schedule_time.replace(tzinfo=KST)
        request: dict[str, Any] = {"room": self._room_of(room), "text": content, "at": at.isoformat()}
        if metadata:
            request |= {"metadata": dict(metadata), "priority": _priority(metadata)}
        once = f"call-{uuid.uuid4()}"  # asked again after a lost answer, it is the same message
        answer = database.retrying(lambda db: store.enqueue(db, request, task_id=once))
        if answer.status == "refused" and answer.duplicate_of is not None:
            return None
        if answer.errors:
            raise CallRefused("; ".join(f"{e.field}: {e.reason} ({e.right})" for e in answer.errors))
        return answer.id

    def retry_message(self, message_id: str) -> str:
        """Send a message that failed again, now (A55). Answers the new id. Raises CallRefused."""
        settings = get_settings()
        status = self.get_message_status(message_id)
        if status["state"] not in ("failed", "expired", "skipped", "cancelled", "partial"):
            hint = " `jeongsi slot resolve` decides it." if status["state"] == "unresolved" else ""
            raise CallRefused(
                f"{message_id} is {status['state']}: only what did not arrive is sent again.{hint}"
            )
        again = database.retrying(
            lambda db: people.resend(
                db, SlotId.parse(message_id), _who(), 0.0, settings.grace_s, settings.validity_max_s
            ),
            attempts=1,  # said twice, it would be two messages
        )
        if again is None:
            raise CallRefused(f"{message_id} cannot be sent again")
        return str(again)

    def cleanup_old_messages(self, days: int | None = None) -> int:
        """Let finished one-offs of Korean days that old leave the lists; their record stays (A60)."""
        kept = get_settings().finished_days if days is None else days
        return database.retrying(lambda db: store.retire_finished(db, kept))

    # -- looking ------------------------------------------------------------------------------------

    def get_message_status(self, message_id: str) -> dict[str, Any]:
        """What became of a message or a schedule (A31): status, retry_count (A54), attempts, confirmed_at.

        Raises CallRefused for an id that nobody gave out.
        """
        found = database.retrying(lambda db: message_status(db, message_id))
        if found is None:
            raise CallRefused(f"there is no message {message_id}")
        return found

    def get_schedule_status(self) -> dict[str, Any]:
        """`is_running`, `scheduled_count` (A32, A40), `stats` (A41), `success_rate` (A42): today in Korea."""
        now = database.retrying(health)
        return {
            "is_running": now.running, "scheduled_count": now.scheduled_count, "stats": now.stats(),
            "success_rate": now.success_rate, "success_rate_raw": now.success_rate_raw, "since": now.since,
            "recent_hashes": len(self.recent_message_hashes),
        }  # fmt: skip

    def next_regular_time(self, now: dt.datetime | None = None) -> dt.datetime:
        """The next :00 or :30 in Korea, ``now`` itself if it is one (A15, ruling 1)."""
        start = now or self._now()
        found = next_after(parse_rules([{"kind": "regular"}]), "Asia/Seoul", start, inclusive=True)
        assert found is not None, "there is always another half hour"
        return found.astimezone(KST)

    def seconds_until_next_regular(self) -> float:
        """How long until the next regular time (A58)."""
        now = self._now()
        return (self.next_regular_time(now) - now).total_seconds()

    # -- within -------------------------------------------------------------------------------------

    def _repeat(
        self, content: str, rule: dict[str, Any], metadata: Mapping[str, Any] | None, room: str | None
    ) -> str | None:
        if not content.strip():
            raise CallRefused("content: it is empty (give a text)")
        name = self._room_of(room)
        try:
            return _made(name, content, rule, metadata)
        except _Same as same:  # rolled back: nothing was made
            emit(Event.DUPLICATE_REFUSED, message_id=same.first, room=name, content=content[:_SHOWN])
            return None

    def _room_of(self, room: str | None) -> str:
        name = room or self._room or get_settings().default_room
        if not name:
            raise CallRefused("room: none is named (give room=…, or set JEONGSI_DEFAULT_ROOM)")
        return name

    def _now(self) -> dt.datetime:
        with transaction(_who()) as session:
            return ledger_now(session)


class _Same(Exception):
    """The room has the same content by the same rule already."""

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self.first = first


def _made(name: str, content: str, rule: dict[str, Any], metadata: Mapping[str, Any] | None) -> str:
    """A schedule in one transaction with the memory of its content. Raises _Same, CallRefused."""
    with transaction(_who()) as session:
        found = find_room(session, name)
        if found is None:
            raise CallRefused(f"room: there is no room {name!r} (`jeongsi room list` shows them)")
        schedule = create_schedule(session, _columns(found, content, rule, metadata), origin="message")
        if schedule.status == "error":
            raise CallRefused(str(schedule.error_reason))
        schedule.metadata_ = dict(metadata) if metadata else None
        first = store.remember_content(
            session, room=name, schedule_id=schedule.id, text=content,
            when=json.dumps([rule], sort_keys=True),
        )  # fmt: skip
        if first is not None:
            raise _Same(first)
    return str(schedule.id)


def _columns(
    room: Room, content: str, rule: dict[str, Any], metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    hours = ",".join(str(hour) for hour in rule.get("hours", ()))
    return {
        "title": " ".join(content.split())[:60], "target_room_id": room.room_id,
        "target_room_type": room.type, "message_text": content, "send_order": "text_only",
        "schedule_type": rule["kind"],
        "peak_hours": hours or None, "tz": "Asia/Seoul", "priority": _number(metadata),
    }  # fmt: skip


def _priority(metadata: Mapping[str, Any]) -> Any:
    """`priority` of the metadata (A30), as the ledger judges it; absent: normal."""
    return metadata.get("priority", 5)


def _number(metadata: Mapping[str, Any] | None) -> int:
    wanted = _priority(metadata or {})
    number = _PRIORITIES.get(wanted, wanted) if isinstance(wanted, str) else wanted
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 9:
        raise CallRefused(f"metadata.priority: {wanted!r} is none (0 to 9, or high, normal, low)")
    return number


def _who() -> str:
    try:
        return f"script of {getpass.getuser()}"
    except (KeyError, OSError):
        return "script"


__all__ = ["KST", "CallRefused", "KakaoScheduler", "ScheduleType", "get_config"]
