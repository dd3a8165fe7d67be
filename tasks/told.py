"""Tell the log how a slot ended (A43-A48): one line per end, with the message's id."""

from __future__ import annotations

from models.ledger.worker import Settle
from models.states import SlotState
from runtime.events import Event, emit

_ENDS = {
    SlotState.FAILED: Event.FINAL_FAILURE,
    SlotState.PARTIAL: Event.PARTIAL,
    SlotState.UNRESOLVED: Event.UNRESOLVED,
    SlotState.EXPIRED: Event.EXPIRED,
    SlotState.SKIPPED: Event.SKIPPED,
    SlotState.CANCELLED: Event.CANCELLED,
}


def settled(end: Settle) -> None:
    """Emit the event of a slot's end, or that it waits."""
    if end.state in (SlotState.WAITING, SlotState.QUEUED):
        emit(Event.WAITING, message_id=str(end.slot), reason=end.reason)
    elif end.state is SlotState.DELIVERED and end.confirmed:
        emit(Event.CONFIRMED, message_id=str(end.slot))
    elif end.state in _ENDS:
        emit(_ENDS[end.state], message_id=str(end.slot), reason=end.reason)


def is_final_failure(end: Settle) -> bool:
    """Whether Flower should see this slot's task as failed."""
    return end.state in (SlotState.FAILED, SlotState.PARTIAL, SlotState.UNRESOLVED, SlotState.EXPIRED)
