"""`celery beat` on the ledger: `beat_scheduler = "beat.scheduler:LedgerScheduler"`.

Any number may run at once; none leads. `tick` never raises and never waits for a broker. It waits for its
next work by itself, on a connection that listens for edits, so that an edit takes effect at once.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
from datetime import datetime
from typing import Any

import psycopg
from celery.beat import Scheduler

from beat.brokers import broker_of
from beat.instance import Keeper
from beat.publishing import Publisher
from beat.turn import Turn
from beat.uninterrupted import uninterrupted
from models import version
from models.ledger import beat as ledger
from models.ledger.beat import Connection
from runtime import database
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.settings import get_settings

CHANNEL = "jeongsi_schedule"
_SLOW_S = 1.0
_CLOSE_S = 3.0
_TELL_AT_ONCE = 50
_TELL_S = 0.1  # of one wait: an edit is not kept waiting for log lines
_SWITCH_S = 0.001  # the publisher's timer waits this long for the ticking thread, not Python's 5 ms


class LedgerScheduler(Scheduler):
    """Celery's scheduler class with the ledger in place of entries; `beat_schedule` is not read.

    Celery makes one more for its banner (``lazy``), so nothing is opened before the first tick.
    """

    info = "    . ledger -> Postgres decides, hints go to the broker"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._db: Connection | None = None
        self._ears: psycopg.Connection[Any] | None = None
        self._turn: Turn | None = None
        self._publisher: Publisher | None = None
        self._keeper: Keeper | None = None
        self._ticking = False
        self._stopping = False
        self._fresh = True
        self._gone_since: float | None = None
        self.node = f"beat{os.getpid()}@{socket.gethostname()}"
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Nothing to set up: schedules live in the ledger."""
        self.data: dict[str, Any] = {}

    def tick(self, *_: Any, **__: Any) -> float:
        """One turn and the wait for the next. Always answers 0: the waiting is done."""
        if self._stopping:
            return 0.0
        self._ticking = True
        try:
            with uninterrupted():
                pause = self.turn()
            self.wait(pause)
        finally:
            self._ticking = False
        return 0.0

    def turn(self) -> float:
        """One turn; answers the seconds until the next, at most tick_max_s. Never raises."""
        started = clock().monotonic()
        try:
            pause = self._once()
        except Exception as error:
            self._forget(error)
            return min(0.2, get_settings().tick_max_s)
        took = clock().monotonic() - started
        if took > _SLOW_S:
            emit(Event.TICK_SLOW, took_ms=round(took * 1000))
        return pause

    def wait(self, seconds: float) -> None:
        """Until ``seconds`` are over or somebody edits a schedule. Log lines that can wait come first."""
        until = clock().monotonic() + seconds
        self._tell(min(until, clock().monotonic() + _TELL_S))
        left = until - clock().monotonic()
        if left <= 0:
            return
        try:
            if self._ears is None:
                self._ears = self._listen()
            # Not `notifies` for the waiting: it wakes ten times a second. Only this reads from the socket.
            if select.select([self._ears], [], [], left)[0]:
                for _ in self._ears.notifies(timeout=0):
                    pass
        except (psycopg.Error, OSError) as error:
            self._deafen(error)
            clock().wait(max(0.0, min(until - clock().monotonic(), 0.2)))

    def close(self) -> None:
        """End. Celery calls it from its signal handler, maybe in the middle of a tick, and then once more."""
        self._stopping = True
        if self._ticking:
            return
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close(_CLOSE_S)
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close(_CLOSE_S)
            emit(Event.BEAT_STOPPED, node=self.node)
        for connection in (self._db, self._ears):
            if connection is not None:
                connection.close()
        self._db = self._ears = self._turn = None
        super().close()

    def _once(self) -> float:
        db = self._db or self._connect()
        turn = self._turn
        if turn is None:
            turn = self._turn = self._start(ledger.now(db))
        pause = turn.once(db)
        if self._gone_since is not None:
            emit(Event.LEDGER_BACK, gone_s=round(clock().monotonic() - self._gone_since, 1))
            self._gone_since = None
        if self._fresh:
            self._fresh = False
            gc.collect()
            gc.freeze()
        return pause

    def _start(self, now: datetime) -> Turn:
        settings = get_settings()
        sys.setswitchinterval(_SWITCH_S)
        broker = broker_of(self.app)
        self._publisher = Publisher(broker, settings.prepared_stale_s)
        self._keeper = Keeper(settings)
        emit(Event.BEAT_STARTED, node=self.node)
        return Turn(settings, self._publisher, broker, self.node, now)

    def _connect(self) -> Connection:
        made = database.connect()
        made.autocommit = True
        self._db = made
        if self._turn is None:
            self._look_at_schema(made)
        if self._keeper is not None:
            self._keeper.look_now()
        return made

    def _look_at_schema(self, db: Connection) -> None:
        """Told, not refused: while a new version is rolled out, old processes meet a newer database."""
        try:
            version.check(db)
        except version.MigrationNeeded as needed:
            emit(Event.SCHEMA_DIFFERS, reason=str(needed))

    def _listen(self) -> psycopg.Connection[Any]:
        made = database.listen_connection()
        made.execute(f"LISTEN {CHANNEL}".encode())
        return made

    def _forget(self, error: Exception) -> None:
        """Whatever went wrong: a new session next time. What was prepared stays, its rows are committed."""
        if not database.is_transient(error):
            emit(Event.TICK_FAILED, error=repr(error)[:300])
        elif self._gone_since is None:
            self._gone_since = clock().monotonic()
            emit(Event.LEDGER_GONE, error=repr(error)[:300])
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _deafen(self, error: Exception) -> None:
        ears, self._ears = self._ears, None
        if ears is not None:
            ears.close()
        if not database.is_transient(error):
            emit(Event.TICK_FAILED, error=f"listening: {error!r}"[:300])

    def _tell(self, until: float) -> None:
        """The log lines of newly laid down slots (A43), as far as the time goes."""
        waiting = self._turn.scheduled if self._turn is not None else ()
        while waiting and clock().monotonic() < until:
            for _ in range(min(_TELL_AT_ONCE, len(waiting))):
                slot = waiting.popleft()
                emit(Event.SCHEDULED, message_id=str(slot), at=slot.slot_at.isoformat())
