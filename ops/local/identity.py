"""Which process is meant: a pid and when it started, because a pid alone is soon somebody else's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ops.local.launch import start_mark
from runtime.clock import SystemClock

POLL_S = 0.01
_CLOCK = SystemClock()  # processes die in real time, whatever clock a test has set


@dataclass(frozen=True)
class Identity:
    """One process for ever. A zombie counts as dead: it serves nobody."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this pid now; None if there is none."""
        mark = start_mark(pid)
        return None if mark is None else cls(pid, mark)

    @property
    def alive(self) -> bool:
        return start_mark(self.pid) == self.started

    def signal(self, number: int) -> bool:
        """Signal this process only if it is still the same one; False if it is gone."""
        if not self.alive:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    def descendants(self) -> list[Identity]:
        """All its children and theirs, wherever they moved: Postgres puts each into a session of its own."""
        if not self.alive:
            return []
        with contextlib.suppress(psutil.Error):
            found = [Identity.of(child.pid) for child in psutil.Process(self.pid).children(recursive=True)]
            return [child for child in found if child is not None]
        return []

    def wait_gone(self, timeout: float) -> bool:
        """Wait until it is dead, `timeout` seconds at most; False if it still lives."""
        end = _CLOCK.monotonic() + timeout
        while self.alive:
            if _CLOCK.monotonic() >= end:
                return False
            _CLOCK.wait(POLL_S)
        return True

    def kill(self) -> None:
        """SIGKILL it and all its descendants, and wait until the kernel has taken them away."""
        family = [self, *self.descendants()]
        for member in family:
            member.signal(signal.SIGKILL)
        for member in family:
            if not member.wait_gone(10.0):
                raise TimeoutError(f"process {member.pid} does not die of SIGKILL; it hangs in the kernel")

    def end(self, gentle: int, timeout: float) -> None:
        """Ask with the `gentle` signal, wait, then kill."""
        if self.signal(gentle) and self.wait_gone(timeout):
            return
        self.kill()


def read_state(path: Path) -> dict[str, Any]:
    """What a child noted of itself; empty if there is no such file or it is no note of ours."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def noted(path: Path) -> Identity | None:
    """The process a state file speaks of, if that very process still runs."""
    state = read_state(path)
    if not isinstance(state.get("pid"), int) or not isinstance(state.get("started"), str):
        return None
    one = Identity(state["pid"], state["started"])
    return one if one.alive else None
