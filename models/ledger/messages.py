"""What services ask of the ledger: enqueue one message, call it off, the window of content hashes.

The work is done by SQL functions (``models/sql/65_enqueue.sql``), so that a Celery task and a service that
speaks plain SQL meet the same rules. Each command runs in the transaction that the connection is in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from runtime.events import Event, emit
from runtime.settings import get_settings

Connection = psycopg.Connection[Any]
Status = Literal["accepted", "duplicate", "refused", "cancelled"]
SHOWN = 50  # characters of a refused duplicate that the log shows (A19)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a request: its field, the reason, and what would be right."""

    field: str
    reason: str
    right: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request. ``id`` is the slot's public id; ``duplicate_of`` the one that was first."""

    id: str | None
    status: Status
    duplicate_of: str | None = None
    errors: tuple[FieldError, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The result as services see it."""
        return {**asdict(self), "errors": [asdict(error) for error in self.errors]}


@dataclass(frozen=True, slots=True)
class HashCount:
    """How many content hashes a room's window holds now."""

    room_id: str
    hashes: int


def refused(*errors: FieldError) -> Result:
    """The result of a request that is wrong before the ledger is asked."""
    return Result(None, "refused", None, errors)


def enqueue(
    db: Connection, request: Mapping[str, Any], *, task_id: str | None = None, who: str | None = None
) -> Result:
    """Promise one message (docs/enqueue.md says what a request holds). Bad input is a result, never raised.

    ``task_id`` is the key of a request without an ``idempotency_key``; ``who`` is kept in the history, if the
    transaction has not said it yet. Raises psycopg.Error if the database
    is gone: then ask again with the same key. A refused duplicate is told to the log.
    """
    settings = get_settings()
    answer = _answer(
        db, who, "enqueue_message(%s, %s, %s, %s)",
        (Jsonb(request), task_id, settings.hash_limit, settings.grace_s),
    )  # fmt: skip
    if answer.duplicate_of is not None and answer.errors and answer.errors[0].field == "text":
        told = str(request.get("text") or "")[:SHOWN]
        emit(
            Event.DUPLICATE_REFUSED,
            message_id=answer.duplicate_of, room=request.get("room"), content=told,
        )  # fmt: skip
    return answer


def cancel(db: Connection, request: Mapping[str, Any], *, who: str | None = None) -> Result:
    """Call one message off, by ``{"id": …}`` or ``{"idempotency_key": …}``. Bad input is a result."""
    return _answer(db, who, "enqueue_cancel(%s)", (Jsonb(request),))


def take_content(
    db: Connection, room_id: str, schedule_id: int, text: str | None, images: Sequence[int], when: str
) -> str | None:
    """Remember a recurring schedule's content and rules; the id that has them already, or None.

    ``when``: the rules as text. Room, text, images and rules together are the content (A14).
    """
    row = db.execute(
        "SELECT take_content(r.id, content_hash(%s, %s::bigint[], %s), %s, NULL, %s) FROM rooms r"
        " WHERE r.room_id = %s",
        (text, list(images), when, schedule_id, get_settings().hash_limit, room_id),
    ).fetchone()
    return None if row is None else row[0]


def hash_counts(db: Connection, room_id: str | None = None) -> list[HashCount]:
    """How many hashes each room's window holds, rooms with none left out (A56)."""
    rows = db.execute(
        "SELECT r.room_id, count(*) FROM message_hashes h JOIN rooms r ON r.id = h.room_ref"
        " WHERE %s::text IS NULL OR r.room_id = %s GROUP BY 1 ORDER BY 1",
        (room_id, room_id),
    ).fetchall()
    return [HashCount(*row) for row in rows]


def clear_hashes(db: Connection, room_id: str | None = None) -> int:
    """Forget a room's hashes, or all (A57): the same content is accepted again. Answers how many."""
    return db.execute(
        "DELETE FROM message_hashes h USING rooms r"
        " WHERE r.id = h.room_ref AND (%s::text IS NULL OR r.room_id = %s)",
        (room_id, room_id),
    ).rowcount


def retire_finished(db: Connection, days: int, limit: int = 20_000) -> int:
    """Take finished one-offs of Korean days at least ``days`` ago off the lists (A60); answers how many."""
    row = db.execute(
        "SELECT retire_finished(korean_day(ledger_now()) - %s::int, %s)", (max(days, 0), limit)
    ).fetchone()
    return int(row[0]) if row else 0


def prune(db: Connection, key_days: int, hash_days: int) -> int:
    """Delete keys and hashes past their time, 20,000 a kind; answers how many."""
    spans = (dt.timedelta(days=key_days), dt.timedelta(days=hash_days))
    row = db.execute("SELECT prune_enqueue(%s, %s)", spans).fetchone()
    return int(row[0]) if row else 0


def _answer(db: Connection, who: str | None, call: str, arguments: tuple[object, ...]) -> Result:
    """One round trip: who asks is said in the statement's own transaction."""
    statement = f"SELECT CASE WHEN %s::text IS NOT NULL THEN set_config('jeongsi.who', %s, true) END, {call}"
    row = db.execute(statement.encode(), (who, who, *arguments)).fetchone()
    assert row is not None
    found = row[1]
    errors = tuple(FieldError(**error) for error in found["errors"])
    return Result(found["id"], found["status"], found["duplicate_of"], errors)
