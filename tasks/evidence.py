"""Evidence must not be lost: it goes into the ledger, else the journal, else stays until either takes it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psycopg

from models.ledger import worker as ledger
from models.ledger.worker import Evidence, EvidenceVerdict, Settle
from runtime import database
from runtime.clock import clock
from runtime.events import Event, emit
from tasks import journal
from tasks.committer import Committer, CommitterStopped

_ATTEMPTS = 3
Answer = TypeVar("Answer")


class EvidenceStore:
    """One per process. ``folder`` is where evidence waits while Postgres is away."""

    def __init__(self, committer: Committer, folder: Path) -> None:
        self._committer = committer
        self._folder = folder
        self._unsaved: list[Evidence] = []
        self._guard = threading.Lock()

    def store(self, fact: Evidence) -> EvidenceVerdict | None:
        """The ledger's verdict; None: it could not be told now, and the slot is not ours to settle."""
        return self._stored(fact, self._committer.evidence)

    def store_and_settle(self, fact: Evidence, end: Settle) -> bool | None:
        """Evidence of the last attempt, and the slot given up in the same transaction.

        False: somebody else owns the slot, the evidence is stored. None: neither could be told now.
        """
        answer = self._stored(fact, lambda said: self._committer.finish(said, end))
        return None if answer is None else answer[1]

    def _stored(self, fact: Evidence, say: Callable[[Evidence], Answer]) -> Answer | None:
        error: Exception | None = None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return say(fact)
            except CommitterStopped as stopped:
                error = stopped
                break
            except (psycopg.DataError, UnicodeError) as unreadable:
                error, fact = unreadable, bare(fact)
            except psycopg.Error as away:
                error = away
                clock().wait(0.05 * attempt)
        self._keep(fact, repr(error))
        return None

    def replay(self) -> None:
        """Say again what waits in memory and in the journal. Raises a psycopg error if Postgres is away."""
        with self._guard:
            unsaved, self._unsaved = self._unsaved, []
        for fact in unsaved:
            self._keep(fact, "kept in memory until now")
        count = journal.replay(self._folder, self._say)
        if count:
            emit(Event.JOURNAL_REPLAYED, count=count)

    def _keep(self, fact: Evidence, why: str) -> None:
        try:
            journal.append(self._folder, fact)
            emit(Event.JOURNAL_WRITTEN, message_id=str(fact.slot), error=why)
        except OSError as full:
            with self._guard:
                self._unsaved.append(fact)
            emit(Event.TASK_SURPRISED, task="journal", error=repr(full))

    def _say(self, facts: list[Evidence]) -> None:
        try:
            _to_ledger(facts)
        except (psycopg.Error, UnicodeError) as error:
            if database.is_transient(error):
                raise
            for fact in facts:
                self._say_alone(fact)

    def _say_alone(self, fact: Evidence) -> None:
        """One that the ledger refuses for good must not keep the others out."""
        try:
            _to_ledger([bare(fact)])
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as error:
            journal.set_aside(self._folder, fact)
            emit(Event.TASK_SURPRISED, task="journal", error=repr(error))


def bare(fact: Evidence) -> Evidence:
    """The same without what a database might not be able to store: the provider's own words."""
    return replace(
        fact, answer=None, reason=_clean(fact.reason),
        provider_msg_id=None if fact.provider_msg_id is None else _clean(fact.provider_msg_id),
    )  # fmt: skip


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def _to_ledger(facts: list[Evidence]) -> None:
    with database.pool().connection() as db:
        ledger.evidence(db, facts)
