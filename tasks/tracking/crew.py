"""The threads of one process that carry uploads. Several processes share every run, chunk by chunk.

What there is to do is asked of Postgres every second; a hint only makes it sooner. So a lost hint, an emptied
Redis and a dead worker all cost about a second and a lease.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

import redis

from gateways.errors import GatewayError
from gateways.playauto.values import InDoubt, Refused
from models.ledger import tracking_worker as ledger
from models.ledger.tracking_worker import Item, Live
from models.queries import tracking as queries
from runtime import database
from runtime.clock import clock
from runtime.environment import SettingsError
from runtime.events import Event, emit
from runtime.failpoints import hit
from runtime.ids import SlotId
from runtime.sealing import Unsealable
from runtime.settings import Settings
from tasks.tracking import progress
from tasks.tracking.accounts import client_of
from tasks.tracking.chunk import Chunk, Means
from tasks.tracking.ends import close
from tasks.tracking.rulings import explained
from tasks.tracking.terms import BUSY_S, Terms

Done = TypeVar("Done")

ROUND_S = 1.0
LAY_DOWN = 5_000  # orders in one statement: a quarter of a second
SLOT_LEASE_S = 20.0


class Crew:
    """One process's share of all runs. `wake` makes the next round begin at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.owner = uuid.uuid4()
        self.node = f"{socket.gethostname()}:{os.getpid()}"
        self.stopping = threading.Event()
        self._woken = threading.Event()
        self._guard = threading.Condition()
        self._live: Sequence[Live] = ()
        self._round = 0
        self._held: set[int] = set()  # chunks that are under way here
        self._patience: dict[str, float] = {}  # by account: until when PlayAuto wants to be left alone
        self._shown: set[int] = set()
        self._threads = [threading.Thread(target=self._keep, name="upload-keeper", daemon=True)]
        self._threads += [
            threading.Thread(target=self._work, args=(n,), name=f"upload-{n}", daemon=True)
            for n in range(settings.tracking_threads)
        ]

    def start(self) -> None:
        """Begin; ends by `ask_to_stop`."""
        for one in self._threads:
            one.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def ask_to_stop(self) -> None:
        """Take nothing more; what is under way ends first."""
        self.stopping.set()
        self._woken.set()
        with self._guard:
            self._guard.notify_all()

    def stop(self, wait_s: float) -> None:
        """Wait for what is under way. What is not done by then, another process takes up after its lease."""
        self.ask_to_stop()
        end = clock().monotonic() + wait_s
        for one in self._threads:
            one.join(max(0.0, end - clock().monotonic()))

    def free_threads(self) -> int:
        """Threads that carry nothing just now."""
        with self._guard:
            return self.settings.tracking_threads - len(self._held)

    def open(self, slot: SlotId) -> ledger.Opened:
        """Begin the run of a slot, or take it up again."""
        opened = database.retrying(lambda db: ledger.open_slot(db, slot, self.owner, SLOT_LEASE_S))
        if opened.verdict == "started":
            hit("upload.opened")
        if opened.verdict in ("started", "resumed"):
            self.wake()
        return opened

    # -- the keeper -----------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self.stopping.is_set():
            self._woken.clear()
            pause = self._guarded("upload keeper", self.once) or ROUND_S
            clock().wait(pause, self._woken)
        while self._held:  # so that what is under way keeps its lease
            self._guarded("upload keeper", self._renew)
            clock().wait(ROUND_S / 4)

    def once(self) -> float:
        """One round: leases, the dead, slots, what there is to do. Answers how long to wait for the next."""
        self._renew()
        reaped = database.retrying(ledger.reap)
        if reaped:
            emit(Event.UPLOAD_REAPED, count=reaped)
        for slot in database.retrying(ledger.due_slots):
            self.open(slot)
        live = database.retrying(ledger.agenda)
        self._show(live)
        if live:
            with self._guard:
                self._live, self._round = live, self._round + 1
                self._guard.notify_all()
        more = self._end([one.job for one in live if one.stopping])
        due = [one.due_in_s for one in live if one.due_in_s is not None and not one.stopping]
        return min([ROUND_S, *(max(one, 0.05) for one in (*due, *more))])

    def _end(self, jobs: Sequence[int]) -> list[float]:
        """End runs that are to stop, since the threads may be in others for long: a step in each round, so
        that leases are renewed meanwhile. Answers a wait for each that needs another one."""
        said = [self._guarded(f"end of upload run {one}", lambda one=one: close(one)) for one in jobs]  # type: ignore[misc]
        return [0.0 for one in said if one == "more"]

    def _renew(self) -> None:
        with self._guard:
            held = list(self._held)
        lease = self.settings.tracking_lease_s
        database.retrying(lambda db: ledger.renew(db, held, self.owner, lease, SLOT_LEASE_S))

    def _show(self, live: Sequence[Live]) -> None:
        """Watchers see what runs, and once more what has ended: a round may have shown it too late."""
        numbers = {one.job for one in live}
        for one in live:
            if one.job not in self._shown:
                emit(Event.UPLOAD_STARTED, job=one.job, account=one.account)
        over, self._shown = self._shown - numbers, numbers
        found = [
            told
            for number in sorted(numbers | over)
            if (told := database.retrying(lambda db, n=number: queries.job(db, n))) is not None  # type: ignore[misc]
        ]
        try:
            progress.show(found)
        except redis.RedisError:
            return  # it shows, no more

    # -- the threads ----------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        seen = 0
        while not self.stopping.is_set():
            with self._guard:
                self._guard.wait_for(lambda: self._round > seen or self.stopping.is_set())  # noqa: B023
                seen, live = self._round, list(self._live)
            turn = number
            while live and self._turn(live, turn):
                turn += 1
                with self._guard:
                    seen, live = self._round, list(self._live)

    def _turn(self, live: Sequence[Live], turn: int) -> bool:
        """Every run once, beginning with another one each time. Answers whether more may be due."""
        at = turn % len(live)
        found = [
            self._guarded(f"upload run {one.job}", lambda one=one: self._drive(one))  # type: ignore[misc]
            for one in (*live[at:], *live[:at])
        ]
        return any(found)

    def _drive(self, live: Live) -> bool:
        """Do what a run needs until nothing of it is due; beside other runs one chunk of it, so that none
        holds all threads. Answers whether more may be due."""
        if not live.filled and not live.stopping and not self._lay_down(live.job):
            return False
        terms = Terms.of(live.options, dry_run=live.dry_run, confirm_s=self.settings.tracking_confirm_s)
        while not self.stopping.is_set() and self._patient(live.account):
            items = self._claim(live)
            if not items:
                break
            try:
                self._carry(items, terms, live)
            finally:
                with self._guard:
                    self._held.discard(items[0].chunk)
            if len(self._live) > 1:
                return True
        while close(live.job) == "more":
            pass
        return False

    def _lay_down(self, job: int) -> bool:
        """Lay a run's orders down. False: another thread or process is at it."""
        while not self.stopping.is_set():
            verdict = database.retrying(lambda db: ledger.fill(db, job, LAY_DOWN))
            if verdict == "over":
                return False
            hit("upload.laid")
            if verdict == "filled":
                self.wake()
                return True
        return False

    def _claim(self, live: Live) -> list[Item]:
        lease = self.settings.tracking_lease_s
        items = database.retrying(
            lambda db: ledger.claim(db, live.job, self.owner, lease, live.batch),
            attempts=1,  # a claim whose answer was lost waits for its lease, no second one is taken beside it
        )
        if items:
            with self._guard:
                self._held.add(items[0].chunk)
            hit("upload.claimed")
        return items

    def _carry(self, items: Sequence[Item], terms: Terms, live: Live) -> None:
        try:
            client = client_of(live.account)
        except (GatewayError, Unsealable, SettingsError, ValueError) as error:
            reason = "login_unreadable" if isinstance(error, Unsealable) else "not_configured"
            self._stop_run(live.job, reason, str(error), items)
            return
        means = Means(client, self.owner, self.settings.tracking_lease_s, self.settings.playauto_callback_url)
        outcome = Chunk(items, terms, means).carry()
        if outcome.busy is not None:
            self._be_patient(live.account, outcome.busy)
        if outcome.stopped is not None:
            self._stop_run(live.job, "login_refused", explained_of(outcome.stopped))

    def _stop_run(self, job: int, reason: str, message: str, items: Sequence[Item] = ()) -> None:
        """The account as a whole cannot go on: the run ends, its orders wait for the next."""
        emit(Event.UPLOAD_STOPPED, job=job, reason=message)
        database.retrying(lambda db: ledger.stop(db, job, reason, message))
        if items:
            words = [ledger.Word(one.id, "later") for one in items]
            chunk = items[0].chunk
            database.retrying(lambda db: ledger.record(db, chunk, self.owner, words, last=True))

    def _patient(self, account: str) -> bool:
        return clock().monotonic() >= self._patience.get(account, 0.0)

    def _be_patient(self, account: str, busy: InDoubt) -> None:
        self._patience[account] = clock().monotonic() + min(busy.retry_after_s or BUSY_S, 60.0)

    def _guarded(self, what: str, work: Callable[[], Done]) -> Done | None:
        """No surprise ends a thread: leases end, and the orders are looked at again."""
        try:
            return work()
        except Exception as error:
            if database.is_transient(error):
                emit(Event.LEDGER_GONE, error=repr(error))
            else:
                emit(Event.TASK_SURPRISED, task=what, error=repr(error))
            clock().wait(ROUND_S / 2, self.stopping)
            return None


def explained_of(refused: Refused) -> str:
    """Why an account is shut, in words."""
    return explained(refused.code)
