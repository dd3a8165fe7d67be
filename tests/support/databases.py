"""Databases of the tests: made under random names, dropped afterwards, cloned from one that is migrated."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult, urlsplit

import psycopg
from psycopg import sql

from models import migrate
from tests.support.run import Run, exclusive

_LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=5)


def template_of(run: Run) -> str:
    """The name of the run's migrated database, made by whoever needs it first."""
    noted = run.cached("template")
    with exclusive(run.cached("template.lock")):
        if not noted.exists():
            name = _new_name(run)
            _create(run.database_url, name)
            migrate.upgrade(with_database(run.database_url, name))
            noted.write_text(name, encoding="ascii")
        return noted.read_text(encoding="ascii")


@contextmanager
def cloned(run: Run, template: str | None) -> Iterator[str]:
    """The URL of a new database like `template` (None: empty), dropped at the end whoever is connected."""
    name = _new_name(run)
    _create(run.database_url, name, template)
    try:
        if template is not None:
            vouch_for(with_database(run.database_url, name))
        yield with_database(run.database_url, name)
    finally:
        with connect(run.database_url) as admin:
            _drop(admin, name)


def vouch_for(url: str) -> None:
    """A clone is held until a beat has looked: here a test's clone begins as if it had just been migrated."""
    with connect(url) as database:
        database.execute("SELECT instance_mark()")
        database.execute(
            "UPDATE instance SET id = gen_random_uuid(), mark = 0, seal_xid = pg_current_xact_id()::xid::text"
        )


def drop_all_of(run: Run) -> None:
    """Drop what a run left on a server that is not its own."""
    with connect(run.database_url) as admin:
        pattern = f"{_prefix(run)}%"
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (pattern,)):
            _drop(admin, name)


def refuse_if_real(test_url: str, real_url: str | None) -> None:
    """Raise ValueError if the tests were pointed at the database that the application uses."""
    if real_url and _target(urlsplit(test_url), 5432) == _target(urlsplit(real_url), 5432):
        raise ValueError(
            "TEST_DATABASE_URL names the same database as DATABASE_URL. Tests create, break and drop "
            "databases: name another database, best on another server."
        )


def with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _target(url: SplitResult, port: int) -> tuple[str, int, str]:
    host = (url.hostname or "").lower()
    return ("" if host in _LOOPBACK else host, url.port or port, url.path.strip("/"))


def _prefix(run: Run) -> str:
    return f"jeongsi_test_{run.id}_"


def _new_name(run: Run) -> str:
    return _prefix(run) + secrets.token_hex(4)


def _create(admin_url: str, name: str, template: str | None = None) -> None:
    with connect(admin_url) as admin:
        # A clone of an idle database; copying files is faster than writing each page to the log.
        clone = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
        empty = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'"
        names = [sql.Identifier(one) for one in (name, template) if one is not None]
        admin.execute(sql.SQL(clone if template else empty).format(*names))
        zone = "ALTER DATABASE {} SET timezone = 'Asia/Seoul'"  # not taken over from a template
        admin.execute(sql.SQL(zone).format(sql.Identifier(name)))


def _drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
