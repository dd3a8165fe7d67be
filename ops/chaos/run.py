"""One run from its first server to its report: calm, storm, drain, everything anew, judgement."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from models import queries
from ops.audit.report import Violation
from ops.chaos import facts
from ops.chaos.book import Book
from ops.chaos.controls import Control
from ops.chaos.coverage import Coverage
from ops.chaos.crew import Crew, Life, Role, standing_crew
from ops.chaos.edits import Editor
from ops.chaos.judge import Course, judge
from ops.chaos.load import Load, ledger_now
from ops.chaos.plan import FAULTS, GRACE_S, LEASE_S, SCALED, SETTLE_S, STOP_LEASES, VALIDITY_S, Size
from ops.chaos.report import Outcome
from ops.chaos.storm import Storm, foreign_hint
from ops.chaos.world import World
from runtime import redis_keys
from runtime.clock import clock
from runtime.settings import get_settings

_LOOK_S = 0.04
_READY_S = 60.0
#: Nothing may live longer than this after the last instant (I3).
DRAIN_S = VALIDITY_S + 2 * SETTLE_S + 12
_ANEW_S = 6.0
#: Of the old hints, so many slots are told three times, the others once.
_TRIPLED = 1000


@dataclass
class Options:
    """What to run. ``only``: the faults that strike."""

    size: Size
    seed: int
    home: Path
    only: frozenset[str] = frozenset(FAULTS)
    say: Callable[[str], None] = print
    control: Control | None = None
    """A system with one rule taken out, in place of the real one."""


class Run:
    """Everything that belongs to one run. `whole` does it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.rng = random.Random(options.seed)
        self.world = World(options.home, options.seed)
        self.book = Book(GRACE_S)
        self.load = Load(options.size, self._rng("load"), self.book)
        self.coverage = Coverage(
            options.home / "work" / "failpoints.jsonl",
            self._rng("points"),
            options.size.hits,
            options.size.life_s,
            options.control.points if options.control else (),
        )
        self.clock = clock()
        self.violations: list[Violation] = []
        self.storming = False
        self.deaths: list[Life] = []
        self._db: psycopg.Connection[Any] | None = None
        self._sampled = self._told = 0.0

    def whole(self) -> Outcome:
        """Run, judge, answer. Everything that was started is gone afterwards."""
        began = self.clock.monotonic()
        try:
            self.world.start()
            self._become_a_judge()
            control = self.options.control
            if control is not None and control.prepare is not None:
                with self.world.connect() as db:
                    control.prepare(db)
            self.crew = Crew(self.world.environment(), self.world.home / "members", self._rules, self._stop_s)
            for role in control.crew if control else standing_crew("clock" in self.options.only):
                self.crew.add(role)
            self._stages()
            self._say("judging")
            outcome = judge(self._course())
            outcome.wall_s = round(self.clock.monotonic() - began, 1)
            return outcome
        finally:
            if hasattr(self, "crew"):
                self.crew.close()
            self.world.close()

    # -- stages -----------------------------------------------------------------------------------

    def _stages(self) -> None:
        size = self.options.size
        editor = Editor(self.book, self._rng("edits"))
        self.storm = Storm(self.world, self.crew, editor, size, self._rng("storm"), self.options.only)
        with self.world.connect() as db:
            self.load.lay_rooms(db)
            self._until(_READY_S, lambda: self._all_ready(db), "the crew is ready")
            self.start = ledger_now(db)
        self.load.begin(self.start)
        self._say(f"seed {self.options.seed}: {size.slots} slots and more, calm for {size.calm_s:g} s")
        self._for(size.calm_s)
        self.calm_until = self.clock.now()
        self._say(f"it storms for {size.storm_s:g} s")
        self.storming = True
        self.storm.begin()
        if self.options.control is not None:
            self.world.script("faults", {"rates": dict(self.options.control.rates)})
            self.world.script("settings", {"slow_s": self.options.control.slow_s})
        if "failpoints" in self.options.only:
            self._arm()
        self._for(size.storm_s)
        self.storming = False
        self.storm.end()
        self._disarm()
        self.storm_ended = self.clock.now()
        self._say("the storm is over; what lives on must end")
        self._until(DRAIN_S, self._nothing_lives, "every slot has ended", needed=False)
        self.drained = self.clock.now()
        with self.world.connect() as db:
            self.ended_before = facts.terminal_rows(db)
            self.last_slot = ledger_now(db)
        if self.options.control is None:
            self._anew()

    def _anew(self) -> None:
        """I18: kill all, restart Postgres as after a power cut, empty Redis, push old hints again."""
        self._say(f"everything is killed and started anew; {len(self.ended_before)} slots have ended")
        self.crew.replace_all()
        self.world.postgres.restart_immediate()
        self._db = None
        self.world.empty_redis()
        old = list(self.ended_before)
        with self.world.redis() as client:
            for queue in ("send", "confirm"):
                for slots in (old, old[-_TRIPLED:], old[-_TRIPLED:]):
                    chunks = [slots[start : start + 50] for start in range(0, len(slots), 50)]
                    client.lpush(queue, *(foreign_hint(queue, chunk) for chunk in chunks))
        with self.world.connect() as db:
            self._until(_READY_S, lambda: self._all_ready(db), "the crew is ready again")
            with self.world.redis() as client:
                self._until(
                    180.0,
                    lambda: client.llen("send") + client.llen("confirm") == 0,
                    "old hints are read",
                )
            self._for(_ANEW_S)

    # -- the loop ---------------------------------------------------------------------------------

    def _for(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self._look()

    def _until(self, seconds: float, condition: Callable[[], object], what: str, needed: bool = True) -> None:
        end = self.clock.monotonic() + seconds
        while not condition():
            if self.clock.monotonic() > end:
                if needed:
                    raise RuntimeError(f"not within {seconds:g} s: {what}")
                self._say(f"not within {seconds:g} s: {what}")
                return
            self._look()

    def _look(self) -> None:
        self.clock.wait(_LOOK_S)
        self.coverage.look()
        self.deaths += [life for life in self.crew.look() if life.killed]
        if self.storming:
            self.storm.tick()
        try:
            db = self._connection()
            self.load.tick(db, self.clock.now())
            if self.clock.monotonic() - self._sampled > 1.0:
                self._sampled = self.clock.monotonic()
                self._sample(db)
        except psycopg.Error:
            self._db = None  # a fault of ours hit this session, too

    def _connection(self) -> psycopg.Connection[Any]:
        if self._db is None or self._db.closed:
            self._db = self.world.connect()
        return self._db

    def _sample(self, db: psycopg.Connection[Any]) -> None:
        """I15, and now and then a word to whoever watches."""
        rows = db.execute(
            "SELECT slot_public_id(schedule_id, slot_at), lease_until FROM slots WHERE state = 'leased'"
            " AND lease_until < (SELECT max(last_tick_at) FROM beat_pulse) - interval '5 s'"
        ).fetchall()
        self.violations += [Violation("I15", f"slot {slot}: leased until {until}") for slot, until in rows]
        if self.clock.monotonic() - self._told > 10.0:
            self._told = self.clock.monotonic()
            counts = queries.state_counts(db, self.start if hasattr(self, "start") else None)
            told = ", ".join(f"{n} {state.value}" for state, n in counts.items() if n)
            lacking = len(self.coverage.missing())
            self._say(f"{told or 'nothing yet'}; {len(self.deaths)} kills; {lacking} points lack hits")

    # -- small things -----------------------------------------------------------------------------

    def _rng(self, name: str) -> random.Random:
        return random.Random(f"{self.options.seed}:{name}")

    def _rules(self, role: Role) -> str:
        armed = self.storming and "failpoints" in self.options.only
        return self.coverage.rules(role) if armed else ""

    def _stop_s(self) -> float:
        return self.rng.uniform(*STOP_LEASES) * LEASE_S

    def _arm(self) -> None:
        """Processes read their failpoints at their start, so each is killed once, one after the other."""
        for n, member in enumerate(self.crew.members):
            self.storm.later(n * 0.7, lambda member=member: self.crew.kill(member))  # type: ignore[misc]

    def _disarm(self) -> None:
        """The same when the storm is over: from then on nobody dies any more."""
        for member in self.crew.members:
            self.crew.kill(member)
            self._for(0.7)

    def _all_ready(self, db: psycopg.Connection[Any]) -> bool:
        beats = db.execute(
            "SELECT count(*) FROM beat_pulse WHERE last_tick_at > ledger_now() - interval '2 s'"
        ).fetchone()
        if beats is None or beats[0] < len(self.crew.of_kind("beat")):
            return False
        return all(
            self._heard(kind) >= {self.crew.pid(member) for member in self.crew.of_kind(kind)}
            for kind in ("send", "confirm")
        )

    def _heard(self, queue: str) -> set[int]:
        """The worker processes that have told Redis that they live."""
        with self.world.redis() as client:
            nodes: Any = client.hkeys(redis_keys.workers(queue))
        return {int(node.rpartition(b":")[2]) for node in nodes}

    def _nothing_lives(self) -> bool:
        """Every instant is past (an edit may have moved the last ones), planned, and its slot has ended."""
        if self.load.last is None or self.clock.now() < self.load.last + dt.timedelta(seconds=4):
            return False
        row = (
            self._connection()
            .execute(
                "SELECT (SELECT count(*) FROM slots WHERE ended_at IS NULL)"
                " + (SELECT count(*) FROM schedule_clock WHERE due_at < ledger_now())"
            )
            .fetchone()
        )
        return row is not None and row[0] == 0

    def _become_a_judge(self) -> None:
        """`ops.audit` reads this process's settings: they must be those of the run."""
        os.environ.update(SCALED | {"JEONGSI_HOME": str(self.world.home / "work"), "ENVIRONMENT": "testing"})
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = self.world.postgres.url, self.world.valkey.url
        get_settings.cache_clear()

    def _say(self, sentence: str) -> None:
        self.options.say(f"{self.clock.now():%H:%M:%S}  {sentence}")

    def _course(self) -> Course:
        return Course(
            size=self.options.size.name, seed=self.options.seed, world=self.world, book=self.book,
            lives=self.crew.lives, struck=self.storm.struck, hits=dict(self.coverage.hits), start=self.start,
            calm_until=self.calm_until, storm_ended=self.storm_ended, drained=self.drained,
            last_slot=self.last_slot, ended_before=self.ended_before, violations=self.violations,
        )  # fmt: skip
