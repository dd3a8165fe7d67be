"""The folder of one installation (JEONGSI_HOME): its lock, its passwords, and where its servers listen."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.local.identity import Identity, read_state
from ops.local.launch import write_privately
from ops.local.secrets import kept_secret


class HomeBusy(RuntimeError):
    """Another `jeongsi up` uses this folder; the message names its pid."""


class HomeUnusable(RuntimeError):
    """The folder cannot be made or written; the message says which and what to do."""


class Home:
    """A JEONGSI_HOME. Made, private to its owner, when first used; folders above it are not touched."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    @property
    def run_json(self) -> Path:
        """Addresses of the running local stack, read by runtime.settings."""
        return self.path / "run.json"

    def make(self) -> None:
        """Make the folder. Raises HomeUnusable."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.path.is_dir() or not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(f"no right to write in {self.path}")
        except OSError as error:
            raise HomeUnusable(
                f"{self.path} cannot be used: {error.strerror or error}. "
                "Set JEONGSI_HOME to a folder you may write to."
            ) from error

    def folder(self, name: str) -> Path:
        """A folder in it, made if need be: `postgres`, `valkey`, `log`, `run`, `journal`."""
        self.make()
        found = self.path / name
        found.mkdir(exist_ok=True, mode=0o700)
        return found

    def secret(self, name: str) -> str:
        """A password by name, made once and kept in `secrets/`, mode 0600."""
        return kept_secret(self.folder("secrets") / name)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only `up` on this folder. Raises HomeBusy at once if another lives.

        The kernel drops the lock with its process, however that ends, so a dead one never blocks.
        """
        self.make()
        path = self.path / "up.lock"
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HomeBusy(
                    f"{self.path} is in use by another `up`, process {file.read().strip() or 'unknown'}. "
                    "Stop that one (Ctrl-C), or set JEONGSI_HOME to another folder."
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
            file.seek(0)
            file.truncate(0)

    def write_run(self, **fields: Any) -> None:
        """Publish where the servers listen (`database_url`, `redis_url`, `emulator_url`, …), mode 0600.

        The writer is noted with it, so that `read_run` knows addresses of a dead stack from living ones.
        """
        own = Identity.of(os.getpid())
        noted = {"pid": os.getpid(), "started": own.started if own else ""}
        write_privately(self.run_json, {**fields, **noted})

    def read_run(self) -> dict[str, Any] | None:
        """What the running stack published; None if none runs."""
        state = read_state(self.run_json)
        pid, started = state.get("pid"), state.get("started")
        if not isinstance(pid, int) or not isinstance(started, str):
            return None
        return state if Identity(pid, started).alive else None

    def clear_run(self) -> None:
        """Take the addresses away: nothing listens there any more."""
        with contextlib.suppress(FileNotFoundError):
            self.run_json.unlink()
