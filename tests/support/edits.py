"""The two ways in which schedules are written: raw SQL, as the customer's own pages do it, and the ORM."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy.orm import Session

from models.tables import Schedule
from runtime import database
from tests.support.ledger_world import World

WAYS = ("sql", "orm")
_LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Edits(Protocol):
    """Several edits in one transaction."""

    def edit(self, schedule: int, **columns: Any) -> None:
        """Change columns of a schedule."""

    def delete(self, schedule: int) -> None:
        """Delete a schedule."""


class Writer:
    """Writes schedules in one of the two ways, a transaction each."""

    def __init__(self, world: World, way: str) -> None:
        self.way = way
        self._world = world

    def edit(self, schedule: int, **columns: Any) -> None:
        """Change columns of a schedule."""
        with self.transaction() as edits:
            edits.edit(schedule, **columns)

    def delete(self, schedule: int) -> None:
        """Delete a schedule."""
        with self.transaction() as edits:
            edits.delete(schedule)

    def add(self, room: str = "방1", **columns: Any) -> int:
        """A new schedule, of every half hour unless told otherwise; answers its id."""
        if self.way == "sql":
            return self._world.schedule(room, **columns)
        row = {
            "title": "정각 알림", "target_room_id": room, "target_room_type": "test",
            "message_text": "안녕하세요", "send_order": "text_only", "schedule_type": "regular",
            "valid_from": _LONG_AGO, **columns,
        }  # fmt: skip
        with Session(database.engine()) as session, session.begin():
            schedule = Schedule(**row)
            session.add(schedule)
            session.flush()
            return schedule.id

    @contextmanager
    def transaction(self) -> Iterator[Edits]:
        """Several edits that take effect together."""
        if self.way == "sql":
            with self._world.db.transaction():
                yield _Sql(self._world)
        else:
            with Session(database.engine()) as session, session.begin():
                yield _Orm(session)


class _Sql:
    def __init__(self, world: World) -> None:
        self._world = world

    def edit(self, schedule: int, **columns: Any) -> None:
        self._world.edit(schedule, **columns)

    def delete(self, schedule: int) -> None:
        self._world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))


class _Orm:
    def __init__(self, session: Session) -> None:
        self._session = session

    def edit(self, schedule: int, **columns: Any) -> None:
        row = self._session.get_one(Schedule, schedule)
        for name, value in columns.items():
            setattr(row, name, value)
        self._session.flush()

    def delete(self, schedule: int) -> None:
        self._session.delete(self._session.get_one(Schedule, schedule))
        self._session.flush()
