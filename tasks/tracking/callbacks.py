"""PlayAuto calls back when a job of its has ended. Nobody signs that: it only says when to look."""

from __future__ import annotations

from typing import Any

from gateways.playauto.answers import parse_callback
from models.ledger import tracking as ledger
from runtime import database
from runtime.events import Event, emit


def heard(body: Any) -> bool:
    """A callback's JSON body, as it came. False: it is none. Raises psycopg.Error if the ledger is away.

    It may come late, twice, never, or from anybody. An unknown job changes nothing.
    """
    report = parse_callback(body)
    if report is None:
        return False
    count = database.retrying(lambda db: ledger.heard(db, report.work_no, report.state, report.messages))
    emit(Event.UPLOAD_HEARD, work=report.work_no, said=report.state, count=count)
    return True
