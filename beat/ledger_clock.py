"""The ledger's time as this process knows it: its own monotonic clock plus an offset with an error bound.

A sample is one round trip: the database read its clock somewhere between question and answer, so the
offset lies in an interval. Intervals of several samples are cut with each other. What is pushed ahead
goes out when even the lowest offset has reached the slot's time: never early by the database's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from runtime.clock import Clock
from runtime.clock import clock as host_clock
from runtime.events import Event, emit

JUMP_S = 2.0  # more than this against our monotonic clock, and nothing is pushed ahead for FREEZE_S
FREEZE_S = 30.0
STEP_S = 0.01  # less than this is the two clocks drifting apart
_DRIFT = 500e-6  # how fast two good clocks part, or are slewed, per second
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LedgerClock:
    """Offset of the database's clock against our monotonic one, in seconds, between two bounds."""

    def __init__(self, host: Clock | None = None) -> None:
        self._host = host or host_clock()
        self._low = float("-inf")
        self._high = float("inf")
        self._sampled_at = self._host.monotonic()
        self._frozen_until = float("-inf")
        self.jumped_s: float | None = None  # the last jump, until whoever tells of it takes it away

    @property
    def known(self) -> bool:
        """Whether any sample was taken."""
        return self._low > float("-inf")

    @property
    def error_s(self) -> float:
        """How far a push may come after the slot's time because of what we do not know."""
        return self._high - self._low

    @property
    def frozen(self) -> bool:
        """Whether the database's clock jumped lately: then nothing is prepared ahead."""
        return not self.known or self._host.monotonic() < self._frozen_until

    def sample(self, ask: Callable[[], datetime]) -> bool:
        """Ask the database for its time. False if its clock stepped: whatever waits for a time is void."""
        asked = self._host.monotonic()
        told = (ask() - _EPOCH) / timedelta(seconds=1)
        return self.learn(told - self._host.monotonic(), told - asked)

    def learn(self, low: float, high: float) -> bool:
        """The offset lies between these. False if that contradicts what was known by more than STEP_S."""
        now = self._host.monotonic()
        slack = (now - self._sampled_at) * _DRIFT
        self._sampled_at = now
        was_low, was_high = self._low - slack, self._high + slack
        if low <= was_high and high >= was_low:
            self._low, self._high = max(low, was_low), min(high, was_high)
            return True
        self._low, self._high = low, high
        jump = low - was_high if low > was_high else high - was_low
        if abs(jump) > JUMP_S:
            self._frozen_until = now + FREEZE_S
            self.jumped_s = round(jump, 3)
            emit(Event.CLOCK_JUMPED, jump_s=round(jump, 3), freeze_s=FREEZE_S)
        return abs(jump) <= STEP_S

    def push_at(self, at: datetime) -> float:
        """When, on our monotonic clock, the database's clock has reached ``at`` for certain."""
        return (at - _EPOCH) / timedelta(seconds=1) - self._low
