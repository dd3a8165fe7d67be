"""Notices for tests: targets at the emulator's webhooks, and what the ledger says of them."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateways.notices import fingerprint, parse
from models.ledger import notice_targets, notices
from models.ledger.notice_targets import NewTarget
from models.ledger.notices import Delivery, Notice, Posted
from runtime.sealing import seal
from runtime.settings import get_settings


class Noticing:
    """The notices of one test database."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db
        self.owner = uuid.uuid4()

    def target(self, name: str = "ops", url: str = "discord://1/token", **more: Any) -> str:
        """A target that is on; answers its name."""
        more = {"burst": 100, "per_hour": 3600} | more
        new = NewTarget(
            name=name, service=parse(url, get_settings()).service, address=seal(url),
            fingerprint=fingerprint(url), **more,
        )  # fmt: skip
        assert notice_targets.add(self.db, new)
        return name

    def post(self, title: str = "무슨 일", **more: Any) -> Posted:
        """Tell something."""
        return notices.post(self.db, Notice(title=title, **({"kind": "test"} | more)))

    def take(self, lease_s: float = 30.0, limit: int = 10) -> list[Delivery]:
        """Lease what may be sent now."""
        return notices.take(self.db, self.owner, lease_s, [], limit)

    def done(self, delivery: Delivery, what: Any = "sent", **more: Any) -> bool:
        """Say what came of it; True: the target is off."""
        return notices.done(self.db, delivery, self.owner, what, **more)

    def row_of(self, name: str) -> notice_targets.TargetRow:
        """A target as the command line sees it."""
        row = notice_targets.find(self.db, name)
        assert row is not None
        return row

    def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        with self.db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), arguments).fetchall()

    def all(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Notices, oldest first."""
        return self.rows("SELECT * FROM notices WHERE %s::text IS NULL OR kind = %s ORDER BY id", kind, kind)

    def kinds(self) -> list[str]:
        return [row["kind"] for row in self.all()]

    def states(self, name: str) -> list[str]:
        """States of a target's deliveries, oldest first."""
        rows = self.rows(
            "SELECT q.state FROM notice_deliveries q JOIN notice_targets g ON g.id = q.target_id"
            " WHERE g.name = %s ORDER BY q.notice_id", name,
        )  # fmt: skip
        return [row["state"] for row in rows]
