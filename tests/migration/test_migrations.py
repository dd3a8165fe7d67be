"""Bringing a database to what this version expects: from nothing, again, by several at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine

from models import migrate, version
from models.states import EDGES
from models.tables import Base
from tests.support import databases

_ROOT = Path(__file__).parents[2]
_UPGRADE = "import sys; from models import migrate; print(*migrate.upgrade(sys.argv[1]), sep='\\n')"

#: An argument for every type that a function of ours takes: nothing to do, or a value that does no harm.
_ARGUMENTS = {
    "bigint": "0", "integer": "1", "smallint": "1", "boolean": "true", "double precision": "0",
    "text": "'slots'", "uuid": "gen_random_uuid()", "interval": "'1 day'",
    "timestamp with time zone": "now()",
    "date": "'2020-01-06'", "regclass": "'slots'", "jsonb": "'[]'",
}  # fmt: skip


@pytest.fixture
def empty(empty_db_url: str) -> Iterator[psycopg.Connection]:
    with databases.connect(empty_db_url) as connection:
        yield connection


def differences(url: str) -> list[Any]:
    """What Alembic would change to make the database equal to the models."""

    def ours(_: object, name: str | None, kind: str, reflected: bool, counterpart: object) -> bool:
        # The weeks of the ledger, and what the migrating itself writes down.
        extra = kind == "table" and reflected and counterpart is None
        return not (extra and (name in ("alembic_version", "sql_version") or name in weeks))

    engine = create_engine(migrate.sqlalchemy_url(url))
    with engine.connect() as connection:
        children = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        weeks = {row[0] for row in connection.exec_driver_sql(children)}
        options = {"compare_type": True, "compare_server_default": True, "include_object": ours}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    engine.dispose()
    return list(found)


def test_migrating_from_nothing_equals_the_models(db_url: str) -> None:
    assert differences(db_url) == []


def test_the_comparison_sees_types_and_defaults(pg: psycopg.Connection, db_url: str) -> None:
    pg.execute("ALTER TABLE kb_schedule ALTER send_count SET DEFAULT 7")
    pg.execute("ALTER TABLE rooms ALTER quota TYPE bigint")
    pg.execute("ALTER TABLE images ADD extra text")
    assert len(differences(db_url)) == 3


def test_upgrading_says_what_it_did_and_upgrading_again_does_nothing(empty_db_url: str) -> None:
    done = migrate.upgrade(empty_db_url)
    assert [line.split(":")[0] for line in done] == ["tables", "functions", "partitions"]
    assert migrate.upgrade(empty_db_url) == []
    assert differences(empty_db_url) == []


def test_four_processes_that_upgrade_one_empty_database_at_once_leave_one_clean_schema(
    empty: psycopg.Connection, empty_db_url: str
) -> None:
    command = [sys.executable, "-c", _UPGRADE, empty_db_url]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, cwd=_ROOT, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    answers = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * 4, answers
    assert sorted("functions: installed" in said for said, _ in answers) == [False, False, False, True]
    version.check(empty)
    assert differences(empty_db_url) == []
    rows = "SELECT (SELECT count(*) FROM sql_version), (SELECT count(*) FROM alembic_version)"
    assert empty.execute(rows).fetchone() == (1, 1)


def test_an_empty_database_is_refused_with_what_to_do(empty: psycopg.Connection) -> None:
    with pytest.raises(version.MigrationNeeded, match="is empty: run `jeongsi db upgrade`"):
        version.check(empty)


def test_another_programs_table_of_our_name_stops_the_upgrade_in_words_and_is_left_alone(
    empty: psycopg.Connection, empty_db_url: str
) -> None:
    empty.execute("CREATE TABLE orders (id int)")
    with pytest.raises(Exception, match=r"a table orders already(.|\n)*search_path"):
        migrate.upgrade(empty_db_url)
    assert empty.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


def test_an_older_database_is_refused_until_it_is_upgraded(pg: psycopg.Connection, db_url: str) -> None:
    version.check(pg)
    pg.execute("UPDATE sql_version SET hash = 'of an older version'")
    with pytest.raises(version.MigrationNeeded, match=r"another version's .*: run `jeongsi db upgrade`"):
        version.check(pg)
    assert migrate.upgrade(db_url) == ["functions: installed"]
    version.check(pg)


def test_a_new_migration_alone_makes_a_database_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = version.functions_hash()
    (tmp_path / "0001_ledger.py").touch()
    (tmp_path / "0002_more.py").touch()
    monkeypatch.setattr(version, "_VERSIONS", tmp_path)
    assert version.functions_hash() != before


def test_a_function_whose_text_changed_is_installed_again(pg: psycopg.Connection, db_url: str) -> None:
    pg.execute(
        "CREATE OR REPLACE FUNCTION korean_day(at timestamptz) RETURNS date"
        " LANGUAGE sql AS 'SELECT NULL::date'"
    )
    pg.execute("DELETE FROM slot_edge WHERE old = 'leased'")
    pg.execute("UPDATE sql_version SET hash = 'of an older version'")
    migrate.upgrade(db_url)
    day = pg.execute("SELECT korean_day('2026-11-20 15:00+00')::text").fetchone()
    assert day == ("2026-11-21",)
    assert edges(pg) == {(old.value, new.value) for old, new in EDGES}


def edges(pg: psycopg.Connection) -> set[tuple[str, str]]:
    return {(old, new) for old, new in pg.execute("SELECT old, new FROM slot_edge").fetchall()}


def test_the_edge_table_is_what_the_code_says(pg: psycopg.Connection) -> None:
    assert edges(pg) == {(old.value, new.value) for old, new in EDGES}


def test_a_naive_literal_becomes_korean_time_whatever_zone_the_database_had(empty_db_url: str) -> None:
    with databases.connect(empty_db_url) as db:
        name = sql.Identifier(db.info.dbname)
        db.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'Europe/Berlin'").format(name))
    assert "time zone: Asia/Seoul" in migrate.upgrade(empty_db_url)
    with databases.connect(empty_db_url) as db:
        korean = db.execute("SELECT '2026-11-21 09:00'::timestamptz = '2026-11-21 09:00+09'").fetchone()
        assert korean == (True,)


def test_every_function_runs_against_the_schema(pg: psycopg.Connection) -> None:
    """The database reads a plpgsql body only when it runs, so a name that is gone would show at night."""
    functions = pg.execute(
        "SELECT p.proname, ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes::oid[]) t)"
        " FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
        " WHERE p.pronamespace = 'public'::regnamespace AND l.lanname IN ('plpgsql', 'sql')"
        " AND p.prorettype <> 'trigger'::regtype"
    ).fetchall()
    assert len(functions) > 25
    for name, types in functions:
        arguments = ", ".join(f"{_argument(one)}::{one}" for one in types)
        with pg.transaction(force_rollback=True):
            pg.execute(f"SELECT * FROM {name}({arguments})".encode())


def _argument(of_type: str) -> str:
    if of_type.endswith("[]"):
        return "'{}'"
    return _ARGUMENTS.get(of_type, "NULL")
