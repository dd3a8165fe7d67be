"""What the two local servers have in common: start, readiness, stop, kill, leftovers, ports."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from ops.local.account import Account
from ops.local.identity import Identity, noted, read_state
from ops.local.ports import free_port, is_free
from ops.local.secrets import kept_secret
from ops.local.spawn import Order, spawn
from runtime.clock import clock

START_S = 30.0
STOP_S = 10.0
LOG_BYTES = 10 * 1024 * 1024
_POLL_S = 0.02
_PORT_TRIES = 5
_PORT_TAKEN = "ddress already in use"  # both servers and the C library say it so


class ServerFailed(RuntimeError):
    """A local server did not start; the message ends with the last lines of its log."""


class PortTaken(ServerFailed):
    """The port asked for belongs to another program."""


class LocalServer(ABC):
    """One server with its data, log, password and state file in `folder`, on loopback TCP only.

    Without `port` a free one is taken, the one used before if possible, and kept over restarts. With
    `die_with_parent` the kernel stops the server when this process dies (Linux; elsewhere, and if the
    kernel could not, the next `start` on the folder finds it). Start it from a thread that lives on.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    quit_signal: ClassVar[signal.Signals]

    def __init__(
        self, folder: Path, *, port: int | None = None, password: str | None = None,
        die_with_parent: bool = True,
    ) -> None:  # fmt: skip
        self.folder = folder.absolute()
        self.wanted_port = port
        self.port = port or 0
        self._given_password = password
        self._dies = die_with_parent
        self._child: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def state(self) -> Path:
        return self.folder / "server.json"

    @property
    def password(self) -> str:
        """Made at first use and kept in the folder, readable by its owner only."""
        return self._given_password or kept_secret(self.folder / "password")

    @property
    def pid(self) -> int | None:
        return self._identity.pid if self._identity is not None and self.running else None

    @property
    def running(self) -> bool:
        """False for a dead server and for a zombie."""
        if self._child is not None:
            self._child.poll()
        return self._identity is not None and self._identity.alive

    @property
    @abstractmethod
    def url(self) -> str:
        """The address with user and password."""

    def start(self) -> None:
        """Start and wait until it answers. What a killed run left in the folder is stopped first.

        Raises PortTaken if the port asked for is not free, ServerFailed with the log's end otherwise.
        """
        if self.running:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.stop_leftover()
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._prepare()
        for port in self._ports_to_try():
            self.port = port
            if not is_free(port):
                continue
            written = self.log.stat().st_size if self.log.exists() else 0
            if self._launched():
                return
            if _PORT_TAKEN not in self._logged(written):
                raise ServerFailed(f"{self.name} did not start. Its log, {self.log}, ends:\n{self.tail()}")
        raise PortTaken(
            f"port {self.port} is taken by another program, so {self.name} cannot use it. "
            "End that program, or choose another port or none (then a free one is taken)."
        )

    def stop(self) -> None:
        """Stop and wait; connections are ended. Does nothing if it does not run."""
        if self._identity is not None:
            self._end(self._identity, self.stop_signal)

    def restart_immediate(self) -> None:
        """As after a power cut: no clean shutdown; the same port again."""
        if self._identity is not None:
            self._end(self._identity, self.quit_signal)
        self.wanted_port = self.port
        self.start()

    def kill(self) -> None:
        """SIGKILL it and all its children, and wait until they are gone."""
        if self._identity is not None:
            self._identity.kill()
            self._reap()

    def stop_leftover(self) -> bool:
        """Stop the server that an earlier, killed run left on this folder; True if there was one."""
        left = noted(self.state)
        if left is None:
            return False
        left.end(self.stop_signal, STOP_S)
        return True

    def tail(self, lines: int = 12) -> str:
        """The last lines of the log."""
        return "\n".join(self._logged(0).splitlines()[-lines:])

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _cwd(self) -> Path:
        return self.folder

    def _account(self) -> Account | None:
        return None

    def _ports_to_try(self) -> list[int]:
        if self.wanted_port is not None:
            return [self.wanted_port]
        before = read_state(self.state).get("port")
        first = [before] if isinstance(before, int) and is_free(before) else []
        return first + [free_port() for _ in range(_PORT_TRIES)]

    def _launched(self) -> bool:
        self._child = spawn(
            Order(
                self._command(), state=self.state, log=self.log, cwd=self._cwd(), note={"port": self.port},
                account=self._account(), death_signal=self.stop_signal if self._dies else None,
            )
        )  # fmt: skip
        self._identity = Identity.of(self._child.pid)
        end = clock().monotonic() + START_S
        while self.running:
            if self._answers():
                return True
            if clock().monotonic() > end:
                self.kill()
                raise ServerFailed(f"{self.name} gave no answer in {START_S:g} s:\n{self.tail()}")
            clock().wait(_POLL_S)
        return False

    def _logged(self, start: int) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(start)
                return file.read()[-100_000:].decode("utf-8", errors="replace")
        except OSError:
            return ""

    def _end(self, identity: Identity, gentle: signal.Signals) -> None:
        identity.end(gentle, STOP_S)
        self._reap()

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait(timeout=STOP_S)
        self._child = self._identity = None
