"""Real processes for tests: started, waited for, killed for certain, and always reaped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from ops.local.identity import Identity
from ops.local.spawn import Order, spawn
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
START_S = 30.0


class TestProcess:
    """One child with its output in a file. It dies with the test process, whatever happens."""

    __test__ = False

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._child = spawn(
            Order(
                command, state=folder / f"{name}.json", log=self.log, cwd=ROOT, env=env,
                death_signal=signal.SIGKILL,
            )
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, condition: Callable[[], object], timeout: float = START_S) -> None:
        """Wait until the condition is true. Fails at once, with the output, if the process ends first."""

        def met() -> bool:
            done = bool(condition())
            if not done and not self.running:
                raise RuntimeError(f"{self.name} ended with {self._child.returncode}:\n{self.tail()}")
            return done

        eventually(
            met, timeout, message=lambda: f"{self.name} is not that far; its output ends:\n{self.tail()}"
        )

    def wait_for_line(self, text: str, timeout: float = START_S) -> None:
        """Wait until this text appears in the output."""
        self.wait_for(lambda: text in self.output, timeout)

    def kill9(self) -> None:
        """SIGKILL, proved: the process is reaped, its children are gone and signal 9 was the cause."""
        identity = Identity.of(self.pid)
        assert identity is not None, f"{self.name} had ended before it was killed:\n{self.tail()}"
        identity.kill()
        self.assert_died_by(signal.SIGKILL)

    def assert_died_by(self, number: signal.Signals, timeout: float = 10.0) -> None:
        """The process ended, or ends within `timeout`, by this very signal."""
        ended = self.wait(timeout)
        assert ended == -number, f"{self.name} ended with {ended}, not by {number.name}:\n{self.tail()}"

    def terminate(self, timeout: float = 10.0) -> int:
        """SIGTERM and wait; returns the exit status. Fails if it takes longer."""
        self._child.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 10.0) -> int:
        """The exit status (negative: the signal)."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout:g} s:\n{self.tail()}") from None

    def pause(self) -> None:
        """SIGSTOP: alive, but not running a single instruction."""
        self._child.send_signal(signal.SIGSTOP)

    def wait_until_it_stands_still(self) -> None:
        """Until it has stopped itself at a failpoint."""
        eventually(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def reap(self) -> None:
        identity = Identity.of(self.pid) if self.running else None
        if identity is not None:
            identity.kill()
        self._child.wait(10.0)

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.output.splitlines()[-lines:])


class Processes:
    """The processes of one test. `env` is what all of them get on top of the machine's environment."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.env = dict(env)
        self.started: list[TestProcess] = []

    def start(self, name: str, command: Sequence[str], **env: str) -> TestProcess:
        """Start any command. The name must be new within the test unless the former one ended."""
        number = sum(one.name.split(".")[0] == name for one in self.started)
        unique = f"{name}.{number}" if number else name
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        whole = inherited | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)} | self.env | env
        process = TestProcess(unique, command, whole, self.folder)
        self.started.append(process)
        return process

    def python(self, name: str, *arguments: str, **env: str) -> TestProcess:
        """`python …` with this interpreter."""
        return self.start(name, [sys.executable, *arguments], **env)

    def celery(self, name: str, *arguments: str, **env: str) -> TestProcess:
        """`celery -A workers …`, as anybody would run it."""
        return self.python(name, "-m", "celery", "-A", "workers", *arguments, **env)

    def worker(self, queues: str = "send", *arguments: str, wait: bool = True, **env: str) -> TestProcess:
        """A worker on these queues, ready to take messages."""
        name = f"worker-{queues.replace(',', '-')}"
        number = len(self.started)
        process = self.celery(
            name, "worker", "-Q", queues, "-n", f"{name}-{number}@%h", "-l", "INFO", *arguments, **env
        )
        if wait:
            process.wait_for_line(" ready.")
        return process

    def beat(self, *arguments: str, wait: bool = True, **env: str) -> TestProcess:
        """A beat that has begun to tick."""
        process = self.celery("beat", "beat", "-l", "INFO", *arguments, **env)
        if wait:
            process.wait_for_line("beat: Starting...")
        return process

    def reap(self) -> None:
        for process in self.started:
            process.reap()

    def report(self) -> str:
        """What the last lines of each say, for a failed test."""
        return "\n".join(f"--- {one.name} (pid {one.pid})\n{one.tail()}" for one in self.started)
