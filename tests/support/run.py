"""One run of the tests: its folder, its servers, and what earlier runs that were killed left behind."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.local.identity import Identity, noted
from ops.local.launch import write_privately
from ops.local.postgres import PostgresServer
from ops.local.valkey import ValkeyServer


@dataclass(frozen=True)
class Run:
    """What every process of one test run needs to know; plain text, so that xdist can carry it."""

    id: str
    folder: str
    database_url: str
    redis_url: str
    embedded_postgres: bool
    embedded_redis: bool

    def carried(self) -> dict[str, str | bool]:
        return asdict(self)

    def cached(self, name: str) -> Path:
        return Path(self.folder) / name


class RunOwner:
    """Starts what a run needs and takes all of it away again. Lives in the process that began the run."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)
        base = _base()
        with exclusive(base / "sweep.lock"):
            sweep(base)
            self.folder = base / f"run-{self.id}"
            self.folder.mkdir(mode=0o700)
            own = Identity.of(os.getpid())
            assert own is not None, "this very process has no entry in the process table"
            write_privately(self.folder / "owner.json", asdict(own))
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None

    def start(self) -> Run:
        """Servers of the run: those named by TEST_DATABASE_URL and TEST_REDIS_URL, else embedded ones."""
        database_url = os.environ.get("TEST_DATABASE_URL") or self._start_postgres()
        redis_url = os.environ.get("TEST_REDIS_URL") or self._start_valkey()
        return Run(
            self.id, str(self.folder), database_url, redis_url,
            embedded_postgres=self._postgres is not None, embedded_redis=self._valkey is not None,
        )  # fmt: skip

    def close(self) -> None:
        for server in (self._postgres, self._valkey):
            if server is not None:
                server.kill()  # its data is thrown away
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_postgres(self) -> str:
        # Not durable: what is tested on the shared server is never whether data survives a power cut.
        self._postgres = PostgresServer(self.folder / "postgres", durable=False)
        self._postgres.start()
        return self._postgres.url_of("postgres")

    def _start_valkey(self) -> str:
        self._valkey = ValkeyServer(self.folder / "valkey", debug=True)
        self._valkey.start()
        return self._valkey.url


def sweep(base: Path) -> None:
    """Stop the servers of runs whose process is dead, and remove their folders."""
    for folder in base.glob("run-*"):
        if noted(folder / "owner.json") is not None:
            continue
        for state in folder.rglob("server.json"):
            left = noted(state)
            if left is not None:
                left.end(signal.SIGQUIT, 5.0)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a file lock: one process at a time, and a dead one holds nothing."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _base() -> Path:
    base = Path(tempfile.gettempdir()) / f"jeongsi-tests-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    assert base.lstat().st_uid == os.getuid(), f"{base} is somebody else's; set TMPDIR to another folder"
    return base
