"""Slots in lists, and one slot with all that is known of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from models.states import AttemptOutcome, PartState, SlotState
from runtime.ids import SlotId

Connection = psycopg.Connection[Any]

_COLUMNS = """s.schedule_id, s.slot_at, h.row ->> 'title' AS title, s.kind, s.origin, r.room_id::text AS room,
  r.name::text AS room_name, s.room_ref, coalesce(s.channel, r.channel) AS channel,
  coalesce(s.device, r.device) AS device, s.content_version, s.priority, s.state, s.phase, s.reason,
  s.wait_reason, s.not_before, s.start_by, s.finish_by, s.superseded,
  s.fence, s.lease_until, s.exposed, s.quota_day, s.provider_kind, s.dup_risk,
  s.cancel_requested,
  s.admitted_at, s.free_from, s.started_at, s.ended_at, s.confirmed_at, s.resend_of, s.cleared_at,
  s.cleared_by,
  s.cleared_note, s.created_at"""
_FROM = """FROM slots s LEFT JOIN rooms r ON r.id = s.room_ref
  LEFT JOIN kb_schedule_history h ON h.schedule_id = s.schedule_id AND h.version = s.content_version"""


@dataclass(frozen=True, slots=True)
class SlotRow:
    """One slot. ``title`` is the schedule's as of the slot's version; ``room`` the room's public id."""

    schedule_id: int
    slot_at: dt.datetime
    title: str | None
    kind: str
    origin: str
    room: str | None
    room_name: str | None
    room_ref: int | None
    channel: str | None
    device: str | None
    content_version: int
    priority: int
    state: str
    phase: str
    reason: str | None
    wait_reason: str | None
    not_before: dt.datetime
    start_by: dt.datetime
    finish_by: dt.datetime
    superseded: bool
    fence: int
    lease_until: dt.datetime | None
    exposed: int
    quota_day: dt.date | None
    provider_kind: str | None
    dup_risk: bool
    cancel_requested: bool
    admitted_at: dt.datetime | None
    free_from: dt.datetime | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    confirmed_at: dt.datetime | None
    resend_of: str | None
    cleared_at: dt.datetime | None
    cleared_by: str | None
    cleared_note: str | None
    created_at: dt.datetime

    @property
    def id(self) -> SlotId:
        """The slot's identity."""
        return SlotId(self.schedule_id, self.slot_at)

    @property
    def lateness_ms(self) -> float | None:
        """First byte of the first part − the instant at which it could have gone out; None: not started."""
        if self.started_at is None or self.free_from is None:
            return None
        return (self.started_at - self.free_from).total_seconds() * 1000

    @property
    def waited_ms(self) -> float | None:
        """How long a busy room or device held the slot; None: not started."""
        if self.started_at is None or self.free_from is None:
            return None
        return (self.free_from - self.slot_at).total_seconds() * 1000


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of a slot's message, as laid down at its first point of no return."""

    ord: int
    kind: str
    body: str | None
    image_id: int | None
    image_ids: list[int] | None
    state: PartState
    idem_key: str
    gap_ms: int
    tries: int
    misses: int
    tainted: bool
    attempt_id: UUID | None
    sending_at: dt.datetime | None
    done_at: dt.datetime | None
    confirmed_at: dt.datetime | None
    provider_msg_id: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt that passed the point of no return. ``outcome`` None: nothing is known yet."""

    attempt_id: UUID
    ord: int
    fence: int
    owner: UUID
    dup_risk: bool
    sending_at: dt.datetime
    wrote_at: dt.datetime | None
    ended_at: dt.datetime | None
    outcome: AttemptOutcome | None
    reason: str | None
    http_status: int | None
    provider_msg_id: str | None
    answer: dict[str, Any] | None
    baseline: dict[str, Any] | None
    seen: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class LogRow:
    """One move of a slot's state machine. ``new`` is `deleted` when an edit took the row away."""

    at: dt.datetime
    old: str
    new: str
    phase: str
    fence: int
    reason: str | None
    who: str


@dataclass(frozen=True, slots=True)
class SlotDetail:
    """One slot with everything that is kept of it."""

    slot: SlotRow
    parts: list[PartRow]
    attempts: list[AttemptRow]
    log: list[LogRow]


def slots(
    db: Connection,
    *,
    states: Sequence[SlotState] = (),
    kind: str | None = None,
    room: str | None = None,
    schedule_id: int | None = None,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    unresolved: bool = False,
    newest_first: bool = False,
    limit: int = 100,
    offset: int = 0,
) -> list[SlotRow]:
    """Slots in the order of their time. ``start`` is inclusive, ``end`` exclusive, ``room`` the public id.

    ``kind``: only `message` or `tracking`, else both.

    ``unresolved``: only what still waits for a person's word. Give a time range on a large ledger: slots
    are kept by weeks, and only the weeks in range are read.
    """
    where, values = ["true"], []
    conditions: list[tuple[str, object]] = [
        ("s.state = ANY (%s)", [state.value for state in states] or None),
        ("s.kind = %s", kind),
        ("s.room_ref = (SELECT id FROM rooms WHERE room_id = %s)", room),
        ("s.schedule_id = %s", schedule_id),
        ("s.slot_at >= %s", start),
        ("s.slot_at < %s", end),
    ]
    for condition, value in conditions:
        if value is not None:
            where.append(condition)
            values.append(value)
    if unresolved:
        where.append("s.state = 'unresolved' AND s.cleared_at IS NULL")
    order = "DESC" if newest_first else "ASC"
    statement = (
        f"SELECT {_COLUMNS} {_FROM} WHERE {' AND '.join(where)}"
        f" ORDER BY s.slot_at {order}, s.schedule_id {order} LIMIT %s OFFSET %s"
    )
    with db.cursor(row_factory=class_row(SlotRow)) as cursor:
        return cursor.execute(statement.encode(), (*values, limit, offset)).fetchall()


def slot(db: Connection, slot_id: SlotId) -> SlotRow | None:
    """One slot, None if there is no such row."""
    statement = f"SELECT {_COLUMNS} {_FROM} WHERE s.schedule_id = %s AND s.slot_at = %s"
    with db.cursor(row_factory=class_row(SlotRow)) as cursor:
        return cursor.execute(statement.encode(), tuple(slot_id)).fetchone()


def slot_detail(db: Connection, slot_id: SlotId) -> SlotDetail | None:
    """One slot with its parts, attempts and log; None if there is no such row."""
    found = slot(db, slot_id)
    if found is None:
        return None
    return SlotDetail(found, parts_of(db, slot_id), attempts_of(db, slot_id), log_of(db, slot_id))


def parts_of(db: Connection, slot_id: SlotId) -> list[PartRow]:
    """A slot's parts in sending order; empty before its first point of no return."""
    with db.cursor(row_factory=class_row(PartRow)) as cursor:
        return cursor.execute(
            "SELECT ord, kind, body, image_id, image_ids, state, idem_key, gap_ms, tries, misses, tainted,"
            " attempt_id,"
            " sending_at, done_at, confirmed_at, provider_msg_id FROM parts"
            " WHERE schedule_id = %s AND slot_at = %s ORDER BY ord",
            tuple(slot_id),
        ).fetchall()


def attempts_of(db: Connection, slot_id: SlotId) -> list[AttemptRow]:
    """A slot's attempts, oldest first."""
    with db.cursor(row_factory=class_row(AttemptRow)) as cursor:
        return cursor.execute(
            "SELECT attempt_id, ord, fence, owner, dup_risk, sending_at, wrote_at, ended_at, outcome, reason,"
            " http_status, provider_msg_id, answer, baseline, seen FROM attempts"
            " WHERE schedule_id = %s AND slot_at = %s ORDER BY sending_at, fence",
            tuple(slot_id),
        ).fetchall()


def log_of(db: Connection, slot_id: SlotId) -> list[LogRow]:
    """A slot's moves, oldest first; also of a slot that an edit has taken away."""
    with db.cursor(row_factory=class_row(LogRow)) as cursor:
        return cursor.execute(
            "SELECT at, old, new, phase, fence, reason, who FROM slot_log"
            " WHERE schedule_id = %s AND slot_at = %s ORDER BY at, fence",
            tuple(slot_id),
        ).fetchall()
