"""What a worker says to the ledger: lease, renew, point of no return, evidence, settle, confirm.

All functions take an autocommit psycopg connection: when they return, their COMMIT has been
acknowledged. When they raise, its fate is unclear; the caller then acts as exactly-once.md R5 says.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row, tuple_row

from models.ledger import arrays
from models.states import AttemptOutcome, Phase, SlotState
from runtime.ids import SlotId, from_ms

Connection = psycopg.Connection[Any]
LeaseVerdict = Literal["leased", "early", "taken", "over", "gone", "held"]
PonrVerdict = Literal[
    "go", "fenced", "cancelled", "expired", "early", "stale_content", "bad_part", "tries", "no_gate",
    "room_busy", "device_busy", "quota", "held",
]  # fmt: skip
EvidenceVerdict = Literal["ok", "same", "superseded", "conflict", "no_attempt"]


@dataclass(frozen=True, slots=True)
class Lease:
    """What the ledger answered for one slot of a lease; the facts are set when ``verdict`` is leased.

    ``wait_ms``: how long an early one still has to wait. ``finish_ms``: until finish_by.
    ``age_ms``: since the slot's time. ``parts``: as laid down, empty before the first point of no
    return. ``content``: the message, as the schedule's row says it in the slot's version (send phase only).
    """

    sid: int
    sat: dt.datetime
    verdict: LeaseVerdict
    wait_ms: float
    fence: int
    phase: Phase
    content_version: int
    exposed: int
    finish_ms: float
    age_ms: float
    origin: str
    dup_risk: bool
    reason: str | None
    provider_kind: str | None
    cancel_requested: bool
    room_ref: int | None
    room: str | None
    room_name: str | None
    channel: str | None
    device: str | None
    gap_ms: int | None
    title: str | None
    tz: str | None
    content: dict[str, Any] | None
    parts: list[dict[str, Any]] | None

    @property
    def slot(self) -> SlotId:
        """The slot's identity."""
        return SlotId(self.sid, self.sat)


@dataclass(frozen=True, slots=True)
class Ponr:
    """One part that asks to pass the point of no return. ``parts``: the message to lay down, else None.

    ``device``: what carries one message at a time, held ``device_hold_s`` unless evidence comes sooner.
    ``before``: what the provider looked like, kept with the attempt for whoever looks it up.
    """

    slot: SlotId
    ord: int
    fence: int
    attempt_id: UUID
    content_version: int
    hold_s: float
    provider_kind: str
    parts: list[dict[str, Any]] | None
    device: str | None = None
    device_hold_s: float | None = None
    before: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PonrAnswer:
    """The verdict for one part; ``fence`` is the caller's new fence after ``go``.

    ``said_at``: the caller's own monotonic clock when it asked, if it noted that.
    """

    sid: int
    sat: dt.datetime
    verdict: PonrVerdict
    wait_ms: float
    fence: int | None
    said_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one attempt. ``wrote_ms``: from the point of no return to the first byte written."""

    slot: SlotId
    ord: int
    attempt_id: UUID
    outcome: AttemptOutcome
    reason: str
    provider_msg_id: str | None = None
    http_status: int | None = None
    answer: dict[str, Any] | None = None
    wrote_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """Give a slot up: back to the queue, to wait ``delay_ms``, or to a terminal state with its reason."""

    slot: SlotId
    fence: int
    state: SlotState
    reason: str | None
    phase: Phase = Phase.SEND
    delay_ms: float = 0.0
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Resolve:
    """Turn an unknown part back to pending, ``wait_s`` after its sending at the earliest."""

    slot: SlotId
    ord: int
    attempt_id: UUID
    fence: int
    wait_s: float
    proven: bool


def lease(db: Connection, slots: Sequence[SlotId], owner: UUID, ttl_s: float) -> list[Lease]:
    """Take queued slots, revocably. Exactly one worker gets ``leased``; everybody else is told why not."""
    if not slots:
        return []
    with db.cursor(row_factory=class_row(Lease)) as cursor:
        return cursor.execute(
            "SELECT * FROM slot_lease(%s::bigint[], %s::timestamptz[], %s, %s)",
            (*arrays.keys(slots), owner, _seconds(ttl_s)),
        ).fetchall()


def renew(db: Connection, slots: Sequence[SlotId], owner: UUID, ttl_s: float) -> set[SlotId]:
    """Extend the leases of a process's running slots; what is missing in the answer is lost."""
    if not slots:
        return set()
    rows = db.execute(
        "SELECT * FROM slot_renew(%s::bigint[], %s::timestamptz[], %s, %s)",
        (*arrays.keys(slots), owner, _seconds(ttl_s)),
    ).fetchall()
    return {SlotId(sid, sat) for sid, sat in rows}


def ponr(
    db: Connection, wave: Sequence[Ponr], owner: UUID, lease_s: float, max_tries: int
) -> list[PonrAnswer]:
    """Ask the point of no return for a wave of parts, answers in the wave's order.

    The caller may write to the provider only for ``go``, and only once this has returned.
    """
    if not wave:
        return []
    with db.cursor(row_factory=class_row(PonrAnswer)) as cursor:
        return cursor.execute(
            "SELECT * FROM part_ponr(%s::bigint[], %s::timestamptz[], %s::smallint[], %s::bigint[],"
            " %s::uuid[], %s::int[], %s::interval[], %s::text[], %s::jsonb[], %s::text[], %s::interval[],"
            " %s::jsonb[], %s, %s, %s)",
            (
                *arrays.keys([p.slot for p in wave]),
                arrays.plain([p.ord for p in wave]),
                arrays.plain([p.fence for p in wave]),
                arrays.plain([p.attempt_id for p in wave]),
                arrays.plain([p.content_version for p in wave]),
                arrays.seconds([p.hold_s for p in wave]),
                arrays.texts([p.provider_kind for p in wave]),
                arrays.jsons([p.parts for p in wave]),
                arrays.texts([p.device for p in wave]),
                arrays.seconds([p.device_hold_s for p in wave]),
                arrays.jsons([p.before for p in wave]),
                owner,
                _seconds(lease_s),
                max_tries,
            ),
        ).fetchall()


def evidence(db: Connection, facts: Sequence[Evidence]) -> list[EvidenceVerdict]:
    """Store what is known of attempts. Never fenced, monotone, safe to say twice (R4)."""
    if not facts:
        return []
    rows = db.execute(
        "SELECT verdict FROM part_evidence(%s::bigint[], %s::timestamptz[], %s::smallint[], %s::uuid[],"
        " %s::text[], %s::text[], %s::text[], %s::int[], %s::jsonb[], %s::float8[])",
        _evidence_columns(facts),
    ).fetchall()
    return [row[0] for row in rows]


def settle(db: Connection, slots: Sequence[Settle], owner: UUID) -> set[SlotId]:
    """Give slots up, fenced. What is missing in the answer belongs to somebody else by now."""
    if not slots:
        return set()
    rows = db.execute(
        "SELECT * FROM slot_settle(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::text[], %s::text[],"
        " %s::float8[], %s::text[], %s::boolean[], %s)",
        (*arrays.keys([s.slot for s in slots]), *_settle_columns(slots), owner),
    ).fetchall()
    return {SlotId(sid, sat) for sid, sat in rows}


def finish(
    db: Connection, ends: Sequence[tuple[Evidence, Settle]], owner: UUID
) -> list[tuple[EvidenceVerdict, bool]]:
    """Evidence of each slot's last attempt, and the slot given up; answers the verdict and whether it was.

    One slot at most once in a set. The evidence is stored whatever becomes of the rest.
    """
    if not ends:
        return []
    facts, slots = [fact for fact, _ in ends], [slot for _, slot in ends]
    rows = db.execute(
        "SELECT verdict, settled FROM slot_finish(%s::bigint[], %s::timestamptz[], %s::smallint[],"
        " %s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::jsonb[], %s::float8[],"
        " %s::bigint[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::boolean[], %s)",
        (*_evidence_columns(facts), *_settle_columns(slots), owner),
    ).fetchall()
    return [(verdict, settled) for verdict, settled in rows]


def resolve(db: Connection, parts: Sequence[Resolve], owner: UUID) -> set[tuple[SlotId, int]]:
    """Turn parts that did not arrive back to pending, under live leases; answers which ones moved."""
    if not parts:
        return set()
    rows = db.execute(
        "SELECT * FROM part_resolve(%s::bigint[], %s::timestamptz[], %s::smallint[], %s::uuid[],"
        " %s::bigint[], %s::interval[], %s::boolean[], %s)",
        (
            *arrays.keys([p.slot for p in parts]),
            arrays.plain([p.ord for p in parts]),
            arrays.plain([p.attempt_id for p in parts]),
            arrays.plain([p.fence for p in parts]),
            arrays.seconds([p.wait_s for p in parts]),
            arrays.plain([p.proven for p in parts]),
            owner,
        ),
    ).fetchall()
    return {(SlotId(sid, sat), number) for sid, sat, number in rows}


def confirmed(db: Connection, parts: Sequence[tuple[SlotId, int, UUID]]) -> int:
    """Mark accepted parts as delivered because the provider says so; answers how many changed."""
    if not parts:
        return 0
    row = db.execute(
        "SELECT part_confirmed(%s::bigint[], %s::timestamptz[], %s::smallint[], %s::uuid[])",
        (
            *arrays.keys([p[0] for p in parts]),
            arrays.plain([p[1] for p in parts]),
            arrays.plain([p[2] for p in parts]),
        ),
    ).fetchone()
    return int(row[0]) if row else 0


def plan_ahead(db: Connection) -> None:
    """Say every command once about no slot: Postgres plans them now, not while the first real one waits.

    Planning over the weeks of the ledger costs about 40 ms per connection; nothing is changed.
    """
    nobody, attempt = SlotId(1, from_ms(0)), UUID(int=0)
    with db.transaction(force_rollback=True):
        lease(db, [nobody], attempt, 1.0)
        renew(db, [nobody], attempt, 1.0)
        ponr(db, [Ponr(nobody, 0, 0, attempt, 0, 0.0, "none", None)], attempt, 1.0, 1)
        evidence(db, [Evidence(nobody, 0, attempt, AttemptOutcome.UNKNOWN, "plan_ahead")])
        settle(db, [Settle(nobody, 0, SlotState.WAITING, "plan_ahead")], attempt)
        finish(
            db,
            [
                (
                    Evidence(nobody, 0, attempt, AttemptOutcome.UNKNOWN, "plan_ahead"),
                    Settle(nobody, 0, SlotState.WAITING, "x"),
                )
            ],
            attempt,
        )
        resolve(db, [Resolve(nobody, 0, attempt, 0, 0.0, False)], attempt)


def poll(db: Connection, queue: str, limit: int) -> list[SlotId]:
    """A queue's slots straight from the ledger, most urgent first: how workers live while Redis is gone."""
    with db.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute("SELECT * FROM slot_poll(%s, %s)", (queue, limit)).fetchall()
    return [SlotId(sid, sat) for sid, sat in rows]


def image(db: Connection, image_id: int) -> tuple[str, str, bytes] | None:
    """File name, MIME type and bytes of a stored image; None if there is none."""
    row = db.execute(
        "SELECT original_name, mime_type, data FROM images WHERE id = %s", (image_id,)
    ).fetchone()
    return None if row is None else (row[0], row[1], bytes(row[2]))


def image_facts(db: Connection, image_ids: Sequence[int]) -> dict[int, tuple[str, int]]:
    """MIME type and size in bytes of stored images, by id; what is not stored is missing."""
    rows = db.execute(
        "SELECT id, mime_type, file_size FROM images WHERE id = ANY(%s)", (list(image_ids),)
    ).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def _evidence_columns(facts: Sequence[Evidence]) -> tuple[str, ...]:
    return (
        *arrays.keys([e.slot for e in facts]),
        arrays.plain([e.ord for e in facts]),
        arrays.plain([e.attempt_id for e in facts]),
        arrays.texts([e.outcome for e in facts]),
        arrays.texts([e.reason for e in facts]),
        arrays.texts([e.provider_msg_id for e in facts]),
        arrays.plain([e.http_status for e in facts]),
        arrays.jsons([e.answer for e in facts]),
        arrays.plain([e.wrote_ms for e in facts]),
    )


def _settle_columns(slots: Sequence[Settle]) -> tuple[str, ...]:
    return (
        arrays.plain([s.fence for s in slots]),
        arrays.texts([s.state for s in slots]),
        arrays.texts([s.phase for s in slots]),
        arrays.plain([s.delay_ms for s in slots]),
        arrays.texts([s.reason for s in slots]),
        arrays.plain([s.confirmed for s in slots]),
    )


def _seconds(value: float) -> dt.timedelta:
    return dt.timedelta(seconds=value)
