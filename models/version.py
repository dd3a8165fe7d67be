"""Whether a database is what this version of the code expects. Light: every process may ask at its start."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg

from models.states import EDGES

_SQL = Path(__file__).with_name("sql")
_VERSIONS = Path(__file__).with_name("migrations") / "versions"


class MigrationNeeded(RuntimeError):
    """The database is not at this version's schema; run `jeongsi db upgrade`."""


def check(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Raise ``MigrationNeeded`` unless the database holds this version's tables and functions."""
    row = connection.execute("SELECT to_regclass('sql_version') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        raise MigrationNeeded("the database is empty: run `jeongsi db upgrade`")
    held = connection.execute("SELECT hash FROM sql_version").fetchone()
    if held is None or held[0] != functions_hash():
        raise MigrationNeeded(
            "the database holds another version's tables or functions: run `jeongsi db upgrade`"
        )


def functions_hash() -> str:
    """Fingerprint of every function, trigger, view and edge that this version installs.

    The migrations' names are in it, so that one which changes no function is asked for as well.
    """
    digest = hashlib.sha256(" ".join(sorted(path.name for path in _VERSIONS.glob("0*.py"))).encode())
    for path in function_files():
        digest.update(path.read_bytes())
    digest.update(repr(sorted((a.value, b.value) for a, b in EDGES)).encode())
    return digest.hexdigest()


def function_files() -> list[Path]:
    """The SQL files to install, in order."""
    return sorted(_SQL.glob("*.sql"))
