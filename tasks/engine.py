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
from concurrent import futures
from typing import TypeVar

from gateways.registry import use_token_store
from models.ledger import worker as ledger
from models.ledger.worker import Lease, Settle
from runtime import database
from runtime.clock import Clock, clock
from runtime.events import Event, emit
from runtime.ids import SlotId
from runtime.redis_client import lock_redis
from runtime.settings import Settings, get_settings
from tasks.committer import Committer, CommitterStopped, Proven, until_stored
from tasks.devices import Devices
from tasks.evidence import EvidenceStore
from tasks.kakao_tokens import LedgerTokens
from tasks.locks import SlotLocks
from tasks.refusals import Refusals
from tasks.service_times import ServiceTimes

Done = TypeVar("Done")

_TURN_S = 2.5
_ROOM_S = 0.25


class Engine:
    """Everything that the pipelines of tasks/attempt.py and tasks/confirm.py lean on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock: Clock = clock()
        self.owner = uuid.uuid4()
        self.node = f"{socket.gethostname()}:{os.getpid()}"
        self.stopping = threading.Event()
        self.locks = SlotLocks(lock_redis(), ttl_ms=int(settings.lock_ttl_s * 1000))
        self.committer = Committer(self.owner, settings.ponr_lease_s, settings.max_tries)
        self.evidence = EvidenceStore(self.committer, settings.home / "journal")
        self.service_times = ServiceTimes()
        self.refusals = Refusals()
        use_token_store(LedgerTokens)
        self.devices = Devices()
        self._writers = futures.ThreadPoolExecutor(settings.worker_concurrency, thread_name_prefix="writer")
        self._running: set[SlotId] = set()
        self._taken: dict[int, int] = {}  # by thread: what it took off the queue and has not leased yet
        self._guard = threading.Condition()
        self._turn = threading.Lock()
        self._idle_seats = threading.BoundedSemaphore(max(settings.worker_concurrency // 4, 1))
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    # -- leases ---------------------------------------------------------------------------------

    def lease(self, slots: Sequence[SlotId]) -> list[Lease]:
        """Ask the ledger for slots; one that is early by at most early_wait_ms is waited for here, and so
        is a database that no beat has vouched for since its server started.

        What is leased is kept alive until `done` is said of it.
        """
        answers = self._ask_lease(slots)
        if any(a.verdict == "held" for a in answers):
            self.clock.wait(self.settings.early_wait_ms / 1000, self.stopping)
            answers = self._ask_lease(slots)
        early = [a for a in answers if a.verdict == "early" and a.wait_ms <= self.settings.early_wait_ms]
        if early:
            self.clock.wait(max(a.wait_ms for a in early) / 1000 + 0.001, self.stopping)
            again = self._ask_lease([a.slot for a in early])
            answers = [a for a in answers if a not in early] + again
        return answers

    def done(self, slot: SlotId) -> None:
        """Keep this slot's lease alive no longer: it was given up, or left to the reaper."""
        with self._guard:
            self._running.discard(slot)
            self._guard.notify_all()

    def _ask_lease(self, slots: Sequence[SlotId]) -> list[Lease]:
        if self.stopping.is_set():
            return []
        answers = database.retrying(lambda db: ledger.lease(db, slots, self.owner, self.settings.lease_s))
        with self._guard:
            self._running.update(a.slot for a in answers if a.verdict == "leased")
            self._taken.pop(threading.get_ident(), None)
        return answers

    def settle(self, slot: Settle) -> bool:
        """Give a slot up. False: somebody else owns it, or the ledger is away and the reaper takes it."""
        if slot.reason != "not_sent":
            self.refusals.forget(slot.slot)
        try:
            settled = until_stored(lambda: self.committer.settle(slot))
        except CommitterStopped:
            return False
        if settled is False:
            emit(Event.LEASE_LOST, message_id=str(slot.slot))
        return bool(settled)

    def confirmed(self, part: Proven) -> bool:
        """Mark an accepted part as delivered. False: the ledger could not be told, so it is asked again."""
        try:
            return until_stored(lambda: self.committer.confirmed(part)) is not None
        except CommitterStopped:
            return False

    # -- threads --------------------------------------------------------------------------------

    def for_each(self, work: Callable[[Lease], Done], leases: Sequence[Lease]) -> list[Done]:
        """Run ``work`` on every leased slot, side by side; one slot is run right here.

        Returns, or raises the first exception, only when all of them have ended.
        """
        if len(leases) == 1:
            return [work(leases[0])]
        started = [self._writers.submit(work, lease) for lease in leases]
        futures.wait(started)
        return [one.result() for one in started]

    def pause(self, seconds: float) -> bool:
        """Wait on this thread, unless other slots need it: then False, at once.

        At most a quarter of the threads may idle so; in a burst, messages with many parts would else
        hold all of them between two parts while everybody else comes late.
        """
        if seconds <= 0:
            return True
        with self._guard:
            crowded = len(self._running) > self.settings.worker_concurrency
        if crowded or not self._idle_seats.acquire(blocking=False):
            return False
        try:
            self.clock.wait(seconds, self.stopping)
        finally:
            self._idle_seats.release()
        return True

    def free_threads(self) -> int:
        """Threads of this process that stand idle now."""
        with self._guard:
            return max(self.settings.worker_concurrency - self._busy(), 0)

    def take(self, wanted: int) -> int:
        """How many of ``wanted`` slots may be started within a second from now; counts them as taken.

        One thread at a time waits here, a moment, until there is room for most of its hint: hints cut into
        small pieces cost a message each. 0: everybody is busy for longer, so another worker should have it.
        """
        if not self._turn.acquire(timeout=_TURN_S):
            return 0
        try:
            with self._guard:
                self._guard.wait_for(lambda: self._room_for(wanted) >= min(wanted, self._most() / 2), _ROOM_S)
                able = self._room_for(wanted)
                self._taken[threading.get_ident()] = able
                return able
        finally:
            self._turn.release()

    def give_back(self) -> None:
        """What this thread took is leased by now, or will not be."""
        with self._guard:
            self._taken.pop(threading.get_ident(), None)
            self._guard.notify_all()

    def _busy(self) -> int:
        return len(self._running) + sum(self._taken.values())

    def _room_for(self, wanted: int) -> int:
        busy = self._busy()
        return min(wanted, max(int(self._most()) - busy, 0 if busy else 1))

    def _most(self) -> float:
        """Slots that this process starts within a second."""
        return self.settings.worker_concurrency * self.service_times.starts_per_second()

    def stop(self) -> None:
        """Take no more, let writes in flight finish and be settled, flush the committer."""
        self.stopping.set()
        with self._guard:
            self._guard.wait_for(lambda: not self._running, timeout=self.settings.ponr_lease_s)
            self._running.clear()
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
        """Renew all leases by one UPDATE, lengthen their locks, replay the journal. Never raises.

        A lease that is lost is found out at the next command: each carries the fence.
        """
        with self._guard:
            held = list(self._running)
        try:
            if held:
                with database.pool().connection() as db:
                    ledger.renew(db, held, self.owner, self.settings.lease_s)
                self.locks.extend(held)
            self.evidence.replay()
        except Exception as error:
            if not database.is_transient(error):
                emit(Event.TASK_SURPRISED, task="keeper", error=repr(error))


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
