"""How long orders and the record of their uploads are kept."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg

BITE = 2_000  # a beat does it between two turns: some 30 ms, three million a day


def prune_tracking(
    db: psycopg.Connection[Any], order_days: int, upload_days: int, *, limit: int = BITE
) -> int:
    """Delete old orders that wait for nothing and old runs, ``limit`` of each kind; answers how many rows."""
    spans = (dt.timedelta(days=order_days), dt.timedelta(days=upload_days))
    row = db.execute("SELECT prune_tracking(%s, %s, %s)", (*spans, limit)).fetchone()
    return int(row[0]) if row else 0
