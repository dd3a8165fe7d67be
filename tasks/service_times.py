"""How long a send takes per channel, as this process measures it: what the size of a hint is chosen by."""

from __future__ import annotations

import threading

_WEIGHT = 0.2  # of the newest measurement
_FIRST_GUESS_S = 0.25  # before anything was measured: a thread starts four sends a second


class ServiceTimes:
    """A moving average per channel, in seconds."""

    def __init__(self) -> None:
        self._by_channel: dict[str, float] = {}
        self._guard = threading.Lock()

    def add(self, channel: str, seconds: float) -> None:
        """One more send took so long."""
        with self._guard:
            before = self._by_channel.get(channel, seconds)
            self._by_channel[channel] = before + _WEIGHT * (seconds - before)

    def starts_per_second(self) -> float:
        """Sends that one thread starts in a second, by the slowest channel: never promise too much."""
        with self._guard:
            slowest = max(self._by_channel.values(), default=_FIRST_GUESS_S)
        return 1.0 / max(slowest, 0.005)

    def in_ms(self) -> dict[str, float]:
        """Channel -> milliseconds, for the heartbeat."""
        with self._guard:
            return {channel: round(seconds * 1000, 1) for channel, seconds in self._by_channel.items()}
