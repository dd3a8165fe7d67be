"""Child processes that are kept running: restarted when they die, stopped in order, never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.local.identity import Identity, noted
from ops.local.spawn import Order, spawn
from runtime.clock import clock

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 30.0  # having run this long, a child's earlier deaths are forgiven
LEFTOVER_S = 5.0
LOG_BYTES = 20 * 1024 * 1024
_POLL_S = 0.02


@dataclass(frozen=True)
class Plan:
    """What to run. `name` is unique within one home: it names the log and the state file.

    `env` is the whole environment (None: this process's). `stop_signal` asks for a graceful end, which
    may take `stop_s` seconds before SIGKILL. With `restart` False a death is only reported.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] | None = None
    cwd: Path = field(default_factory=Path.cwd)
    restart: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 8.0


class Child:
    """One supervised process in its own session, with its output in a log file.

    If this process is killed, the kernel sends the child its stop signal (Linux), and the next `start`
    under the same name stops whatever is left. Start and check it from a thread that lives as long as
    the process: the kernel takes the end of the starting thread for the parent's death.
    """

    def __init__(self, plan: Plan, *, state_folder: Path, log_folder: Path) -> None:
        self.plan = plan
        self.log = log_folder / f"{plan.name}.log"
        self._state = state_folder / f"{plan.name}.json"
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._again_at: float | None = None
        self.restarts = 0
        self.last_status: int | None = None

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        """Start it, after stopping what an earlier run left under this name."""
        if self.running:
            return
        self.stop_leftover()
        for folder in (self._state.parent, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._child = spawn(
            Order(
                self.plan.command, state=self._state, log=self.log, cwd=self.plan.cwd, env=self.plan.env,
                death_signal=self.plan.stop_signal,
            )
        )  # fmt: skip
        self._started_at = clock().monotonic()
        self._again_at = None

    def check(self) -> str | None:
        """See to it: notice a death, start again when the back-off is over. Never waits.

        Returns a sentence when something happened, None otherwise. Call it every second or so.
        """
        now = clock().monotonic()
        if self._again_at is not None:
            if now < self._again_at:
                return None
            self.restarts += 1
            self.start()
            return f"{self.name} was started again"
        if self._child is None or self._child.poll() is None:
            return None
        self.last_status = self._child.returncode
        self._child = None
        if not self.plan.restart:
            return f"{self.name} ended {_in_words(self.last_status)}"
        self._deaths = 1 if now - self._started_at > STEADY_S else self._deaths + 1
        delay = BACKOFF_S[min(self._deaths, len(BACKOFF_S)) - 1]
        self._again_at = now + delay
        return f"{self.name} ended {_in_words(self.last_status)}; starting it again in {delay:g} s"

    def ask_to_stop(self) -> None:
        """Send the stop signal and do not wait; it will not be started again."""
        self._again_at = None
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(self.plan.stop_signal)

    def stop(self, timeout: float | None = None) -> None:
        """Ask it to stop, wait (`stop_s` unless said otherwise), then kill it and all its children."""
        self.ask_to_stop()
        if self._child is None:
            return
        try:
            self.last_status = self._child.wait(self.plan.stop_s if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._child = None

    def kill(self) -> None:
        """SIGKILL it and all its children, now; `check` will start it again if the plan says so."""
        identity = Identity.of(self._child.pid) if self._child is not None else None
        if self._child is None or identity is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGSTOP)  # so that none of them starts another meanwhile
        identity.kill()
        self.last_status = self._child.wait(10.0)

    def stop_leftover(self) -> bool:
        """Stop the process that a killed run left under this name; True if there was one."""
        left = noted(self._state)
        if left is None or (self._child is not None and left.pid == self._child.pid):
            return False
        left.end(self.plan.stop_signal, LEFTOVER_S)
        return True

    def wait_for(self, ready: Callable[[], object], timeout: float) -> bool:
        """Wait until `ready()` is true; False if the process ends first or `timeout` seconds pass."""
        end = clock().monotonic() + timeout
        while self.running and clock().monotonic() < end:
            if ready():
                return True
            clock().wait(_POLL_S)
        return bool(self.running and ready())

    def tail(self, lines: int = 20) -> str:
        """The last lines of its output."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 64 * 1024))
                return "\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def stop_all(children: Iterable[Child], timeout: float | None = None) -> None:
    """Ask all to stop at once, then wait for each: the whole takes as long as the slowest."""
    asked = list(children)
    for child in asked:
        child.ask_to_stop()
    end = None if timeout is None else clock().monotonic() + timeout
    for child in asked:
        child.stop(None if end is None else max(0.0, end - clock().monotonic()))


def _in_words(status: int) -> str:
    return f"with status {status}" if status >= 0 else f"by signal {-status} ({signal.strsignal(-status)})"
