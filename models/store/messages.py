"""Single messages in a person's transaction, and the window of content hashes (A14, A56, A57, A59).

The rules are the ledger's (``models.ledger.messages``); these take the store's session, so that a message
and what else the transaction writes are kept or lost together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from models.ledger import messages as ledger
from models.ledger.messages import Connection, FieldError, HashCount, Result

__all__ = [
    "FieldError",
    "HashCount",
    "Result",
    "cancel",
    "clear_hashes",
    "enqueue",
    "hash_count",
    "hash_counts",
    "remember_content",
    "retire_finished",
]


def enqueue(db: Session | Connection, request: Mapping[str, Any], *, task_id: str | None = None) -> Result:
    """Promise one message, now or once later; docs/enqueue.md says what a request holds.

    The promise begins when the transaction commits. Bad input and duplicates are results.
    """
    return ledger.enqueue(_connection(db), request, task_id=task_id)


def cancel(db: Session | Connection, request: Mapping[str, Any]) -> Result:
    """Call one message off, by ``{"id": …}`` or ``{"idempotency_key": …}``."""
    return ledger.cancel(_connection(db), request)


def remember_content(
    db: Session | Connection,
    *,
    room: str,
    schedule_id: int,
    text: str | None,
    images: Sequence[int] = (),
    when: str,
) -> str | None:
    """Remember a recurring schedule's content under its rules (``when``); None if it is new in its room.

    Else the id of the schedule that has it: roll the transaction back to make no second one. A deleted
    schedule frees its content.
    """
    return ledger.take_content(_connection(db), room, schedule_id, text, images, when)


def hash_count(db: Session | Connection, room: str | None = None) -> int:
    """How many content hashes are kept for a room, or for all (A56)."""
    return sum(found.hashes for found in hash_counts(db, room))


def hash_counts(db: Session | Connection, room: str | None = None) -> list[HashCount]:
    """The same per room, rooms with none left out."""
    return ledger.hash_counts(_connection(db), room)


def clear_hashes(db: Session | Connection, room: str | None = None) -> int:
    """Forget a room's content hashes, or all (A57); answers how many."""
    return ledger.clear_hashes(_connection(db), room)


def retire_finished(db: Session | Connection, days: int) -> int:
    """Let finished one-offs that old leave the lists; their slots and history stay (A60)."""
    return ledger.retire_finished(_connection(db), days)


def _connection(db: Session | Connection) -> Connection:
    """The psycopg connection of a session's own transaction, with what it has not flushed yet."""
    if not isinstance(db, Session):
        return db
    db.flush()
    driver = db.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver
