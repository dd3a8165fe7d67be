"""Edits by raw SQL, as the customer's own pages write, within 200 ms of a slot's time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ops.chaos.book import Book, Spec
from ops.chaos.load import ledger_now, rules_of
from runtime.clock import clock
from runtime.ids import from_ms

WINDOW = timedelta(milliseconds=200)
_KINDS = ("text", "pause", "delete", "move", "twice")
_PAUSED_S = 2.0
_MOVE = "schedule_type = 'union', status = 'active', schedule_date = NULL, schedule_time = NULL, rules = %s"


class Editor:
    """Edits about one schedule in twenty, at a random moment near one of its instants."""

    def __init__(self, book: Book, rng: random.Random, share: float = 0.05) -> None:
        self._book, self._rng, self._share = book, rng, share
        self._planned: list[tuple[datetime, int, str]] = []
        self._seen: set[int] = set()

    def tick(self, db: psycopg.Connection[Any]) -> Iterator[tuple[datetime, str]]:
        """Do what is due by now; tells when and what of each."""
        self._plan()
        now = clock().now()
        due = [one for one in self._planned if one[0] <= now]
        for one in due:
            self._planned.remove(one)
            _, schedule, kind = one
            began = clock().now()
            self._edit(db, schedule, kind)
            yield began, kind

    def _plan(self) -> None:
        """Draw for schedules that are new in the book."""
        now = clock().now()
        for schedule in self._book.entries.keys() - self._seen:
            self._seen.add(schedule)
            instants = [from_ms(ms) for ms in self._book.latest(schedule).instants]
            ahead = [at for at in instants if at > now]
            if ahead and self._rng.random() < self._share:
                at = self._rng.choice(ahead) + self._rng.uniform(-1, 1) * WINDOW
                self._planned.append((at, schedule, self._rng.choice(_KINDS)))

    def _edit(self, db: psycopg.Connection[Any], schedule: int, kind: str) -> None:
        spec = self._book.latest(schedule)
        match kind:
            case "text":
                self._write(db, schedule, _retold(spec), "message_text = %s", _retold(spec).text)
            case "twice":
                for _ in range(2):
                    self._edit(db, schedule, "text")
            case "pause":
                self._write(db, schedule, replace(spec, on=False), "status = 'inactive'")
                back = clock().now() + timedelta(seconds=_PAUSED_S)
                self._planned.append((back, schedule, "resume"))
            case "resume":
                self._write(db, schedule, replace(spec, on=True), "status = 'active'")
            case "delete":
                self._write(db, schedule, replace(spec, on=False), None)
            case "move":
                moved = _moved(spec, clock().now())
                # Active again, too: a one-off that has just gone out is completed, and promises nothing.
                self._write(db, schedule, moved, _MOVE, rules_of(moved))

    def _write(
        self, db: psycopg.Connection[Any], schedule: int, spec: Spec, change: str | None, *values: Any
    ) -> None:
        before = ledger_now(db)
        if change is None:
            db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
        else:
            statement = f"UPDATE kb_schedule SET {change} WHERE id = %s"  # noqa: S608 - our own words
            db.execute(statement.encode(), (*values, schedule))
        self._book.change(schedule, spec, before, ledger_now(db))


def _retold(spec: Spec) -> Spec:
    return replace(spec, text=f"{spec.text}+")


def _moved(spec: Spec, now: datetime) -> Spec:
    """What is still to come, three seconds later than it was; instants that are over stay."""
    return replace(
        spec, instants=tuple(ms + 3000 if from_ms(ms) > now - WINDOW else ms for ms in spec.instants)
    )
