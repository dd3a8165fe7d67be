"""What travels over the broker: hints. They may be lost or tripled; the ledger decides (design.md 4)."""

from __future__ import annotations

from typing import Any

from runtime.events import Event, emit
from runtime.ids import SlotId

VERSION = 1


def read_hint(message: Any, queue: str) -> list[SlotId]:
    """The slots that a hint names. Anything unreadable is told to the log and dropped, never raised."""
    if not isinstance(message, dict):
        emit(Event.HINT_DROPPED, queue=queue, reason=f"not an object: {str(message)[:80]}")
        return []
    if message.get("v") != VERSION:
        emit(Event.HINT_UNKNOWN_VERSION, version=str(message.get("v"))[:20])
        return []
    listed = message.get("slots")
    if not isinstance(listed, list):
        emit(Event.HINT_DROPPED, queue=queue, reason="no list of slots")
        return []
    found = (_read_slot(text, queue) for text in listed)
    return list(dict.fromkeys(slot for slot in found if slot is not None))


def write_hint(slots: list[SlotId]) -> dict[str, Any]:
    """The body of a hint for these slots."""
    return {"v": VERSION, "slots": [str(slot) for slot in slots]}


def _read_slot(text: object, queue: str) -> SlotId | None:
    try:
        return SlotId.parse(str(text))
    except ValueError as error:
        emit(Event.HINT_DROPPED, queue=queue, reason=str(error)[:200])
        return None
