"""PostgreSQL from the wheel, as our own child process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import psycopg

from ops.local.account import Account, unprivileged
from ops.local.binaries import postgres_programs
from ops.local.identity import read_state
from ops.local.ports import HOST
from ops.local.server import LocalServer, ServerFailed

USER = "jeongsi"
DATABASE = "jeongsi"
ZONE = "Asia/Seoul"  # so that a naive literal in somebody's raw SQL is Korean time
_HERE = "/proc/self/cwd"
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresServer(LocalServer):
    """PostgreSQL with a password, UTF-8, C.UTF-8 order, TimeZone Asia/Seoul; as root it runs as nobody.

    `durable=False` turns fsync off and is only for tests that throw the data away. Everything is in
    `folder`: `data` (owned by the account it runs as), `postgres.log`, `password`, `server.json`.
    """

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends connections, then shuts down cleanly
    quit_signal: ClassVar[signal.Signals] = signal.SIGQUIT

    def __init__(
        self, folder: Path, *, port: int | None = None, password: str | None = None,
        die_with_parent: bool = True, durable: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(folder, port=port, password=password, die_with_parent=die_with_parent)
        self.data = self.folder / "data"
        self._durable = durable

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.port}/{database}"

    def _prepare(self) -> None:
        if not (self.data / "PG_VERSION").exists() or not (self.folder / "initialised").exists():
            self._init()
        # A pid file of a server that we know to be dead: its pid may be another process of this account
        # by now, and Postgres would then refuse to start.
        if read_state(self.state).get("pid") == self._pid_in_data():
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _init(self) -> None:
        account = self._account()
        shutil.rmtree(self.data, ignore_errors=True)  # the half-made data of an init that was killed
        self.data.mkdir(mode=0o700)
        reading, writing = os.pipe()
        os.write(writing, self.password.encode() + b"\n")
        os.close(writing)
        if account is not None:
            os.chown(self.data, account.uid, account.gid)
            os.fchown(reading, account.uid, account.gid)
        try:
            done = self._run_initdb(account, reading)
        finally:
            os.close(reading)
        if done.returncode != 0:
            raise ServerFailed(f"initdb failed in {self.data}:\n{done.stdout[-2000:]}")
        (self.folder / "initialised").touch()

    def _run_initdb(self, account: Account | None, password: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                str(postgres_programs(account) / "initdb"), "-D", self._data_as_seen(), "-U", USER,
                "--pwfile=/dev/stdin", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
                "--set", f"timezone={ZONE}", "--set", f"log_timezone={ZONE}",
                *([] if self._durable else ["--no-sync"]),
            ],
            cwd=self.data, stdin=password, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=120, check=False, env=_environment(),
            user=account.uid if account else None, group=account.gid if account else None,
            extra_groups=[] if account else None,
        )  # fmt: skip

    def _command(self) -> list[str]:
        settings = [
            f"port={self.port}", f"listen_addresses={HOST}", "unix_socket_directories=",
            "max_connections=200", "shared_buffers=128MB", *([] if self._durable else _NOT_DURABLE),
        ]  # fmt: skip
        program = str(postgres_programs(self._account()) / "postgres")
        return [program, "-D", self._data_as_seen(), *(part for one in settings for part in ("-c", one))]

    def _data_as_seen(self) -> str:
        """The data folder as Postgres names it.

        An account that may not pass a folder above it (a home of mode 0700) still may work in the folder
        it stands in, so there Postgres is told to use that.
        """
        account = self._account()
        return str(self.data) if account is None or account.can_reach(self.data) else _HERE

    def _cwd(self) -> Path:
        return self.data

    def _account(self) -> Account | None:
        return unprivileged()

    def _pid_in_data(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url_of("postgres"), connect_timeout=2, autocommit=True) as connection:
                query = "SELECT 1 FROM pg_database WHERE datname = %s"
                if connection.execute(query, (DATABASE,)).fetchone() is None:
                    connection.execute(f'CREATE DATABASE "{DATABASE}"'.encode())
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                return False
            self.kill()
            raise ServerFailed(
                f"{self.folder / 'password'} does not hold the password of {self.data}. Put the right one "
                "there, or move the whole folder away to begin with an empty database."
            ) from None
        return True


def _environment() -> dict[str, str]:
    """Without PG* (another server's settings) and with messages in English, which we read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LANG": "C", "LC_ALL": "C"}
