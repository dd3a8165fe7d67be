"""Which database this is: what a beat judges by, how it vouches, and what a person decides.

The judgement itself is in `beat/instance.py`; docs/decisions/0008-instance-epoch.md has the reasons.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row

Connection = psycopg.Connection[Any]
Past = Literal["unresolved", "send", "expire"]


@dataclass(frozen=True, slots=True)
class Body:
    """Where a database lives: cluster, database in it, line of its history. 0: the server does not say."""

    system: int
    database: int
    timeline: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says of itself.

    ``sealed``: a beat has vouched for it since its server started. ``has_past``: it holds slots.
    ``sync``: no acknowledged commit is on one machine only. ``marked_at``: the ledger's time of ``mark``.
    """

    id: UUID
    mark: int
    word: UUID
    marked_at: dt.datetime
    sealed: bool
    held_at: dt.datetime | None
    held_reason: str | None
    has_past: bool
    sync: bool
    system: int
    database: int
    timeline: int

    @property
    def body(self) -> Body:
        """Where it lives."""
        return Body(self.system, self.database, self.timeline)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the database has come; two that part at a mark differ in its word."""

    mark: int
    word: UUID
    marked_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What people are shown."""

    id: UUID
    mark: int
    marked_at: dt.datetime
    held: bool
    held_at: dt.datetime | None
    held_reason: str | None
    past: Past | None
    released_at: dt.datetime | None
    released_by: str | None
    released_note: str | None


def facts(db: Connection) -> Facts | None:
    """What to judge by, locked for the rest of the caller's transaction; None: the row is missing."""
    with db.cursor(row_factory=class_row(Facts)) as cursor:
        return cursor.execute("SELECT * FROM instance_facts()").fetchone()


def advance(db: Connection) -> Mark | None:
    """Vouch for this database and go on by one mark; None: it is held."""
    with db.cursor(row_factory=class_row(Mark)) as cursor:
        return cursor.execute("SELECT * FROM instance_mark()").fetchone()


def hold(db: Connection, reason: str) -> bool:
    """Let nothing leave until a person looked. False: it was held already, by the first reason."""
    row = db.execute("SELECT instance_hold(%s)", (reason,)).fetchone()
    return bool(row and row[0])


def release(db: Connection, past: Past, note: str, who: str) -> int | None:
    """A person looked: go on under a new id. Answers how many slots were closed; None: nothing was held.

    May take long with many slots: no statement timeout.
    """
    with db.transaction():
        db.execute("SET LOCAL statement_timeout = 0")
        db.execute("SELECT set_config('jeongsi.who', %s, true)", (who,))
        row = db.execute("SELECT instance_release(%s, %s)", (past, note)).fetchone()
    return None if row is None else row[0]


def doubtful(db: Connection) -> int:
    """How many slots a release would have to decide about now."""
    row = db.execute(
        "SELECT count(*) FROM instance i, instance_doubtful(i.marked_at - interval '1 hour', ledger_now())"
    ).fetchone()
    return int(row[0]) if row else 0


def standing(db: Connection) -> Standing | None:
    """How it stands; None: the row is missing, which holds everything."""
    with db.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(
            "SELECT id, mark, marked_at, ledger_held() AS held, held_at, held_reason, past, released_at,"
            " released_by, released_note FROM instance"
        ).fetchone()
