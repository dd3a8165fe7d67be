"""The ledger as the customer's document sees it: messages by id, attempts, recent hashes (A21-A25)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import psycopg

from beat.recurrence import next_after, parse_rules
from models.queries import ScheduleRow, find_schedule, slot_detail, slots
from models.queries.slots import SlotDetail
from models.states import LIVE, SlotState
from models.store import messages as store
from runtime import database
from runtime.ids import SlotId

Connection = psycopg.Connection[Any]
Which = Literal["live", "sent", "failed"]
_STATES: dict[Which, tuple[SlotState, ...]] = {
    "live": tuple(LIVE),
    "sent": (SlotState.DELIVERED, SlotState.PARTIAL),
    "failed": (SlotState.FAILED, SlotState.EXPIRED),
}
_NEWEST = 1000  # of a mapping that is walked through


def message_status(db: Connection, message_id: str) -> dict[str, Any] | None:
    """One message by slot id, or a schedule by its number; None if nobody gave the id out."""
    if message_id.isdigit():
        return _schedule(db, int(message_id))
    try:
        slot = SlotId.parse(message_id)
    except ValueError:
        return None
    found = slot_detail(db, slot)
    if found is not None:
        # An upload of tracking numbers is no message.
        return _told(found) if found.slot.kind == "message" else None
    schedule = find_schedule(db, slot.schedule_id)
    if schedule is None:
        return None
    if not _promises(schedule, slot.slot_at):
        # The planner may have come between the two looks: then the row is there by now.
        found = slot_detail(db, slot)
        return None if found is None else _told(found)
    return {"id": message_id, "status": "scheduled", "state": "planned", "scheduled_at": slot.slot_at,
            "retry_count": 0, "attempts": []}  # fmt: skip


def _promises(schedule: ScheduleRow, at: dt.datetime) -> bool:
    """Whether an instant that has no row yet will get one."""
    if schedule.status != "active" or schedule.planned_to is None or not schedule.rules:
        return False
    rules = parse_rules(schedule.rules)
    return at >= schedule.planned_to and next_after(rules, schedule.tz, at, inclusive=True) == at


def _schedule(db: Connection, number: int) -> dict[str, Any] | None:
    found = find_schedule(db, number)
    if found is None:
        return None
    newest = slots(db, schedule_id=number, newest_first=True, limit=1)
    return {
        "id": str(number), "status": found.status, "state": found.status, "title": found.title,
        "scheduled_at": found.next_send_at, "send_count": found.send_count,
        "last_sent_at": found.last_sent_at, "error": found.error_reason, "retry_count": 0, "attempts": [],
        "last_message": str(newest[0].id) if newest else None,
    }  # fmt: skip


def _told(found: SlotDetail) -> dict[str, Any]:
    slot = found.slot
    tries = max((part.tries for part in found.parts), default=0)
    return {
        "id": str(slot.id), "status": _word(slot.state, slot.confirmed_at), "state": slot.state,
        "scheduled_at": slot.slot_at, "sent_at": slot.started_at, "confirmed_at": slot.confirmed_at,
        "room": slot.room, "priority": slot.priority,
        "error": slot.reason if slot.state != "delivered" else None,
        "retry_count": max(0, tries - 1),
        "content": "\n".join(part.body for part in found.parts if part.body),
        "attempts": [
            {"at": one.sending_at, "outcome": one.outcome, "reason": one.reason, "answer": one.answer}
            for one in found.attempts
        ],
    }  # fmt: skip


def _word(state: str, confirmed_at: dt.datetime | None) -> str:
    """The document's word for a state: scheduled, sending, sent, confirmed, failed, or ours."""
    if state == SlotState.DELIVERED:
        return "confirmed" if confirmed_at is not None else "sent"
    return {"planned": "scheduled", "queued": "scheduled", "waiting": "scheduled", "leased": "sending",
            "expired": "failed"}.get(state, state)  # fmt: skip


class Messages(Mapping[str, dict[str, Any]]):
    """Messages in some states by id, read anew at each look; walking goes through the newest 1,000."""

    def __init__(self, which: Which) -> None:
        self._states = _STATES[which]

    def __getitem__(self, message_id: str) -> dict[str, Any]:
        found = database.retrying(lambda db: message_status(db, message_id))
        if found is None or found["state"] not in {state.value for state in self._states}:
            raise KeyError(message_id)
        return found

    def __iter__(self) -> Iterator[str]:
        rows = database.retrying(
            lambda db: slots(db, states=self._states, kind="message", newest_first=True, limit=_NEWEST)
        )
        return (str(row.id) for row in rows)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Recent:
    """The window of content hashes of a room: its size (A56), and how to forget it (A57)."""

    def __init__(self, room: Callable[[], str]) -> None:
        self._room = room

    def __len__(self) -> int:
        return database.retrying(lambda db: store.hash_count(db, self._room()))

    def clear(self) -> int:
        """Forget them: the same content is accepted again. Answers how many there were."""
        return database.retrying(lambda db: store.clear_hashes(db, self._room()))
