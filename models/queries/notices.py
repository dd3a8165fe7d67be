"""What operators were told lately."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class ToldRow:
    """One notice with what became of it: target's name -> pending, sending, sent, held or failed."""

    id: int
    kind: str
    key: str
    severity: str
    title: str
    body: str
    link: str | None
    source: str
    made_at: dt.datetime
    last_at: dt.datetime
    open: bool
    count: int
    deliveries: dict[str, str]


def recent(db: psycopg.Connection[Any], limit: int) -> list[ToldRow]:
    """The newest notices first."""
    with db.cursor(row_factory=class_row(ToldRow)) as cursor:
        return cursor.execute(
            "SELECT n.id, n.kind, n.key, n.severity, n.title, n.body, n.link, n.source, n.made_at, n.last_at,"
            " n.open, n.told + n.more AS count, coalesce((SELECT jsonb_object_agg(g.name, q.state)"
            " FROM notice_deliveries q JOIN notice_targets g ON g.id = q.target_id WHERE q.notice_id = n.id),"
            " '{}') AS deliveries FROM (SELECT * FROM notices ORDER BY id DESC LIMIT %s) n"
            " ORDER BY n.id DESC",
            (limit,),
        ).fetchall()
