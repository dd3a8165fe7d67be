"""What tests of real beats share: the ledger with its clock running, and the broker's queue."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import redis

from tests.support.ledger_time import LedgerTime
from tests.support.ledger_world import World

#: A schedule that plans nothing by itself while a test runs, whatever the time of day.
FAR_AWAY: dict[str, Any] = {"schedule_type": "once", "schedule_date": "2099-01-01", "schedule_time": "09:00"}


class RealTime(LedgerTime):
    """The database's own clock, running."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    @property
    def now(self) -> datetime:
        """The ledger's time, in whole milliseconds."""
        row = self._db.execute("SELECT date_trunc('milliseconds', clock_timestamp())").fetchone()
        assert row is not None
        value: datetime = row[0]
        return value


class RealWorld(World):
    """The same sentences with the database's own clock running."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        super().__init__(db, RealTime(db))
        self.room("방1", gap_ms=0, quota=500)

    def in_s(self, seconds: float) -> datetime:
        """An instant so far from the database's now."""
        return self.time.now + timedelta(seconds=seconds)

    def at(self, seconds: float, **columns: Any) -> int:
        """A schedule with one exact instant, by raw SQL."""
        ms = round(self.in_s(seconds).timestamp() * 1000)
        return self.schedule(schedule_type="union", rules=json.dumps([{"kind": "at", "ms": ms}]), **columns)

    def states(self) -> list[str]:
        return [row["state"] for row in self.rows("SELECT state FROM slots ORDER BY schedule_id, slot_at")]


@dataclass
class Queue:
    """The broker's list, read as a worker would."""

    client: redis.Redis
    name: str = "send"

    def hints(self) -> list[list[str]]:
        """The slots of each waiting message, oldest first."""
        raws: list[bytes] = self.client.lrange(self.name, 0, -1)  # type: ignore[assignment]
        return [body_of(raw)["slots"] for raw in reversed(raws)]

    def slots(self) -> list[str]:
        return [slot for hint in self.hints() for slot in hint]

    def take(self) -> list[str]:
        """Take every waiting message, as a worker would; the slots they name."""
        taken: list[str] = []
        while (raw := self.client.rpop(self.name)) is not None:
            assert isinstance(raw, bytes)
            taken += body_of(raw)["slots"]
        return taken


def body_of(raw: bytes) -> dict[str, Any]:
    (found,), _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
    assert isinstance(found, dict)
    return found
