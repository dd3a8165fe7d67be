"""Is this the database that it was? A thread of each beat looks now and then; it vouches for it or holds it.

A database that was restored, promoted with commits missing, or started beside its original has forgotten
points of no return. Nothing may leave it until a person looked (docs/decisions/0008-instance-epoch.md).
Workers need no look of their own: the ledger's commands refuse everything until a beat has vouched.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum

from beat.witness import Record, Seen, Witnesses
from models.ledger import instance as ledger
from models.ledger.instance import Connection, Facts, Mark
from runtime import database
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.settings import Settings

LOOK_S = 5.0  # a look costs 1.5 to 4 ms; a new session of the beat asks for one at once
_AGAIN_S = 1.0
_UNKNOWN = "neither JEONGSI_HOME nor Redis knows this database: it was restored or copied, or both were lost"
_MISSING = "the table instance is empty: nobody can tell which database this is"


class Step(StrEnum):
    """What to do about a database."""

    VOUCH = "vouch"
    HOLD = "hold"
    HELD = "held"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A step and, for a hold, its reason as a sentence for people."""

    step: Step
    reason: str = ""


_VOUCH, _WAIT = Ruling(Step.VOUCH), Ruling(Step.WAIT)


def judge(facts: Facts, seen: Seen, copied_from: str | None = None) -> Ruling:
    """What the facts and everything that stands outside say together. Pure.

    ``copied_from``: the folder that this home is a copy of, if it is one. ``seen`` was read before ``facts``,
    so a mark outside is never ahead of a database that lost nothing.
    """
    if facts.held_at is not None:
        return Ruling(Step.HELD, facts.held_reason or "")
    own = seen.of(str(facts.id))
    if copied_from is not None and not facts.sealed:
        return _hold(f"JEONGSI_HOME is a copy of {copied_from}: its original may run beside this one")
    for record in own:
        reason = _contradiction(facts, record)
        if reason is not None:
            return _hold(reason)
    if own or not facts.has_past:
        return _VOUCH
    if facts.mark == 0:
        return _as_migrated(facts, seen)
    if facts.sealed:
        return _VOUCH  # the records were lost, the database is the one that was vouched for
    if seen.silent:
        return _WAIT
    return _hold(_UNKNOWN)


def _as_migrated(facts: Facts, seen: Seen) -> Ruling:
    """A database that no beat has marked yet: one of an older version, adopted where it stands alone."""
    if seen.of_others(str(facts.id)):
        return _hold("a database of an older version was put in the place of one that ran here")
    return _VOUCH


def _contradiction(facts: Facts, record: Record) -> str | None:
    then, now = record.body, facts.body
    if _differ(then.system, now.system) or then.database != now.database:
        return (
            f"it was restored or copied: until {record.at} it was database {then.database} of cluster"
            f" {then.system}, here it is database {now.database} of cluster {now.system}"
        )
    if _differ(then.timeline, now.timeline) and now.timeline < then.timeline:
        return (
            f"this server follows timeline {now.timeline}, but on {record.at} the database had gone on to"
            f" {then.timeline}: another server was promoted meanwhile"
        )
    if record.mark > facts.mark:
        return (
            f"it was set back: it stands at mark {facts.mark} of {facts.marked_at.isoformat()}, but was seen"
            f" at {record.mark} of {record.at}"
        )
    if record.mark == facts.mark and record.word != str(facts.word):
        return f"another database has gone on under this name since {record.at}: a clone runs beside this one"
    if _differ(then.timeline, now.timeline) and not record.sync:
        return (
            f"a standby was promoted (timeline {then.timeline} to {now.timeline}) and replication was not"
            f" synchronous: what was committed last, after {record.at} or shortly before, may be missing"
        )
    return None


def _differ(then: int, now: int) -> bool:
    """Whether both are known and not the same."""
    return then != now and 0 not in (then, now)


def _hold(reason: str) -> Ruling:
    return Ruling(Step.HOLD, reason)


class Keeper:
    """The thread: looks, vouches, writes down outside how far the database has come."""

    def __init__(self, settings: Settings) -> None:
        self._witnesses = Witnesses(settings.home)
        self._db: Connection | None = None
        self._last: Record | None = None
        self._told: tuple[Step, str] | None = None
        self._closing, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def look_now(self) -> None:
        """Postgres may have started anew or be another server: nothing leaves it before somebody looked."""
        self._wake.set()

    def close(self, wait_s: float) -> None:
        """Look no more; at most ``wait_s``."""
        self._closing.set()
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(wait_s)

    def _run(self) -> None:
        pause, failed = 0.0, False
        while True:
            clock().wait(pause, self._wake)
            self._wake.clear()
            if self._closing.is_set():
                break
            try:
                pause = LOOK_S
                self._look(self._db or self._connect())
                failed = False
            except Exception as error:
                pause = _AGAIN_S if failed else 0.0  # a session that died with its server: a new one at once
                failed = True
                self._forget(error)
        if self._db is not None:
            self._db.close()

    def _look(self, db: Connection) -> None:
        seen = self._seen()  # before the database is asked
        with db.transaction():
            facts = ledger.facts(db)
            if facts is None:
                self._tell(Ruling(Step.HELD, _MISSING))
                return
            ruling = judge(facts, seen, self._copied_from(facts, seen))
            mark = ledger.advance(db) if ruling.step is Step.VOUCH else None
            if ruling.step is Step.HOLD:
                ledger.hold(db, ruling.reason)
        self._tell(ruling)
        if mark is not None:
            self._write(facts, mark)

    def _seen(self) -> Seen:
        """With what this process itself remembers, which outlives a lost file and a flushed Redis."""
        seen = self._witnesses.read()
        if self._last is None:
            return seen
        return Seen([*seen.home, self._last], seen.redis, seen.silent)

    def _copied_from(self, facts: Facts, seen: Seen) -> str | None:
        own = (record for record in seen.home if record.id == str(facts.id))
        return next((record.home for record in own if self._witnesses.is_copied(record)), None)

    def _write(self, facts: Facts, mark: Mark) -> None:
        home, inode = self._witnesses.place()
        self._last = Record(
            str(facts.id), mark.mark, str(mark.word), mark.marked_at.isoformat(), facts.system,
            facts.database, facts.timeline, facts.sync, home, inode,
        )  # fmt: skip
        self._witnesses.write(self._last)

    def _tell(self, ruling: Ruling) -> None:
        step = Step.HOLD if ruling.step is Step.HELD else ruling.step
        if self._told == (step, ruling.reason):
            return
        self._told = (step, ruling.reason)
        if step is Step.HOLD:
            emit(Event.INSTANCE_HELD, reason=ruling.reason)
        elif step is Step.WAIT:
            emit(Event.INSTANCE_UNKNOWN)
        else:
            emit(Event.INSTANCE_VOUCHED)

    def _connect(self) -> Connection:
        made = database.connect()
        made.autocommit = True
        self._db = made
        return made

    def _forget(self, error: Exception) -> None:
        """A new session next time. That Postgres is away is told by the tick."""
        if not database.is_transient(error):
            emit(Event.TICK_FAILED, error=f"looking at the instance: {error!r}"[:300])
        db, self._db = self._db, None
        if db is not None:
            db.close()
