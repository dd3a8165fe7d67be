"""A look at the ledger for one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


@contextmanager
def ledger() -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection with the limits that every process has. Errors are told by `ops.cli.run`."""
    from runtime.database import connect

    connection = connect()
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()
