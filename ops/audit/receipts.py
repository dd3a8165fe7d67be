"""The provider's receipts, brought beside the ledger."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from ops.audit.report import Receipts

Connection = psycopg.Connection[Any]

_TABLE = """
CREATE TEMP TABLE audit_receipts (
  n bigint, at timestamptz, channel text, room text, kind text, key text, attempt uuid, attempt_text text
) ON COMMIT DROP"""

# What a receipt is of: found by the attempt that it carries, never by its text.
_MATCHED = """
CREATE TEMP TABLE audit_matched ON COMMIT DROP AS
SELECT r.n, r.at, r.channel, r.room, a.attempt_id, a.schedule_id, a.slot_at, a.ord, a.sending_at,
       s.channel AS ledger_channel, s.provider_kind, p.idem_key, p.gap_ms AS part_gap_ms, o.gap_ms, o.quota,
       coalesce(s.quota_day, korean_day(a.sending_at)) AS day,
       bool_or(a.dup_risk) OVER (PARTITION BY a.schedule_id, a.slot_at, a.ord) AS flagged
  FROM audit_receipts r
  JOIN attempts a ON a.attempt_id = r.attempt
  JOIN slots s ON s.schedule_id = a.schedule_id AND s.slot_at = a.slot_at
  JOIN parts p ON p.schedule_id = a.schedule_id AND p.slot_at = a.slot_at AND p.ord = a.ord
  LEFT JOIN rooms o ON o.id = s.room_ref"""

_FIGURES = """
SELECT (SELECT count(*) FROM audit_receipts), (SELECT count(*) FROM audit_matched),
       coalesce(jsonb_object_agg(kind, extra) FILTER (WHERE kind IS NOT NULL), '{}'::jsonb),
       coalesce(sum(risked), 0)
  FROM (SELECT provider_kind AS kind, sum(n - 1) FILTER (WHERE NOT flagged) AS extra,
               sum(n - 1) FILTER (WHERE flagged) AS risked
          FROM (SELECT idem_key, min(provider_kind) AS provider_kind, count(*) AS n,
                       bool_or(flagged) AS flagged
                  FROM audit_matched GROUP BY idem_key) x GROUP BY provider_kind) y"""


class ReceiptsUnreadable(ValueError):
    """A receipt file with a line that is no receipt."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One line of the provider's log."""

    n: int
    at: dt.datetime
    channel: str
    room: str
    kind: str
    key: str | None
    attempt: str | None


def read_receipts(path: Path, since: dt.datetime | None) -> list[Receipt]:
    """The receipts of a file, from ``since`` on; ``n`` is the line.

    A last line without an end is left out: the provider is just writing it. Raises ReceiptsUnreadable.
    """
    found = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                break
            if line.strip():
                receipt = _receipt(path, number, line)
                if since is None or receipt.at >= since:
                    found.append(receipt)
    return found


def load_receipts(db: Connection, receipts: list[Receipt]) -> None:
    """Fill the temporary tables ``audit_receipts`` and ``audit_matched``."""
    db.execute(_TABLE)
    with db.cursor().copy("COPY audit_receipts FROM STDIN") as copy:
        for row in _rows(receipts):
            copy.write_row(row)
    db.execute("ANALYZE audit_receipts")
    db.execute(_MATCHED)
    db.execute("ANALYZE audit_matched")


def figures(db: Connection) -> Receipts:
    """How many receipts there are, and how many of them are one too many."""
    row = db.execute(_FIGURES).fetchone()
    assert row is not None
    by_kind = {kind: int(extra or 0) for kind, extra in row[2].items()}
    return Receipts(
        row[0], row[1], {kind: by_kind.get(kind, 0) for kind in ("key", "lookup", "none")}, int(row[3])
    )


def _rows(receipts: list[Receipt]) -> Iterator[tuple[object, ...]]:
    for r in receipts:
        yield r.n, r.at, r.channel, r.room, r.kind, r.key, _uuid(r.attempt), r.attempt


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None


def _receipt(path: Path, number: int, line: str) -> Receipt:
    try:
        seen = json.loads(line)
        at = dt.datetime.fromtimestamp(float(seen["at"]), dt.UTC)
        return Receipt(
            number, at, seen["channel"], seen["room"], seen["kind"], seen.get("key"), seen.get("attempt")
        )
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ReceiptsUnreadable(
            f"{path}, line {number} is no receipt ({error!r}): one JSON object a line with at, channel, room,"
            " kind, key and attempt, as `jeongsi emulator --receipts` writes them"
        ) from None
