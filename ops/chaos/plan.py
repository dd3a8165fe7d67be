"""How large a run is, which durations are scaled, and which faults there are."""

from __future__ import annotations

from dataclasses import dataclass

#: Every process of a run gets these. A try lasts 0.8 s at most; a stopped writer (1.5 × the
#: lease), a provider that takes its time (1.2 s) and its lagging look-up (0.5 s) together end well before
#: absence is believed (5 s).
SCALED = {
    "JEONGSI_HTTP_DEADLINE_S": "0.8",
    "JEONGSI_PONR_LEASE_S": "1.6",
    "JEONGSI_SETTLE_S": "5.0",
    "JEONGSI_FIRST_LOOKUP_S": "0.5",
    "JEONGSI_LEASE_S": "1.0",
    "JEONGSI_LOCK_TTL_S": "0.8",
    "JEONGSI_RENEW_S": "0.3",
    "JEONGSI_RETRY_DELAYS_S": "1.0,1.5,2.0,3.0",
    "JEONGSI_FAST_DELAYS_S": "0.1,0.2,0.5,1.0",
    "JEONGSI_REDIS_GONE_S": "1.0",
    "JEONGSI_IRIS_READ_BACK_S": "0.3",
    "JEONGSI_GRACE_S": "10",
    "JEONGSI_VALIDITY_MAX_S": "40",
    "JEONGSI_VALIDITY_MIN_S": "8",
    "JEONGSI_REPUBLISH_S": "1.5",
    "JEONGSI_REPUBLISH_PREPARED_S": "0.5",
    "JEONGSI_HORIZON_S": "20",
    "JEONGSI_TICK_MAX_S": "0.5",
}
GRACE_S, VALIDITY_S = 10, 40
LEASE_S, SETTLE_S = 1.0, 5.0
#: A stopped process lies still for so many leases.
STOP_LEASES = (0.5, 1.5)
#: The wait of a slow provider, and how long its look-up does not see what has arrived.
SLOW_S, LOOKUP_LAG_S = 1.2, 0.5

#: Fault -> what it does. `--only` takes these names.
FAULTS: dict[str, str] = {
    "failpoints": "workers and beats die and stop at every failpoint of theirs",
    "kill": "kill -9 of any worker or beat, from outside, at any moment",
    "stop": "SIGSTOP of any worker or beat for 0.5 to 1.5 leases, then SIGCONT",
    "flushall": "Redis forgets everything",
    "redis-killed": "Redis dies by signal 9 and comes back empty on its port",
    "redis-paused": "Redis answers nothing for two seconds (CLIENT PAUSE)",
    "redis-swallowed": "Redis does as it is told, and its reply is lost (LPUSH, BRPOP, SET, EVAL)",
    "redis-cut": "every connection to Redis breaks",
    "postgres-restarted": "Postgres stops as in a power cut (-m immediate) and recovers",
    "postgres-terminated": "a third of all sessions is terminated by pg_terminate_backend",
    "postgres-swallowed": "the database commits, and its reply is lost (lease, point of no return, evidence, "
    "settle, dispatch, plan)",
    "postgres-cut": "every connection to Postgres breaks",
    "provider": "every fault of the emulator: 429, 500 before and after the effect, drop, reset, drip, slow",
    "look-up": "look-ups are down, or lag behind what has arrived",
    "hints": "hints are tripled, and foreign and broken messages lie in the queues",
    "edits": "edits, pauses, deletes and moves by raw SQL within 200 ms of a slot's time",
    "four-beats": "two more beats run for a while",
    "absent": "all send workers are away for four times the grace, then back",
    "clock": "one worker's and one beat's own clock is five minutes off",
}


@dataclass(frozen=True)
class Size:
    """How much is promised and how long it storms; seconds, and slots a second."""

    name: str
    calm_s: float
    storm_s: float
    rate: float
    rooms: int
    every_s: float
    """A fault from outside, on average."""
    life_s: float
    """How long a process lives, on average, before it dies at a failpoint."""
    hits: int
    """How often each failpoint shall be hit; 0: as it comes."""
    absent_s: float

    @property
    def slots(self) -> int:
        """What the steady part of the load comes to."""
        return int((self.calm_s + self.storm_s) * self.rate)


SIZES = {
    "short": Size("short", 8, 40, 14, 120, every_s=1.5, life_s=15, hits=0, absent_s=0),
    "default": Size("default", 12, 150, 18, 250, every_s=1.5, life_s=25, hits=2, absent_s=40),
    "long": Size("long", 20, 820, 24, 400, every_s=1.8, life_s=32, hits=20, absent_s=40),
}
