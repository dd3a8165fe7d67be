"""The ledger's upkeep that the beat does itself: weeks made ahead, old weeks and rows dropped.

Small SQL on the beat's own connection and no task to a worker: without the coming week the planner cannot
write, so this must work with no worker alive and no Redis. Any number of beats may do it. Evidence in
journals is replayed by workers, who hold the files.
"""

from __future__ import annotations

import psycopg

from models.ledger import beat as ledger
from models.ledger import messages
from models.ledger.beat import Connection
from models.ledger.retention import prune_tracking
from runtime.clock import clock
from runtime.database import is_transient
from runtime.events import Event, emit
from runtime.settings import Settings

_AHEAD_S = 3600.0
_DROP_S = 86_400.0
_LOOK_S = 5.0
_TIDY_S = 60.0


class Upkeep:
    """What is done when a beat starts, and then every hour or day."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ahead_at = self._drop_at = self._look_at = self._tidy_at = clock().monotonic()

    def once(self, db: Connection, *, idle: bool = True) -> None:
        """Do what is due; what takes a tenth of a second only while the beat is ``idle``.

        What the database refuses waits for the next time, and is told to the log.
        """
        now = clock().monotonic()
        try:
            if now >= self._ahead_at:
                self._ahead_at = now + _AHEAD_S
                made = ledger.ensure_partitions(db, self._settings.ledger_days)
                if made:
                    emit(Event.PARTITIONS_MADE, names=f"{made} tables")
                pruned = ledger.prune(db, self._settings.ledger_days)
                if pruned:
                    emit(Event.ROWS_PRUNED, count=pruned)
                forgotten = messages.prune(db, self._settings.key_days, self._settings.hash_days)
                if forgotten:
                    emit(Event.KEYS_PRUNED, count=forgotten)
                retired = messages.retire_finished(db, self._settings.finished_days)
                if retired:
                    emit(Event.FINISHED_RETIRED, count=retired)
            if idle and now >= self._tidy_at:
                self._tidy_at = now + _TIDY_S
                gone = prune_tracking(db, self._settings.order_days, self._settings.upload_days)
                if gone:
                    emit(Event.ROWS_PRUNED, count=gone)
            if idle and now >= self._look_at:
                self._look_at = now + _LOOK_S
                ledger.refresh_statistics(db)
            if now >= self._drop_at:
                self._drop_at = now + _DROP_S
                dropped = ledger.drop_old_partitions(db, self._settings.ledger_days, self._settings.log_days)
                if dropped:
                    emit(Event.PARTITIONS_DROPPED, names=", ".join(dropped))
        except psycopg.Error as error:
            if is_transient(error):
                self._ahead_at = now
                raise
            emit(Event.TICK_FAILED, error=f"upkeep: {error}")
