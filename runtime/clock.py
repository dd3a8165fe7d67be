"""The only place that asks the machine for the time or sleeps. Tests hold a lint on it."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

SHIFT_VARIABLE = "JEONGSI_CLOCK_SHIFT_S"


class Clock(Protocol):
    """What time it is, and waiting. Decisions about slots use the database's clock, not this one."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never steps."""
        ...

    def wait(self, seconds: float, event: threading.Event | None = None) -> bool:
        """Wait, at most until `event` is set; True if it is set. Zero or less returns at once."""
        ...


class SystemClock:
    """The machine's clock. `shift_s` moves the wall clock only, as a wrongly set host would have it."""

    def __init__(self, shift_s: float = 0.0) -> None:
        self._shift = timedelta(seconds=shift_s)

    @classmethod
    def from_environment(cls) -> SystemClock:
        """Reads JEONGSI_CLOCK_SHIFT_S, which only fault tests set. Raises ValueError if it is no number."""
        raw = os.environ.get(SHIFT_VARIABLE) or "0"
        try:
            return cls(float(raw))
        except ValueError:
            raise ValueError(f"{SHIFT_VARIABLE}={raw!r}: a number of seconds is needed, like -30") from None

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shift

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float, event: threading.Event | None = None) -> bool:
        if event is not None:
            return event.wait(max(0.0, seconds))
        if seconds > 0:
            time.sleep(seconds)
        return False


class ManualClock:
    """A clock that stands still until `advance`. `wait` advances it by itself, so loops under test end."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"{start.isoformat()} has no time zone, so it is no instant")
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0
        self._guard = threading.Lock()

    def now(self) -> datetime:
        with self._guard:
            return self._now

    def monotonic(self) -> float:
        with self._guard:
            return self._monotonic

    def advance(self, seconds: float) -> None:
        with self._guard:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds

    def wait(self, seconds: float, event: threading.Event | None = None) -> bool:
        if event is not None and event.is_set():
            return True
        self.advance(max(0.0, seconds))
        return False


_clock: Clock | None = None


def clock() -> Clock:
    """This process's clock: the machine's, unless a test set another."""
    global _clock
    if _clock is None:
        _clock = SystemClock.from_environment()
    return _clock


def set_clock(replacement: Clock | None) -> None:
    """Use another clock in this process; None goes back to the machine's."""
    global _clock
    _clock = replacement
