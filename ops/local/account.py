"""Under whom Postgres runs: it refuses root, so root lends it an account that owns nothing."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_CANDIDATES = ("nobody", "daemon", "bin")


class NoAccount(RuntimeError):
    """Running as root, and this machine has no unprivileged account to run Postgres as."""


@dataclass(frozen=True)
class Account:
    """An existing unprivileged user."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether it may pass every folder down to `path`, and read it. Permissions are only looked at."""
        path = path.resolve()
        return all(self._may(folder, 0o1) for folder in path.parents) and self._may(path, 0o4)

    def _may(self, path: Path, bit: int) -> bool:
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return bool(stat.S_IMODE(found.st_mode) >> shift & bit)


def unprivileged() -> Account | None:
    """None when we are not root and need nobody else; raises NoAccount if root finds nobody."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoAccount(
        f"PostgreSQL does not run as root, and none of {', '.join(_CANDIDATES)} exists here. "
        "Run Jeongsi as an ordinary user, or set DATABASE_URL to a server of your own."
    )
