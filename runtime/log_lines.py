"""Log lines of a busy process leave in batches, on a thread of their own.

A line written by the thread that says it costs a system call under the handler's lock: with 64 threads
sending, that was 170 of 1,000 µs of a worker's CPU per message, and most of it was waiting for each other.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque

from runtime.clock import SystemClock

GATHER_S = 0.02
#: So many lines wait at most; beyond, whoever says one writes them all out and so waits for a slow reader.
MOST_WAITING = 10_000


class InBatches(logging.Handler):
    """Stands in front of ``to``: collects records for 20 ms, then writes their lines in one piece.

    Errors, the end of the process and a full queue write at once. A process killed by signal 9 loses the
    lines of its last 20 ms. ``to``'s formatter is taken over, so its lines look as before.
    """

    def __init__(self, to: logging.Handler) -> None:
        super().__init__(to.level)
        self.formatter = to.formatter
        to.setFormatter(logging.Formatter("%(message)s"))
        self._to = to
        self._waiting: deque[logging.LogRecord] = deque()
        self._ending = threading.Event()
        self._start()

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """None: appending to a deque needs no lock, and this one is what threads waited for."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Let a record wait for its batch."""
        if self._pid != os.getpid():
            self._start()
        if record.args:
            record.msg, record.args = record.getMessage(), None  # what they name may change until then
        self._waiting.append(record)
        if record.levelno >= logging.ERROR or len(self._waiting) > MOST_WAITING:
            self.flush()
        elif not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Write what waits; returns when it is written."""
        with self._writing:
            lines = []
            for _ in range(len(self._waiting)):
                record = self._waiting.popleft()
                try:
                    lines.append(self.format(record))
                except Exception:
                    self.handleError(record)
            if lines:
                self._to.handle(logging.makeLogRecord({"msg": "\n".join(lines), "levelno": self.level}))

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._ending.set()
        self._some.set()
        self.flush()
        self._to.close()
        super().close()

    def _start(self) -> None:
        """The thread of this process; after a fork it is missing."""
        self._pid = os.getpid()
        self._some, self._writing = threading.Event(), threading.Lock()
        threading.Thread(target=self._run, name="log-lines", daemon=True).start()

    def _run(self) -> None:
        clock = SystemClock()
        while not self._ending.is_set():
            self._some.wait()
            clock.wait(GATHER_S, self._ending)
            self._some.clear()
            self.flush()
