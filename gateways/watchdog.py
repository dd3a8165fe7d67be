"""Ends a request at its total deadline by shutting its socket down.

`timeout=` of a socket counts each read by itself, so a server that drips one byte a second holds a thread
for ever (exactly-once section 1, row 30). One thread per process watches all sockets.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.clock import SystemClock


class Guard:
    """One watched socket. `fired` is final once `disarm` has returned."""

    __slots__ = ("_sock", "deadline", "fired")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock: socket.socket | None = sock
        self.deadline = deadline
        self.fired = False

    def _fire(self) -> None:
        if self._sock is None:
            return
        self.fired = True
        # The plain call, not SSLSocket.shutdown: that one drops the TLS layer first, and a writer in
        # another thread would then send its bytes unencrypted.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        self._sock = None


class Watchdog:
    """Deadlines in seconds of the machine's monotonic clock; never of a test's clock, since sockets are real.

    A disarmed guard stays in the heap until its deadline, so neither arming nor disarming wakes the thread
    (except for a deadline before all others).
    """

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Guard]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def arm(self, sock: socket.socket, after_s: float) -> Guard:
        """Shut `sock` down `after_s` seconds from now unless disarmed before."""
        guard = Guard(sock, self._clock.monotonic() + after_s)
        with self._changed:
            earliest = not self._heap or guard.deadline < self._heap[0][0]
            heapq.heappush(self._heap, (guard.deadline, next(self._order), guard))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="http-watchdog", daemon=True)
                self._thread.start()
            elif earliest:
                self._changed.notify()
        return guard

    def disarm(self, guard: Guard) -> bool:
        """After this the socket is left alone. True if the deadline had already struck."""
        with self._changed:
            guard._sock = None
        return guard.fired

    @contextmanager
    def watching(self, sock: socket.socket, after_s: float) -> Iterator[Guard]:
        """`arm` and `disarm` around a block."""
        guard = self.arm(sock, after_s)
        try:
            yield guard
        finally:
            self.disarm(guard)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = self._clock.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    heapq.heappop(self._heap)[2]._fire()
                self._changed.wait(self._heap[0][0] - now if self._heap else None)


_watchdog = Watchdog()


def watchdog() -> Watchdog:
    """This process's watchdog."""
    return _watchdog


def _after_fork() -> None:
    global _watchdog
    _watchdog = Watchdog()  # the thread stayed in the parent


os.register_at_fork(after_in_child=_after_fork)
