"""Everything that the ledger knows about one instant of one schedule, and how times are written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import class_row

from beat.recurrence import RuleError, Rules, Window, parse_rules, zone_of
from models import queries
from models.ledger import instance
from models.ledger.instance import Standing
from models.queries import Incident, LogRow, SlotDetail
from runtime.ids import SlotId
from runtime.settings import Settings, get_settings

Connection = psycopg.Connection[Any]
SEOUL = "Asia/Seoul"

_VERSIONS = """
SELECT version, valid_from AS since, who, op, clock, row ->> 'title' AS title, row ->> 'status' AS status,
       row ->> 'error_reason' AS error_reason, row ->> 'schedule_type' = 'once' AS once,
       row ->> 'deleted_at' IS NOT NULL AS deleted
  FROM kb_schedule_history WHERE schedule_id = %s ORDER BY version"""
_INCIDENTS = """
SELECT id, at, kind, schedule_id, slot_at, range_from, range_to, detail FROM incidents
 WHERE (kind = 'scheduler_down' AND range_to >= %(at)s AND range_from <= %(until)s)
    OR (schedule_id = %(sid)s AND (slot_at = %(at)s OR (range_from <= %(at)s AND range_to >= %(at)s)))
 ORDER BY coalesce(range_from, at)"""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the schedule, in force after ``since`` up to the next one's."""

    version: int
    since: dt.datetime
    who: str
    op: str
    clock: dict[str, Any]
    title: str
    status: str
    error_reason: str | None
    once: bool
    deleted: bool

    @property
    def enabled(self) -> bool:
        """Whether it promises anything."""
        return bool(self.clock["enabled"])

    @property
    def rules(self) -> Rules | None:
        """Its rules; None if nobody can read them."""
        try:
            zone_of(self.clock["tz"])
            return parse_rules(self.clock["rules"])
        except RuleError:
            return None

    @property
    def window(self) -> Window:
        """Its validity, both ends inclusive."""
        start, end = self.clock.get("valid_from"), self.clock.get("valid_until")
        return Window(
            None if start is None else dt.datetime.fromisoformat(start),
            None if end is None else dt.datetime.fromisoformat(end),
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one instant. ``force``: the place of the version in force then, None: none was."""

    asked: SlotId
    now: dt.datetime
    tz: str
    versions: list[Version]
    force: int | None
    detail: SlotDetail | None
    gone: list[LogRow]
    incidents: list[Incident]
    last_tick: dt.datetime | None
    settings: Settings
    instance: Standing | None

    @property
    def version(self) -> Version | None:
        """The version in force at the instant."""
        return None if self.force is None else self.versions[self.force]

    @property
    def is_held(self) -> bool:
        """Whether nothing leaves this database now."""
        return self.instance is None or self.instance.held

    @property
    def held_told(self) -> str:
        """Why, and what ends it."""
        if self.instance is None or self.instance.held_at is None:
            return "nothing is sent before a beat has looked at this database: `jeongsi doctor`"
        since = self.clock(self.instance.held_at)
        return (
            f"nothing is sent since {since}: {self.instance.held_reason}; `jeongsi instance release` ends it"
        )

    def clock(self, at: dt.datetime, *, ms: bool = False) -> str:
        """A time as people read it, in the schedule's zone."""
        wall = at.astimezone(zone_of(self.tz))
        return wall.strftime("%Y-%m-%d %H:%M:%S") + (f".{wall.microsecond // 1000:03d}" if ms else "")

    def log(self) -> list[LogRow]:
        """The slot's moves since it was last laid down."""
        moves = [] if self.detail is None else self.detail.log
        born = max((n for n, move in enumerate(moves) if move.new == "deleted"), default=-1)
        return moves[born + 1 :]

    def ended(self, *reasons: str) -> bool:
        """Whether the slot ended for one of these reasons (`rejected` covers `rejected:…`)."""
        if self.detail is None or self.detail.slot.ended_at is None:
            return False
        return (self.detail.slot.reason or "").split(":")[0] in reasons


def facts_of(db: Connection, asked: SlotId) -> Facts:
    """Read everything about one instant. Raises ValueError for a time without a zone."""
    if asked.slot_at.tzinfo is None:
        raise ValueError(
            f"{asked.slot_at.isoformat()} has no time zone: write it with an offset, like +09:00"
        )
    asked = SlotId(
        asked.schedule_id, asked.slot_at.replace(microsecond=asked.slot_at.microsecond // 1000 * 1000)
    )
    with db.cursor(row_factory=class_row(Version)) as cursor:
        versions = cursor.execute(_VERSIONS, (asked.schedule_id,)).fetchall()
    detail = queries.slot_detail(db, asked)
    until = asked.slot_at + dt.timedelta(hours=1) if detail is None else detail.slot.finish_by
    with db.cursor(row_factory=class_row(Incident)) as cursor:
        values = {"at": asked.slot_at, "until": until, "sid": asked.schedule_id}
        incidents = cursor.execute(_INCIDENTS, values).fetchall()
    now = db.execute("SELECT ledger_now()").fetchone()
    assert now is not None
    force = _in_force(versions, asked.slot_at)
    return Facts(
        asked, now[0], _zone(versions, force), versions, force, detail, queries.log_of(db, asked), incidents,
        queries.last_tick(db), get_settings(), instance.standing(db),
    )  # fmt: skip


def _in_force(versions: Sequence[Version], at: dt.datetime) -> int | None:
    """Version v rules the instants in (its since, the next one's]; the first one from the creation on."""
    for number, (version, after) in enumerate(pairwise(versions)):
        if at <= after.since and (number == 0 or at > version.since):
            return number
    return len(versions) - 1 if versions else None


def _zone(versions: Sequence[Version], force: int | None) -> str:
    if force is None:
        return SEOUL
    try:
        zone_of(versions[force].clock["tz"])
    except RuleError:
        return SEOUL
    return str(versions[force].clock["tz"])
