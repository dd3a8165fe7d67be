"""The faults from outside, drawn by seed, and when each of them struck."""

from __future__ import annotations

import base64
import contextlib
import heapq
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import redis
import requests

from ops.chaos.crew import Crew, Role, beat
from ops.chaos.edits import Editor
from ops.chaos.plan import LOOKUP_LAG_S, Size
from ops.chaos.world import World
from ops.emulator.faults import everyday_rates
from runtime.clock import clock

#: Faults that last: seconds, drawn from this span.
_SPANS = {"provider": (6.0, 12.0), "look-up": (3.0, 6.0), "four-beats": (6.0, 10.0)}
#: How likely each is, next to the others. What is not named comes by itself.
WEIGHTS = {
    "kill": 5, "stop": 7, "flushall": 2, "redis-killed": 1.2, "redis-paused": 1.2, "redis-swallowed": 4,
    "redis-cut": 2, "postgres-restarted": 1, "postgres-terminated": 2, "postgres-swallowed": 7,
    "postgres-cut": 2, "look-up": 1.5, "hints": 3, "four-beats": 1,
}  # fmt: skip
_COMMANDS = {
    "redis": (b"LPUSH", b"BRPOP", b"SET", b"EVAL", b"HSET"),
    "postgres": (b"slot_lease", b"part_ponr", b"part_evidence", b"slot_settle", b"slot_finish",
                 b"part_resolve", b"dispatch(", b"plan_slots", b"slot_renew", b"reap("),
}  # fmt: skip
_PROVIDER_SHARE = 0.06
_HURT = (psycopg.Error, redis.RedisError, requests.RequestException)
_GARBAGE: tuple[bytes, ...] = (
    b"", b"not json", b"{}", b'{"body": "!!", "headers": {}}', b"\xff\xfe\x00", b"[1, 2]", b"null",
)  # fmt: skip


@dataclass(frozen=True)
class Struck:
    """One fault: its name, when it began and ended, and what it met."""

    fault: str
    began: datetime
    ended: datetime
    detail: str = ""


class Storm:
    """Call `tick` often; it strikes when the time has come. What struck stands in ``struck``."""

    def __init__(
        self, world: World, crew: Crew, editor: Editor, size: Size, rng: random.Random, only: frozenset[str]
    ) -> None:
        self.struck: list[Struck] = []
        self._world, self._crew, self._editor, self._size, self._rng = world, crew, editor, size, rng
        self._only = only
        self._clock = clock()
        self._agenda: list[tuple[float, int, bool, Callable[[], None]]] = []
        self._order = itertools.count()
        self._away: list[Role] = []
        self._until = 0.0

    def begin(self) -> None:
        """From now on it storms, for as long as the size says."""
        now = self._clock.monotonic()
        self._until = now + self._size.storm_s
        if set(WEIGHTS) & self._only:
            self.later(self._rng.uniform(0, self._size.every_s), self._strike_any)
        if "provider" in self._only:
            self._provider(True)
            for n, fault in enumerate(("lost", "undelivered", "lost", "undelivered")):
                self.later(self._size.storm_s * (n + 1) / 5, lambda fault=fault: self._lie(fault))  # type: ignore[misc]
        if "edits" in self._only:
            self.later(1.0, self._edit)
        if "absent" in self._only and self._size.absent_s:
            self.later(self._size.storm_s * 0.55, self._leave)

    def tick(self) -> None:
        """Do what is due. What meets a server that another fault has just hurt is left out."""
        while self._agenda and self._agenda[0][0] <= self._clock.monotonic():
            *_, action = heapq.heappop(self._agenda)
            with contextlib.suppress(*_HURT):
                action()

    def end(self) -> None:
        """Every lasting fault is over, everybody is back; nothing strikes any more."""
        self._until = 0.0
        while self._agenda:
            *_, closing, action = heapq.heappop(self._agenda)
            if closing:
                action()
        self._world.script("faults", {"clear": True})
        self._world.script("settings", {"lookup_lag_s": 0.0})

    # -- drawing ----------------------------------------------------------------------------------

    def later(self, in_s: float, action: Callable[[], None], *, closing: bool = False) -> None:
        """Do this in so many seconds; ``closing``: at the latest when the storm ends."""
        heapq.heappush(self._agenda, (self._clock.monotonic() + in_s, next(self._order), closing, action))

    def _strike_any(self) -> None:
        if self._clock.monotonic() >= self._until:
            return
        names = [name for name in WEIGHTS if name in self._only]
        fault = self._rng.choices(names, [WEIGHTS[name] for name in names])[0]
        began = self._clock.now()
        self.later(self._rng.expovariate(1 / self._size.every_s), self._strike_any)
        detail = STRIKES[fault](self)
        if detail is not None:
            self._note(fault, began, detail)

    def _note(self, fault: str, began: datetime, detail: str = "") -> None:
        self.struck.append(Struck(fault, began, self._clock.now(), detail))

    # -- processes --------------------------------------------------------------------------------

    def _anyone(self) -> str:
        return self._rng.choice(self._crew.members)

    def kill(self) -> str:
        member = self._anyone()
        self._crew.kill(member)
        return member

    def stop(self) -> str | None:
        member = self._anyone()
        return member if self._crew.stop(member) else None

    def four_beats(self) -> str | None:
        extra = [f"beat-{n}" for n in (3, 4)]
        if set(extra) & set(self._crew.members):
            return None
        for member in extra:
            self._crew.add(beat(member))
        self.later(self._span("four-beats"), lambda: self._two_beats(extra), closing=True)
        return "2 more"

    def _two_beats(self, extra: list[str]) -> None:
        for member in extra:
            if member in self._crew.members:
                self._crew.dismiss(member)

    def _leave(self) -> None:
        began = self._clock.now()
        self._away = [self._crew.dismiss(member) for member in self._crew.of_kind("send")]
        self.later(self._size.absent_s, lambda: self._return(began), closing=True)

    def _return(self, began: datetime) -> None:
        for role in self._away:
            self._crew.add(role)
        self._away = []
        self._note("absent", began, f"{self._size.absent_s:g} s")

    def _span(self, fault: str) -> float:
        return self._rng.uniform(*_SPANS[fault])

    # -- Redis ------------------------------------------------------------------------------------

    def flushall(self) -> str:
        with self._world.redis() as client:
            client.flushall()
        return ""

    def redis_killed(self) -> str:
        self._world.empty_redis()
        return ""

    def redis_paused(self) -> str:
        with self._world.redis() as client:
            client.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        return "2 s"

    def redis_swallowed(self) -> str:
        command = self._rng.choice(_COMMANDS["redis"])
        self._world.redis_proxy.swallow_reply_to(command)
        return command.decode()

    def redis_cut(self) -> str:
        self._world.redis_proxy.cut()
        return ""

    # -- Postgres ---------------------------------------------------------------------------------

    def postgres_restarted(self) -> str:
        self._world.postgres.restart_immediate()
        return ""

    def postgres_terminated(self) -> str:
        with self._world.connect() as db:
            row = db.execute(
                "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name LIKE 'jeongsi %%' AND random() < 0.34"
            ).fetchone()
        return f"{row[0] if row else 0} sessions"

    def postgres_swallowed(self) -> str:
        command = self._rng.choice(_COMMANDS["postgres"])
        self._world.ledger_proxy.swallow_reply_to(command)
        return command.decode().rstrip("(")

    def postgres_cut(self) -> str:
        self._world.ledger_proxy.cut()
        return ""

    # -- provider, hints, edits -------------------------------------------------------------------

    def _provider(self, bad: bool) -> None:
        """Bad weather at the provider, then fair for a while, and so on."""
        if self._clock.monotonic() < self._until:
            self.later(self._span("provider"), lambda: self._provider(not bad))
        rates = everyday_rates(_PROVIDER_SHARE) | {"4xx": 0.002} if bad else {}
        self._world.script("faults", {"rates": {**rates, "lookup_down": 0.05 if bad else 0.0}})
        self._note("provider", self._clock.now(), "bad" if bad else "fair")

    def _lie(self, fault: str) -> None:
        """Said to be accepted, and never delivered: only a look-up can tell, so only where there is one."""
        rules = [{"fault": fault, "channel": f"emulator-{kind}", "count": 2} for kind in ("key", "lookup")]
        self._world.script("faults", {"rules": rules})
        self._note("provider", self._clock.now(), fault)

    def look_up(self) -> str:
        if self._rng.random() < 0.5:
            self._world.script("settings", {"lookup_lag_s": LOOKUP_LAG_S})
            self.later(
                self._span("look-up"), lambda: self._world.script("settings", {"lookup_lag_s": 0.0}),
                closing=True,
            )  # fmt: skip
            return f"lags {LOOKUP_LAG_S:g} s"
        rules = [{"fault": "lookup_down", "count": 30}]
        self._world.script("faults", {"rules": rules})
        return "down for 30 requests"

    def hints(self) -> str:
        """What lies in the queues is there three times, and nonsense beside it."""
        with self._world.redis() as client, self._world.connect() as db:
            rows = db.execute(
                "SELECT slot_public_id(schedule_id, slot_at) FROM slots"
                " WHERE slot_at > now() - interval '30 s' ORDER BY random() LIMIT 40"
            ).fetchall()
            for queue in ("send", "confirm"):
                bodies = [foreign_hint(queue, [slot]) for (slot,) in rows for _ in range(3)]
                bodies += [foreign_hint(queue, ["1-1", "x", "9" * 40]), *_GARBAGE]
                client.lpush(queue, *bodies)
        return f"{len(rows)} slots tripled"

    def _edit(self) -> None:
        if self._clock.monotonic() >= self._until:
            return
        self.later(0.1, self._edit)
        with self._world.connect() as db:
            for began, what in self._editor.tick(db):
                self._note("edits", began, what)


def foreign_hint(queue: str, slots: list[str]) -> bytes:
    """A Celery message as some other program might push it."""
    args: list[Any] = [[{"v": 1, "slots": slots}], {}, {}]
    headers = {"task": f"jeongsi.slot.{queue}", "id": f"foreign-{random.getrandbits(60):x}", "lang": "py"}
    properties = {
        "correlation_id": headers["id"], "delivery_tag": headers["id"], "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": queue},
    }  # fmt: skip
    body = base64.b64encode(json.dumps(args).encode()).decode()
    message = {
        "body": body, "content-type": "application/json", "content-encoding": "utf-8", "headers": headers,
        "properties": properties,
    }  # fmt: skip
    return json.dumps(message).encode()


STRIKES: dict[str, Callable[[Storm], str | None]] = {
    "kill": Storm.kill, "stop": Storm.stop, "four-beats": Storm.four_beats, "flushall": Storm.flushall,
    "redis-killed": Storm.redis_killed, "redis-paused": Storm.redis_paused,
    "redis-swallowed": Storm.redis_swallowed, "redis-cut": Storm.redis_cut,
    "postgres-restarted": Storm.postgres_restarted, "postgres-terminated": Storm.postgres_terminated,
    "postgres-swallowed": Storm.postgres_swallowed, "postgres-cut": Storm.postgres_cut,
    "look-up": Storm.look_up, "hints": Storm.hints,
}  # fmt: skip
