"""Group commit: one thread per process carries all threads' commands to the ledger, as sets.

A thread hands its command in and goes on only when its own verdict's COMMIT has been acknowledged.
The committer flushes as soon as it is idle; what arrives meanwhile is the next set, so a wave is just
as large as there are threads standing ready to write. Evidence goes first: it is what must not be lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from uuid import UUID

import psycopg
from psycopg import errors

from models.ledger import worker as ledger
from runtime import database
from runtime.clock import clock
from runtime.failpoints import hit
from runtime.ids import SlotId

Command = TypeVar("Command")
Answer = TypeVar("Answer")

#: A person's open transaction may hold a slot's row for long. One by one, its neighbours then still make it
#: to the write within the guard.
LOCK_TIMEOUT_MS = 100
#: The server said that it undid the transaction: these may be said again.
UNDONE = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.LockNotAvailable,
    errors.QueryCanceled,
)


class CommitterStopped(RuntimeError):
    """This process is ending and says nothing more to the ledger."""


#: A part of an attempt that the provider shows as delivered.
Proven = tuple[SlotId, int, UUID]
#: What is known of a slot's last attempt, and how the slot is given up with it.
End = tuple[ledger.Evidence, ledger.Settle]
#: Never more in one statement: a batch that must be retried one by one should stay short.
LARGEST_SET = 200


@dataclass(frozen=True)
class Lane(Generic[Command, Answer]):
    """One kind of command: how a set of them is said, and those that wait."""

    say: Callable[[psycopg.Connection[Any], Sequence[Command]], Sequence[Answer]]
    waiting: deque[tuple[Command, Future[Answer]]]


class Committer:
    """Start it once per process; ``stop`` ends it after what was handed in is flushed."""

    def __init__(self, owner: UUID, ponr_lease_s: float, max_tries: int) -> None:
        self._wake = threading.Condition()
        self._stopping = False
        self._db: psycopg.Connection[Any] | None = None
        self.warm = threading.Event()
        """Set once its connection stands and every statement is planned, or that was tried in vain."""

        def say_settled(db: psycopg.Connection[Any], slots: Sequence[ledger.Settle]) -> list[bool]:
            done = ledger.settle(db, slots, owner)
            return [s.slot in done for s in slots]

        def say_resolved(db: psycopg.Connection[Any], parts: Sequence[ledger.Resolve]) -> list[bool]:
            done = ledger.resolve(db, parts, owner)
            return [(p.slot, p.ord) in done for p in parts]

        def say_ponr(db: psycopg.Connection[Any], wave: Sequence[ledger.Ponr]) -> list[ledger.PonrAnswer]:
            said_at = clock().monotonic()  # the ledger's instant of sending lies at or just after it
            answers = ledger.ponr(db, wave, owner, ponr_lease_s, max_tries)
            hit("send.wave_committed")
            return [replace(answer, said_at=said_at) for answer in answers]

        def say_confirmed(db: psycopg.Connection[Any], parts: Sequence[Proven]) -> list[bool]:
            ledger.confirmed(db, parts)
            return [True] * len(parts)

        self._evidence: Lane[ledger.Evidence, ledger.EvidenceVerdict] = Lane(ledger.evidence, deque())
        self._resolve: Lane[ledger.Resolve, bool] = Lane(say_resolved, deque())
        self._settle: Lane[ledger.Settle, bool] = Lane(say_settled, deque())
        self._finish: Lane[End, tuple[ledger.EvidenceVerdict, bool]] = Lane(
            lambda db, ends: ledger.finish(db, ends, owner), deque()
        )
        self._confirmed: Lane[Proven, bool] = Lane(say_confirmed, deque())
        self._ponr: Lane[ledger.Ponr, ledger.PonrAnswer] = Lane(say_ponr, deque())
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def ponr(self, part: ledger.Ponr) -> ledger.PonrAnswer:
        """Ask the point of no return for one part. Raises when it was not, or may not have been, committed:
        then nothing may be written."""
        return self._hand_in(self._ponr, part)

    def evidence(self, fact: ledger.Evidence) -> ledger.EvidenceVerdict:
        """Store evidence. Raises a psycopg error when the ledger could not take it."""
        return self._hand_in(self._evidence, fact)

    def settle(self, slot: ledger.Settle) -> bool:
        """Give a slot up; False: it was fenced, somebody else owns it."""
        return self._hand_in(self._settle, slot)

    def finish(self, fact: ledger.Evidence, slot: ledger.Settle) -> tuple[ledger.EvidenceVerdict, bool]:
        """Store evidence and give its slot up, in one transaction; raises as `evidence` does."""
        return self._hand_in(self._finish, (fact, slot))

    def confirmed(self, part: Proven) -> bool:
        """Mark an accepted part as delivered: the provider says so. May be said twice."""
        return self._hand_in(self._confirmed, part)

    def resolve(self, part: ledger.Resolve) -> bool:
        """Turn a part back to pending; False: its lease, its settle time or its attempt does not allow it."""
        return self._hand_in(self._resolve, part)

    def stop(self) -> None:
        """Flush what waits and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout=10)

    def _hand_in(self, lane: Lane[Command, Answer], command: Command) -> Answer:
        future: Future[Answer] = Future()
        with self._wake:
            if self._stopping:
                raise CommitterStopped
            lane.waiting.append((command, future))
            self._wake.notify()
        return future.result()

    def _run(self) -> None:
        lanes = (self._evidence, self._finish, self._confirmed, self._resolve, self._settle, self._ponr)
        with suppress(Exception):  # the first command will say what is wrong
            self._connected()
        self.warm.set()
        try:
            self._serve(lanes)
        finally:
            self._end(lanes)

    def _end(self, lanes: Sequence[Lane[Any, Any]]) -> None:
        """However it ended: nobody waits for an answer that will not come."""
        with self._wake:
            self._stopping = True
            left = [future for lane in lanes for _, future in lane.waiting]
        for future in left:
            future.set_exception(CommitterStopped())
        self._close()

    def _serve(self, lanes: Sequence[Lane[Any, Any]]) -> None:
        while True:
            with self._wake:
                while not any(lane.waiting for lane in lanes):
                    if self._stopping:
                        return
                    self._wake.wait()
            for lane in lanes:
                self._flush(lane)

    def _flush(self, lane: Lane[Any, Any]) -> None:
        with self._wake:
            batch = [lane.waiting.popleft() for _ in range(min(len(lane.waiting), LARGEST_SET))]
        if not batch:
            return
        try:
            answers = self._say(lane, [command for command, _ in batch])
            pairs = list(zip(batch, answers, strict=True))
        except Exception as error:
            self._fail(lane, batch, error)
            return
        for (_, future), answer in pairs:
            future.set_result(answer)

    def _fail(self, lane: Lane[Any, Any], batch: list[tuple[Any, Future[Any]]], error: Exception) -> None:
        """One poisoned row must not fail the rest: say them one by one, unless the ledger itself is away."""
        alone = len(batch) == 1 or may_be_committed(error)
        for command, future in batch:
            if alone:
                future.set_exception(error)
                continue
            try:
                future.set_result(self._say(lane, [command])[0])
            except Exception as own:
                future.set_exception(own)

    def _say(self, lane: Lane[Any, Any], commands: list[Any]) -> Sequence[Any]:
        db = self._connected()
        try:
            return lane.say(db, commands)
        except Exception as error:
            if may_be_committed(error):
                self._close()
            raise

    def _connected(self) -> psycopg.Connection[Any]:
        if self._db is None or self._db.closed:
            made = database.connect()
            made.autocommit = True
            made.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}".encode())
            ledger.plan_ahead(made)
            self._db = made
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def may_be_committed(error: Exception) -> bool:
    """Whether the connection broke, so that nobody knows what became of the transaction."""
    return database.is_transient(error) and not isinstance(error, UNDONE)


def may_be_said_again(error: Exception) -> bool:
    """Whether saying it again can help: a break, a deadlock, a lock that somebody holds for too long."""
    return database.is_transient(error) or isinstance(error, UNDONE)


def until_stored(say: Callable[[], Answer], attempts: int = 3) -> Answer | None:
    """Say what may safely be said twice, again after a failure that may pass; None when given up."""
    for attempt in range(1, attempts + 1):
        try:
            return say()
        except psycopg.Error as error:
            if not may_be_said_again(error):
                raise
            clock().wait(0.05 * attempt)
    return None
