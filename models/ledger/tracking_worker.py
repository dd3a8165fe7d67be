"""What a worker says to the ledger while it carries an upload (models/sql/36_tracking_run.sql).

A chunk is one request's orders under a lease; its id is their fence. Whoever lost its chunk is told so and
writes nothing: the next to take the orders looks first at what PlayAuto has.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from models.ledger import arrays
from runtime.ids import SlotId

Connection = psycopg.Connection[Any]
What = Literal["stay", "later", "succeeded", "failed", "unresolved", "skipped"]
Mark = Literal["stored", "doubt", "unsent", "miss", "look"]
Step = Literal["instruct", "set", "send", "confirm"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A slot's run: started, resumed, running, active (another run), early, over, gone, held."""

    verdict: str
    job: int | None
    wait_ms: float


@dataclass(frozen=True, slots=True)
class Live:
    """A run that is not over, and what it needs next. ``due_in_s`` None: nothing of it waits."""

    job: int
    account: str
    filled: bool
    stopping: bool
    due: bool | None
    under_way: bool
    due_in_s: float | None
    batch: int
    options: dict[str, Any]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One order of a chunk, as the ledger knows it. Times are seconds ago.

    exposed   a request of ours may have reached PlayAuto, and nobody knows what became of it
    """

    chunk: int
    id: int
    order_no: str
    bundle_no: str | None
    carrier_code: str
    tracking_number: str
    step: Step
    tries: int
    misses: int
    looks: int
    exposed: bool
    stored_s: float | None
    sends: int
    sent_s: float | None
    overwrite: bool
    error_code: str | None


@dataclass(frozen=True, slots=True)
class Word:
    """What became of one order. ``wait_s`` counts for `later`; `step` None: as before."""

    id: int
    what: What
    mark: Mark | None = None
    step: Step | None = None
    wait_s: float = 0.0
    code: str | None = None
    message: str | None = None
    evidence: dict[str, Any] | None = None


def open_slot(db: Connection, slot: SlotId, owner: UUID, slot_lease_s: float) -> Opened:
    """Begin, or take up again, the run of a slot; the slot stays leased while the run runs."""
    row = db.execute(
        "SELECT verdict, job, wait_ms FROM tracking_open_slot(%s, %s, %s, %s)",
        (slot.schedule_id, slot.slot_at, owner, dt.timedelta(seconds=slot_lease_s)),
    ).fetchone()
    assert row is not None
    return Opened(*row)


def due_slots(db: Connection, limit: int = 20) -> list[SlotId]:
    """Slots of uploads that are due and queued, for a worker that hears no hints."""
    rows = db.execute("SELECT sid, sat FROM tracking_due_slots(%s)", (limit,)).fetchall()
    return [SlotId(*row) for row in rows]


def agenda(db: Connection) -> list[Live]:
    """The runs that are not over."""
    with db.cursor(row_factory=class_row(Live)) as cursor:
        return cursor.execute("SELECT * FROM tracking_agenda()").fetchall()


def fill(db: Connection, job: int, limit: int) -> str:
    """Lay the next orders of a run down: `more`, `filled`, or `over` (it is done, or to stop)."""
    row = db.execute("SELECT verdict FROM tracking_fill(%s, %s)", (job, limit)).fetchone()
    return str(row[0]) if row else "over"


def claim(db: Connection, job: int, owner: UUID, lease_s: float, limit: int) -> list[Item]:
    """Take up to ``limit`` orders that are due, as a chunk."""
    with db.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            "SELECT * FROM tracking_claim(%s, %s, %s, %s)",
            (job, owner, dt.timedelta(seconds=lease_s), limit),
        ).fetchall()


def pass_over(db: Connection, chunk: int, owner: UUID, step: str, ids: Sequence[int], need_s: float) -> str:
    """The point of no return of one request: `go`, or why not (fenced, cancelled, held)."""
    row = db.execute(
        "SELECT tracking_pass(%s, %s, %s, %s::bigint[], %s)",
        (chunk, owner, step, arrays.plain(ids), dt.timedelta(seconds=need_s)),
    ).fetchone()
    assert row is not None
    return str(row[0])


def record(db: Connection, chunk: int, owner: UUID, words: Sequence[Word], *, last: bool = False) -> bool:
    """Keep what became of orders; ``last``: the chunk is done. False: the chunk was taken from us."""
    row = db.execute(
        "SELECT tracking_record(%s, %s, %s::bigint[], %s::text[], %s::text[], %s::text[], %s::interval[],"
        " %s::text[], %s::text[], %s::jsonb[], %s)",
        (
            chunk, owner, arrays.plain([one.id for one in words]), arrays.texts([one.what for one in words]),
            arrays.texts([one.mark for one in words]), arrays.texts([one.step for one in words]),
            arrays.seconds([one.wait_s for one in words]), arrays.texts([one.code for one in words]),
            arrays.texts([one.message for one in words]), arrays.jsons([one.evidence for one in words]), last,
        ),
    ).fetchone()  # fmt: skip
    return bool(row and row[0])


def works_begun(db: Connection, chunk: int, works: Sequence[str], ids: Sequence[int]) -> None:
    """PlayAuto began these jobs for orders of the chunk."""
    db.execute("SELECT tracking_works_begun(%s, %s, %s)", (chunk, list(works), list(ids)))


def renew(db: Connection, chunks: Sequence[int], owner: UUID, lease_s: float, slot_lease_s: float) -> None:
    """Lengthen the leases of this process's chunks, and of the slots of all runs."""
    db.execute(
        "SELECT tracking_renew(%s::bigint[], %s, %s, %s)",
        (
            arrays.plain(chunks), owner, dt.timedelta(seconds=lease_s), dt.timedelta(seconds=slot_lease_s),
        ),
    )  # fmt: skip


def reap(db: Connection, limit: int = 50) -> int:
    """Take back the chunks of the dead; answers how many."""
    row = db.execute("SELECT tracking_reap(%s)", (limit,)).fetchone()
    return int(row[0]) if row else 0


def stop(db: Connection, job: int, reason: str, message: str) -> None:
    """Stop a run that cannot go on as a whole."""
    db.execute("SELECT tracking_stop(%s, 'jeongsi', %s, %s)", (job, reason, message))


def finish(db: Connection, job: int, limit: int = 5_000) -> str:
    """Close a run whose orders have all ended: open, more, finished (by this call), over or gone."""
    row = db.execute("SELECT tracking_finish(%s, %s)", (job, limit)).fetchone()
    assert row is not None
    return str(row[0])
