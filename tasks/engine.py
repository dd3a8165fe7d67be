"""What a worker process shares between its slots: identity, locks, committer, leases kept alive, threads.

One engine per process, made at the first hint (or when the worker starts). It holds no truth: when
the process dies, leases end and the reaper takes over.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import redis

from models.ledger import worker as ledger
from models.ledger.worker import Evidence, Lease, Settle
from runtime import database
from runtime.clock import Clock, clock
from runtime.events import Event, emit
from runtime.ids import SlotId
from runtime.redis_client import lock_redis
from runtime.settings import Settings, get_settings
from tasks import journal
from tasks.committer import Committer, until_stored
from tasks.locks import SlotLocks
from tasks.service_times import ServiceTimes


Done = TypeVar("Done")


class Engine:
    """Everything that the pipelines of tasks/attempt.py and tasks/confirm.py lean on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock: Clock = clock()
        self.owner = uuid.uuid4()
        self.node = f"{socket.gethostname()}:{os.getpid()}"
        self.locks = SlotLocks(lock_redis(), ttl_ms=int(settings.lock_ttl_s * 1000))
        self.committer = Committer(self.owner, settings.ponr_lease_s, settings.max_tries)
        self.stopping = threading.Event()
        self.service_times = ServiceTimes()
        self._writers = ThreadPoolExecutor(settings.worker_concurrency, thread_name_prefix="writer")
        self._running: dict[SlotId, threading.Event] = {}
        self._taken = 0
        self._guard = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    # -- leases ---------------------------------------------------------------------------------

    def lease(self, slots: Sequence[SlotId]) -> list[Lease]:
        """Ask the ledger for slots; one that is early by at most early_wait_ms is waited for here."""
        answers = self._ask_lease(slots)
        early = [a for a in answers if a.verdict == "early" and a.wait_ms <= self.settings.early_wait_ms]
        if early:
            self.clock.wait(max(a.wait_ms for a in early) / 1000 + 0.001, self.stopping)
            answers = [a for a in answers if a not in early] + self._ask_lease([a.slot for a in early])
        with self._guard:
            for answer in answers:
                if answer.verdict == "leased":
                    self._running[answer.slot] = threading.Event()
        return answers

    def lost(self, slot: SlotId) -> bool:
        """Whether this process has been told that the slot is no longer its own."""
        with self._guard:
            flag = self._running.get(slot)
        return flag is None or flag.is_set()

    def _ask_lease(self, slots: Sequence[SlotId]) -> list[Lease]:
        if self.stopping.is_set():
            return []
        return database.retrying(lambda db: ledger.lease(db, slots, self.owner, self.settings.lease_s))

    # -- commands that must not be lost ------------------------------------------------------------

    def evidence(self, fact: Evidence) -> bool:
        """Store what is known of an attempt; False: it went to the journal, the slot is not ours to settle."""

        def to_journal(error: Exception) -> None:
            journal.append(self.journal_folder, fact)
            emit(Event.JOURNAL_WRITTEN, message_id=str(fact.slot), error=repr(error))

        return until_stored(lambda: self.committer.evidence(fact), to_journal) is not None

    def settle(self, slot: Settle) -> bool:
        """Give a slot up. False: somebody else owns it, or the ledger is away and the reaper will take it."""
        with self._guard:
            self._running.pop(slot.slot, None)
        done = until_stored(lambda: self.committer.settle(slot), lambda error: None)
        if done is False:
            emit(Event.LEASE_LOST, message_id=str(slot.slot))
        return bool(done)

    @property
    def journal_folder(self) -> Path:
        """Where evidence waits while Postgres is away."""
        return self.settings.home / "journal"

    # -- threads --------------------------------------------------------------------------------

    def for_each(self, work: Callable[[Lease], Done], leases: Sequence[Lease]) -> list[Done]:
        """Run ``work`` on every leased slot, side by side; one slot is run right here."""
        if len(leases) == 1:
            return [work(leases[0])]
        return [future.result() for future in [self._writers.submit(work, lease) for lease in leases]]

    def free_threads(self) -> int:
        """Threads of this process that stand idle now."""
        with self._guard:
            return max(self.settings.worker_concurrency - max(self._taken, len(self._running)), 0)

    def take(self, wanted: int) -> int:
        """How many of ``wanted`` slots may be started within a second from now; counts them as taken."""
        with self._guard:
            free = max(self.settings.worker_concurrency - self._taken, 1)
            able = max(1, min(wanted, int(free * self.service_times.starts_per_second())))
            self._taken += able
            return able

    def give_back(self, count: int) -> None:
        """Slots that ``take`` counted and that are done with."""
        with self._guard:
            self._taken -= count

    def stop(self) -> None:
        """Take no more, let writes in flight finish, flush the committer."""
        self.stopping.set()
        self._writers.shutdown(wait=True)
        self.committer.stop()
        self._keeper.join(timeout=2)

    # -- the keeper: leases, locks, journal ------------------------------------------------------

    def _keep(self) -> None:
        while not self.clock.wait(self.settings.renew_s, self.stopping) or self._running:
            self.keep_once()
            if self.stopping.is_set():
                self.clock.wait(self.settings.renew_s / 2)

    def keep_once(self) -> None:
        """Renew all leases by one UPDATE, lengthen their locks, replay the journal. Never raises."""
        with self._guard:
            held = dict(self._running)
        try:
            if held:
                self._renew(held)
            self._replay()
        except Exception as error:
            if not database.is_transient(error):
                emit(Event.TASK_SURPRISED, task="keeper", error=repr(error))
        try:
            self.locks.extend(list(held))
        except redis.RedisError:
            pass  # the lease is what counts

    def _renew(self, held: dict[SlotId, threading.Event]) -> None:
        with database.pool().connection() as db:
            ours = ledger.renew(db, list(held), self.owner, self.settings.lease_s)
        for slot, lost in held.items():
            if slot not in ours:
                lost.set()

    def _replay(self) -> None:
        def store(facts: list[Evidence]) -> None:
            with database.pool().connection() as db:
                ledger.evidence(db, facts)

        count = journal.replay(self.journal_folder, store)
        if count:
            emit(Event.JOURNAL_REPLAYED, count=count)


_engine: tuple[int, Engine] | None = None
_making = threading.Lock()


def engine() -> Engine:
    """This process's engine, made at first use."""
    global _engine
    if _engine is None or _engine[0] != os.getpid():
        with _making:
            if _engine is None or _engine[0] != os.getpid():
                _engine = (os.getpid(), Engine(get_settings()))
    return _engine[1]


def stop_engine() -> None:
    """End this process's engine if there is one; the next use makes a new one."""
    global _engine
    with _making:
        if _engine is not None and _engine[0] == os.getpid():
            _engine[1].stop()
        _engine = None
