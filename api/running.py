"""Start and stop this installation's own processes from a script (A27, A28): plain Celery, nothing hidden."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from models.queries.health import health
from runtime import database
from runtime.clock import clock

_ROOT = Path(__file__).parent.parent
_CELERY = (sys.executable, "-m", "celery", "-A", "workers")
COMMANDS = (
    (*_CELERY, "worker", "-Q", "send", "-n", "send-script@%h", "--without-gossip", "--without-mingle"),
    (*_CELERY, "worker", "-Q", "confirm,upkeep,enqueue,notify", "-n", "confirm-script@%h",
     "--without-gossip", "--without-mingle"),
    (*_CELERY, "beat", "--pidfile="),
)  # fmt: skip
READY_S = 30.0
STOP_S = 25.0


class NotStarted(RuntimeError):
    """The processes did not come up; the message says what to look at."""


class Processes:
    """A beat and two workers that one script started; nothing if others run already."""

    def __init__(self) -> None:
        self._children: list[asyncio.subprocess.Process] = []

    async def start(self) -> bool:
        """Start them and return when the beat ticks. False: they run already, and are left alone.

        Raises NotStarted.
        """
        if await running():
            return False
        for command in COMMANDS:
            self._children.append(await asyncio.create_subprocess_exec(*command, cwd=_ROOT))
        until = clock().monotonic() + READY_S
        while not await running():
            ended = [child for child in self._children if child.returncode is not None]
            if ended or clock().monotonic() > until:
                await self.stop()
                why = (
                    f"a process ended with {ended[0].returncode}"
                    if ended
                    else f"no beat ticked in {READY_S:g} s"
                )
                raise NotStarted(f"{why}: `jeongsi doctor` says what is missing")
            await asyncio.sleep(0.1)
        return True

    async def stop(self) -> None:
        """End what `start` started; sends in flight are finished first."""
        for child in self._children:
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                await asyncio.wait_for(child.wait(), STOP_S)
            except TimeoutError:
                child.kill()
                await child.wait()
        self._children.clear()


async def running() -> bool:
    """Whether a beat of this installation ticks."""
    return await asyncio.to_thread(lambda: database.retrying(health).running)
