"""What the ledger and the provider's log hold at the end of a run, read once."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg

from runtime.ids import SlotId

Connection = psycopg.Connection[Any]


class Slot(NamedTuple):
    """One slot's end."""

    id: SlotId
    state: str
    reason: str | None
    kind: str | None
    """The provider's kind; None: nothing was ever sent."""
    channel: str | None
    origin: str
    free_from: dt.datetime | None
    ended_at: dt.datetime | None


class Move(NamedTuple):
    """One line of the ledger's log."""

    at: dt.datetime
    old: str
    new: str
    who: str


class Attempt(NamedTuple):
    """One point of no return and what was heard of it."""

    slot: SlotId
    ord: int
    id: str
    sending_at: dt.datetime
    ended_at: dt.datetime | None
    outcome: str | None
    reason: str | None
    key: str
    dup_risk: bool
    confirmed: bool
    """Whether a look-up showed this part in the room."""
    exposed: bool
    """Whether it may have reached the provider, by all that is known in the end."""


class Receipt(NamedTuple):
    """One effect at the provider."""

    at: dt.datetime
    channel: str
    room: str
    key: str | None
    attempt: str | None
    kind: str
    sha256: str


@dataclass
class Facts:
    """All of it."""

    slots: dict[SlotId, Slot] = field(default_factory=dict)
    moves: dict[SlotId, list[Move]] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)


def read(db: Connection, receipts: Sequence[dict[str, Any]]) -> Facts:
    """Everything of this ledger, and these receipts."""
    moves: dict[SlotId, list[Move]] = defaultdict(list)
    for sid, sat, *rest in db.execute(
        "SELECT schedule_id, slot_at, at, old, new, who FROM slot_log ORDER BY at, fence"
    ):
        moves[SlotId(sid, _utc(sat))].append(Move(*rest))
    return Facts(read_slots(db), dict(moves), _attempts(db), [_receipt(one) for one in receipts])


def read_slots(db: Connection) -> dict[SlotId, Slot]:
    """Every slot."""
    rows = db.execute(
        "SELECT schedule_id, slot_at, state, reason, provider_kind, channel, origin, free_from, ended_at"
        " FROM slots"
    )
    return {(slot := SlotId(sid, _utc(sat))): Slot(slot, *rest) for sid, sat, *rest in rows}


def terminal_rows(db: Connection) -> dict[str, str]:
    """Every ended slot with its parts and attempts, as text: nothing of it may ever change again (I18)."""
    rows = db.execute(
        "SELECT slot_public_id(s.schedule_id, s.slot_at), to_jsonb(s)::text"
        " || coalesce((SELECT jsonb_agg(to_jsonb(p) ORDER BY p.ord) FROM parts p"
        " WHERE p.schedule_id = s.schedule_id AND p.slot_at = s.slot_at)::text, '')"
        " || coalesce((SELECT jsonb_agg(to_jsonb(a) ORDER BY a.sending_at, a.fence) FROM attempts a"
        " WHERE a.schedule_id = s.schedule_id AND a.slot_at = s.slot_at)::text, '')"
        " FROM slots s WHERE s.ended_at IS NOT NULL"
    )
    return dict(rows.fetchall())


def _attempts(db: Connection) -> list[Attempt]:
    rows = db.execute(
        "SELECT a.schedule_id, a.slot_at, a.ord, a.attempt_id::text, a.sending_at, a.ended_at, a.outcome,"
        " a.reason, p.idem_key, a.dup_risk, p.confirmed_at IS NOT NULL, a.exposed"
        " FROM attempts a JOIN parts p USING (schedule_id, slot_at, ord) ORDER BY a.sending_at"
    )
    return [Attempt(SlotId(sid, _utc(sat)), *rest) for sid, sat, *rest in rows]


def _receipt(one: dict[str, Any]) -> Receipt:
    at = dt.datetime.fromtimestamp(float(one["at"]), dt.UTC)
    return Receipt(at, one["channel"], one["room"], one["key"], one["attempt"], one["kind"], one["sha256"])


def _utc(at: dt.datetime) -> dt.datetime:
    return at.astimezone(dt.UTC)
