"""What a worker says to the ledger about devices that carry one message at a time.

The gate itself is taken in the point of no return and freed by evidence (``models.ledger.worker``); these
spare attempts, keep the order of those who wait, and say which message on a device is whose.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from models.ledger.worker import Connection
from runtime.ids import SlotId


def wait_ms(db: Connection, slot: SlotId, fence: int, owner: UUID, device: str, *, busy: bool) -> float:
    """0: the device looks free. Else milliseconds to wait; the slot is then noted among its waiters.

    ``busy``: this process itself is using it.
    """
    row = db.execute(
        "SELECT device_wait(%s, %s, %s, %s, %s, %s)", (*slot, fence, owner, device, busy)
    ).fetchone()
    return float(row[0]) if row else 0.0


def next_waiter(db: Connection, device: str, again_s: float) -> SlotId | None:
    """The first slot that waits for a free device, queued for the caller; None: nobody, or it is taken.

    ``again_s``: after so long the beat tells others of it, should the caller die.
    """
    with db.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "SELECT * FROM device_next(%s, %s)", (device, dt.timedelta(seconds=again_s))
        ).fetchone()
    return None if row is None else SlotId(row[0], row[1])


def claim(db: Connection, device: str, message_ids: Sequence[str], attempt: UUID, slot: SlotId) -> bool:
    """Say that these messages are this attempt's of this slot. False: one of them is another's, or may be."""
    row = db.execute(
        "SELECT message_claim(%s, %s::text[], %s, %s, %s)", (device, list(message_ids), attempt, *slot)
    ).fetchone()
    return bool(row and row[0])


def others(db: Connection, device: str, message_ids: Sequence[str], attempt: UUID) -> set[str]:
    """Those of the messages that other attempts have claimed."""
    rows = db.execute(
        "SELECT message_id FROM device_messages"
        " WHERE device = %s AND message_id = ANY (%s) AND attempt_id <> %s",
        (device, list(message_ids), attempt),
    ).fetchall()
    return {row[0] for row in rows}


def note_seen(db: Connection, slot: SlotId, attempt: UUID, seen: dict[str, Any]) -> None:
    """Keep what the last look-up of an attempt saw, for `jeongsi slot why`."""
    db.execute(
        "UPDATE attempts SET seen = %s WHERE slot_at = %s AND attempt_id = %s",
        (Jsonb(seen), slot.slot_at, attempt),
    )


def confirm_accepted(db: Connection, slot: SlotId) -> None:
    """Every accepted part of a slot was seen in the room when it was sent: it is delivered."""
    db.execute(
        "UPDATE parts SET state = 'delivered', confirmed_at = ledger_now()"
        " WHERE schedule_id = %s AND slot_at = %s AND state = 'accepted'",
        tuple(slot),
    )
