"""Bring a database to what this version of the code expects.

Tables change by Alembic migrations, once each. Functions, triggers and views (``models/sql``) are
installed again whenever their text differs from what the database holds: they carry no data, so the
newest text is always right (docs/decisions/0001-ledger-commands.md).
"""

from __future__ import annotations

import re
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import ProgrammingError

from models.states import EDGES
from models.version import MigrationNeeded, check, function_files, functions_hash

__all__ = ["MigrationNeeded", "check", "current", "functions_hash", "sqlalchemy_url", "upgrade"]

_HERE = Path(__file__).parent
_LOCK = 0x4A454F4E  # one migrator at a time, whoever it is


def upgrade(url: str) -> list[str]:
    """Migrate the database at ``url``, install the functions, make the partitions.

    Returns what was done, a sentence each (empty: it was up to date). Safe to run at any time by
    any number of processes; one works, the others wait for it.
    """
    engine = create_engine(sqlalchemy_url(url), isolation_level="AUTOCOMMIT")
    worker = create_engine(sqlalchemy_url(url))
    try:
        with engine.connect() as guard:
            guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            try:
                return _upgrade(worker)
            finally:
                guard.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    finally:
        worker.dispose()
        engine.dispose()


def _upgrade(engine: Engine) -> list[str]:
    done: list[str] = []
    with engine.begin() as connection:
        before = current(connection)
        _alembic(connection)
        after = current(connection)
        if before != after:
            done.append(f"tables: {before or 'nothing'} -> {after}")
    with engine.begin() as connection:
        done += _install_functions(connection)
    with engine.begin() as connection:
        done += _keep_korean_time(connection)
    return done


def current(connection: Connection) -> str | None:
    """The table revision of a database, None for an empty one."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    return connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()


def sqlalchemy_url(url: str) -> str:
    """The same URL with the psycopg driver named, as SQLAlchemy wants it."""
    scheme, rest = url.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url


def _alembic(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _install_functions(connection: Connection) -> list[str]:
    connection.execute(
        text("CREATE TABLE IF NOT EXISTS sql_version (hash text NOT NULL, at timestamptz NOT NULL)")
    )
    held = connection.execute(text("SELECT hash FROM sql_version")).scalar()
    wanted = functions_hash()
    done = []
    if held != wanted:
        raw = connection.connection.cursor()
        files = [path.read_text(encoding="utf-8") for path in function_files()]
        _drop_functions(connection, "\n".join(files))
        for statements in files:
            raw.execute(statements)
        raw.execute("DELETE FROM slot_edge")
        raw.executemany("INSERT INTO slot_edge VALUES (%s, %s)", [(a.value, b.value) for a, b in EDGES])
        raw.execute("DELETE FROM sql_version")
        raw.execute("INSERT INTO sql_version VALUES (%s, clock_timestamp())", (wanted,))
        done.append("functions: installed")
    made = connection.execute(text("SELECT ensure_partitions()")).scalar()
    if made:
        done.append(f"partitions: {made} made")
    return done


def _drop_functions(connection: Connection, statements: str) -> None:
    """Drop every function that is about to be installed, whatever it takes and returns by now.

    Postgres replaces no function whose answer changed, and keeps one whose arguments changed beside the
    new one. Triggers' functions stay: their shape never changes, and the triggers hang on them. So do the
    public ones, jeongsi_…: other services call them, and the grants to their roles would go with them.
    """
    names = re.findall(r"CREATE OR REPLACE FUNCTION (\w+)\(", statements)
    held = connection.execute(
        text(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            " AND proname = ANY(:names) AND prorettype <> 'trigger'::regtype"
            " AND proname NOT LIKE 'jeongsi\\_%'"
        ),
        {"names": names},
    ).scalars()
    for function in held.all():
        connection.execute(text(f"DROP FUNCTION {function}"))


def _keep_korean_time(connection: Connection) -> list[str]:
    """The database's own TimeZone is Asia/Seoul, so that a naive literal in raw SQL is Korean time."""
    kept = connection.execute(
        text(
            "SELECT reset_val = 'Asia/Seoul' FROM pg_settings WHERE name = 'TimeZone' UNION ALL"
            " SELECT 'TimeZone=Asia/Seoul' = ANY (setconfig) FROM pg_db_role_setting WHERE setrole = 0"
            " AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    ).scalars()
    if any(kept):
        return []
    name = connection.execute(text("SELECT quote_ident(current_database())")).scalar()
    try:
        with connection.begin_nested():
            connection.execute(text(f"ALTER DATABASE {name} SET TimeZone = 'Asia/Seoul'"))
    except ProgrammingError:
        return [f"time zone: not set; let the owner run ALTER DATABASE {name} SET TimeZone = 'Asia/Seoul'"]
    return ["time zone: Asia/Seoul"]
