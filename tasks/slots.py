"""The Celery tasks for slots. A hint in, a summary out; they never raise for business outcomes
except to show a final failure in Flower, after everything is settled.
"""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from runtime.events import Event, emit
from runtime.ids import SlotId
from tasks.carry import CONFIRM, SEND, SlotsFailed, Way, carry
from tasks.committer import may_be_said_again
from tasks.engine import engine
from tasks.hints import read_hint, write_hint


@shared_task(name="jeongsi.slot.send", bind=True, ignore_result=True, throws=(SlotsFailed,))
def send(self: Task[Any, Any], hint: Any = None, *_: Any, **__: Any) -> dict[str, str]:
    """Send the slots that a hint names."""
    return _carry(self, hint, SEND)


@shared_task(name="jeongsi.slot.confirm", bind=True, ignore_result=True, throws=(SlotsFailed,))
def confirm(self: Task[Any, Any], hint: Any = None, *_: Any, **__: Any) -> dict[str, str]:
    """Find out what became of the slots that a hint names."""
    return _carry(self, hint, CONFIRM)


def _carry(task: Task[Any, Any], hint: Any, way: Way) -> dict[str, str]:
    slots = read_hint(hint, way.phase.value)
    if not slots:
        return {}
    rt = engine()
    able = rt.take(len(slots))
    try:
        if slots[able:]:
            _hand_back(task, slots[able:])
        return carry(rt, slots[:able], way) if able else {}
    except Exception as error:
        if not may_be_said_again(error):
            raise
        emit(Event.LEDGER_GONE, error=repr(error))  # fail closed: nothing is sent, the beat tells again
        return {}
    finally:
        rt.give_back()


def _hand_back(task: Task[Any, Any], slots: list[SlotId]) -> None:
    """What this process cannot start within a second goes back at once as a new hint."""
    try:
        task.apply_async((write_hint(slots),), retry=False, argsrepr=f"{len(slots)} slots handed back")  # type: ignore[call-arg]
    except Exception as error:
        emit(Event.HINT_DROPPED, queue=task.name, reason=f"could not be handed back: {error!r}")
