"""Tell operators something: `post` one notice; the rest is for the watch and for those who deliver.

The ledger is the outbox. A notice that is committed is delivered at least once to every target that stood
when it was made: a process that dies between the provider's answer and its mark sends it a second time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[Any]
Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: Final[tuple[str, ...]] = get_args(Severity)
DEDUPE_S: Final = 3600.0
KEEP_S: Final = 86_400.0  # how long one notice is tried again at a target that fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to be told. The same (kind, key) within `dedupe_s` is told once and counted.

    kind        what it is, dotted: `schedule.failing`, `tracking.run_failed`; targets filter by its beginning
    key         which one of its kind; None: notices with the same title and text are the same
    mark        when it happened; posting the same or an older mark again changes nothing
    standing    a condition that holds until the watch no longer sees it; it is repeated, not counted
    count       how many happenings it stands for
    """

    kind: str
    title: str
    text: str = ""
    key: str | None = None
    severity: Severity = "error"
    link: str | None = None
    organisation_id: int | None = None
    source: str = "jeongsi"
    dedupe_s: float = DEDUPE_S
    mark: dt.datetime | None = None
    standing: bool = False
    count: int = 1

    @property
    def told_apart_by(self) -> str:
        """The key, or what stands for it."""
        if self.key is not None:
            return self.key
        return hashlib.sha256(f"{self.title}\0{self.text}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Posted:
    """Which notice it became, and whether anything will be sent because of it."""

    id: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice that this process may now send to one target."""

    notice_id: int
    target_id: int
    target: str
    service: str
    address: bytes | None
    fingerprint: str
    tries: int
    severity: str
    kind: str
    title: str
    body: str
    link: str | None
    told: int
    repeats: int
    standing: bool
    first_at: dt.datetime
    made_at: dt.datetime
    held_count: int
    held: list[str]


@dataclass(frozen=True, slots=True)
class Over:
    """A condition that stands no longer."""

    kind: str
    key: str
    title: str
    first_at: dt.datetime
    last_at: dt.datetime


def post(db: Connection, notice: Notice) -> Posted:
    """Tell something, in the caller's transaction if there is one. Raises psycopg.Error."""
    with db.cursor(row_factory=class_row(Posted)) as cursor:
        found = cursor.execute(
            "SELECT * FROM notice_post(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                notice.kind, notice.told_apart_by, notice.severity, notice.title, notice.text, notice.link,
                notice.organisation_id, notice.source, dt.timedelta(seconds=notice.dedupe_s), notice.mark,
                notice.standing, notice.count,
            ),
        ).fetchone()  # fmt: skip
    assert found is not None, "a Notice always has a kind, a title and a severity"
    return found


@dataclass(frozen=True, slots=True)
class Request:
    """A notice that another service asked for, under its key."""

    key: str
    body_sha256: str


def post_once(db: Connection, notice: Notice, request: Request) -> tuple[int, str]:
    """Tell something under an idempotency key: (notice id, accepted | duplicate | refused: other body)."""
    with db.transaction():
        db.execute(
            "SELECT pg_advisory_xact_lock(hashtext('jeongsi.notice_key'), hashtext(%s))", (request.key,)
        )
        row = db.execute(
            "SELECT notice_id, body_sha256 FROM notice_requests WHERE idempotency_key = %s", (request.key,)
        ).fetchone()
        if row is not None:
            return int(row[0]), "duplicate" if row[1] == request.body_sha256 else "refused"
        posted = post(db, notice)
        db.execute(
            "INSERT INTO notice_requests VALUES (%s, %s, %s, ledger_now())",
            (request.key, request.body_sha256, posted.id),
        )
        return posted.id, "accepted"


def sweep(db: Connection, limit: int = 100) -> int:
    """Close windows that are over and tell what came meanwhile; answers how many notices that made."""
    return _count(db, "SELECT notice_sweep(%s)", (limit,))


def over(db: Connection, quiet_s: float) -> list[Over]:
    """Close the standing conditions that were not seen for so long; answers them."""
    with db.cursor(row_factory=class_row(Over)) as cursor:
        return cursor.execute("SELECT * FROM notice_over(%s)", (dt.timedelta(seconds=quiet_s),)).fetchall()


def take(db: Connection, owner: uuid.UUID, lease_s: float, busy: Sequence[int], limit: int) -> list[Delivery]:
    """At most one delivery for each target that may be written to now, leased; none for `busy` targets."""
    with db.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(
            "SELECT * FROM notice_take(%s, %s, %s::bigint[], %s)",
            (owner, dt.timedelta(seconds=lease_s), list(busy), limit),
        ).fetchall()


def done(
    db: Connection,
    delivery: Delivery,
    owner: uuid.UUID,
    what: Literal["sent", "later", "failed", "refused", "gone"],
    *,
    wait_s: float = 0.0,
    error: str | None = None,
    answer: Mapping[str, Any] | None = None,
    message_id: str | None = None,
    off_after: int = 0,
) -> bool:
    """What came of a delivery (models/sql/90_notices.sql: notice_done). True: the target is off now."""
    row = db.execute(
        "SELECT notice_done(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            delivery.notice_id, delivery.target_id, owner, what, dt.timedelta(seconds=wait_s), error,
            Jsonb(dict(answer)) if answer else None, message_id, off_after, dt.timedelta(seconds=KEEP_S),
        ),
    ).fetchone()  # fmt: skip
    return bool(row and row[0])


def prune(db: Connection, keep_days: int, limit: int = 1000) -> int:
    """Delete notices and keys past retention; answers how many notices."""
    return _count(db, "SELECT notice_prune(%s, %s)", (dt.timedelta(days=keep_days), limit))


def _count(db: Connection, statement: str, arguments: tuple[object, ...]) -> int:
    row = db.execute(statement.encode(), arguments).fetchone()
    return int(row[0]) if row else 0
