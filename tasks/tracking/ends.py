"""How a run ends: closed in the ledger, told to those who asked for it, shown to watchers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg
import redis

from models.ledger import tracking_worker as ledger
from models.queries import tracking as queries
from runtime import database
from runtime.events import Event, emit
from runtime.failpoints import hit
from tasks.tracking import progress
from tasks.tracking.notice import tell

Connection = psycopg.Connection[Any]


def close(job: int) -> str:
    """Close a run whose orders have all ended: open, more, finished (by this call), over or gone.

    Its notice is posted in the same transaction: a run that is closed has told, or could not.
    """
    ended = database.retrying(lambda db: _close(db, job))
    if ended == "finished":
        _told(job)
    return ended


def _close(db: Connection, job: int) -> str:
    with db.transaction():
        ended = ledger.finish(db, job)
        if ended == "finished":
            hit("upload.finishing")
            tell(db, job)
    return ended


def _told(job: int) -> None:
    hit("upload.finished")
    found = database.retrying(lambda db: queries.job(db, job))
    if found is None:
        return
    emit(
        Event.UPLOAD_ENDED,
        job=job, account=found.account, status=found.status, reason=found.reason, success=found.success,
        failed=found.failed, skipped=found.skipped, total=found.total,
    )  # fmt: skip
    with suppress(redis.RedisError):  # watchers ask the ledger
        progress.show([found])
