"""What persons decide about slots: cancel, resolve, resend. Each keeps who, when and why."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import psycopg

from runtime.ids import SlotId

Connection = psycopg.Connection[Any]


def cancel(
    db: Connection, slot: SlotId, who: str, note: str = ""
) -> Literal["cancelled", "gone", "over", "started"]:
    """Cancel a slot that has not started."""
    return _as_person(db, who, "SELECT slot_cancel(%s, %s, %s)", (*slot, note))  # type: ignore[no-any-return]


def resolve(
    db: Connection, slot: SlotId, arrived: bool, who: str, note: str | None = None
) -> Literal["delivered", "failed", "gone", "not_unresolved"]:
    """Say what became of an unresolved slot."""
    return _as_person(db, who, "SELECT slot_resolve(%s, %s, %s, %s)", (*slot, arrived, note))  # type: ignore[no-any-return]


def resend(
    db: Connection,
    slot: SlotId,
    who: str,
    key_ttl_s: float,
    grace_s: float,
    validity_s: float,
    note: str | None = None,
) -> SlotId | None:
    """Send an ended slot's message again as a new slot at now (A55). None: no such slot, or it lives."""
    spans = [dt.timedelta(seconds=s) for s in (key_ttl_s, grace_s, validity_s)]
    at = _as_person(db, who, "SELECT slot_resend(%s, %s, %s, %s, %s, %s)", (*slot, *spans, note))
    return None if at is None else SlotId(slot.schedule_id, at)


def _as_person(db: Connection, who: str, statement: str, arguments: tuple[object, ...]) -> Any:
    with db.transaction():
        db.execute("SELECT set_config('jeongsi.who', %s, true)", (who,))
        row = db.execute(statement.encode(), arguments).fetchone()
    return row[0] if row else None
