"""Devices that carry one message at a time, as one worker process sees them.

The ledger's device gate decides, inside the point of no return. What is here spares attempts that would
only find it taken, and keeps a device busy: who has just freed it takes the next one that waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.ledger import devices as ledger
from models.ledger.worker import Settle
from models.states import SlotState
from runtime import database
from runtime.ids import SlotId

if TYPE_CHECKING:
    from tasks.engine import Engine
    from tasks.under_way import Attempt


class Devices:
    """Which devices this process is asking just now."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._guard = threading.Lock()

    @contextmanager
    def turn(self, device: str | None) -> Iterator[bool]:
        """True: nobody else of this process is at the device meanwhile. Never waits."""
        with self._guard:
            ours = device not in self._taken
            if ours and device is not None:
                self._taken.add(device)
        try:
            yield ours
        finally:
            if ours and device is not None:
                with self._guard:
                    self._taken.discard(device)


def before_asking(rt: Engine, attempt: Attempt, *, ours: bool) -> Settle | None:
    """Give the slot up to wait for its device without asking it, if it is taken anyway."""
    if not attempt.capabilities.exclusive or attempt.device is None:
        return None
    slot, fence, device = attempt.lease.slot, attempt.fence, attempt.device
    wait_ms = database.retrying(lambda db: ledger.wait_ms(db, slot, fence, rt.owner, device, busy=not ours))
    return attempt.end(SlotState.WAITING, "device_busy", delay_s=wait_ms / 1000) if wait_ms > 0 else None


def next_waiter(rt: Engine, device: str) -> SlotId | None:
    """The first slot that waits for a device which is free now, for this worker to carry. Never raises."""
    if rt.stopping.is_set():
        return None
    try:
        return database.retrying(lambda db: ledger.next_waiter(db, device, rt.settings.republish_s))
    except Exception as error:
        if not database.is_transient(error):
            raise
        return None
