"""One transaction of a person's, with the person's name in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.orm import Session

from runtime.database import engine


@contextmanager
def transaction(who: str) -> Iterator[Session]:
    """A session that commits at the end, rolls back on any error; history and log name `who`.

    Keep it short: the database ends a transaction that idles for 2 s.
    """
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        session.execute(text("SELECT set_config('jeongsi.who', :who, true)"), {"who": who})
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """A session for looking only; what it read stays usable after its end."""
    with Session(engine(), expire_on_commit=False) as session:
        yield session


def ledger_now(session: Session) -> dt.datetime:
    """The instant by which everything is decided: the database's clock, in UTC."""
    now: dt.datetime = session.execute(text("SELECT ledger_now()")).scalar_one()
    return now.astimezone(dt.UTC)
