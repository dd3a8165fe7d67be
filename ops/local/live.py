"""What a person sees while the system runs: a table that lives on a terminal, plain lines elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.ledger import beat as ledger
from models.queries import LiveRow, Spread, lateness, live_rows, state_counts
from models.states import LIVE, SlotState

KST = ZoneInfo("Asia/Seoul")
BEHIND = dt.timedelta(minutes=10)
AHEAD = dt.timedelta(seconds=11)

_COLOURS = {
    SlotState.DELIVERED: "green", SlotState.PARTIAL: "yellow", SlotState.FAILED: "red",
    SlotState.EXPIRED: "red", SlotState.UNRESOLVED: "magenta", SlotState.SKIPPED: "yellow",
    SlotState.CANCELLED: "dim", SlotState.PLANNED: "dim", SlotState.WAITING: "cyan",
}  # fmt: skip


class Picture:
    """One look at the ledger. ``rows``: newest first."""

    def __init__(self, db: psycopg.Connection[Any], since: dt.datetime, limit: int) -> None:
        now = ledger.now(db)
        self.rows = live_rows(db, max(since, now - BEHIND), now + AHEAD, limit)
        self.counts = state_counts(db, since, now + AHEAD, kind="message")
        self.uploads = state_counts(db, since, now + AHEAD, kind="tracking")
        self.late: Spread = lateness(db, since)

    def drawn(self, heading: str, footer: Sequence[str]) -> RenderableType:
        """The table with its heading and the lines below it."""
        table = Table(title=heading, title_justify="left", title_style="bold", expand=True, pad_edge=False)
        for name, options in _COLUMNS:
            table.add_column(name, **options)
        for row in self.rows:
            table.add_row(*_cells(row))
        return Group(table, Text(self.summary()), *(Text(line) for line in footer))

    def summary(self) -> str:
        """Counts and lateness in one line."""
        live = sum(n for state, n in self.counts.items() if state in LIVE)
        told = f"{_ended(self.counts)}; {live} to come or on their way; late {_spread(self.late)}"
        runs = sum(self.uploads.values())
        return f"{told}; uploads: {_ended(self.uploads)}" if runs else told


_COLUMNS: list[tuple[str, dict[str, Any]]] = [
    ("slot", {"no_wrap": True}),
    ("schedule", {"no_wrap": True, "ratio": 3}),
    ("room", {"no_wrap": True, "ratio": 2}),
    ("parts", {"justify": "right"}),
    ("state", {"no_wrap": True, "ratio": 2}),
    ("late ms", {"justify": "right"}),
]


def _ended(counts: Mapping[SlotState, int]) -> str:
    ended = ", ".join(f"{n} {state}" for state, n in counts.items() if n and state not in LIVE)
    return ended or "nothing has ended yet"


def plain_line(row: LiveRow) -> str:
    """One slot as one line, for a log or a pipe."""
    return "  ".join(
        [_clock(row), f"{_state(row):<24}", f"{_late(row):>7} ms", _parts(row), row.title, "·", row.room_name]
    )


def _cells(row: LiveRow) -> list[RenderableType]:
    colour = _COLOURS.get(SlotState(row.state), "blue")
    return [_clock(row), row.title, row.room_name, _parts(row), Text(_state(row), style=colour), _late(row)]


def _clock(row: LiveRow) -> str:
    return f"{row.slot_at.astimezone(KST):%H:%M:%S}"


def _parts(row: LiveRow) -> str:
    return f"{row.parts_done}/{row.parts_total}" if row.parts_total else "–"


def _state(row: LiveRow) -> str:
    if row.state in (SlotState.DELIVERED, SlotState.PLANNED) or not row.reason:
        return "confirmed" if row.reason == "confirmed" else row.state
    if row.phase == "confirm" and row.state in LIVE:
        return "confirming"
    return f"{row.state}: {row.reason}"


def _late(row: LiveRow) -> str:
    return "" if row.lateness_ms is None else f"{row.lateness_ms:.0f}"


def _spread(late: Spread) -> str:
    if late.p50 is None or late.p99 is None or late.max is None:
        return "not measured yet"
    return f"p50 {late.p50:.0f} ms, p99 {late.p99:.0f} ms, max {late.max:.0f} ms"
