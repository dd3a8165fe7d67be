"""An upgrade also replaces functions and views whose arguments or answers are no longer what they were."""

from __future__ import annotations

import psycopg
import pytest

from models import migrate, version


def make_old(pg: psycopg.Connection) -> None:
    pg.execute("UPDATE sql_version SET hash = 'of an older version'")


def test_a_function_that_answered_something_else_is_replaced(pg: psycopg.Connection, db_url: str) -> None:
    pg.execute("DROP FUNCTION beat_agenda()")
    pg.execute("CREATE FUNCTION beat_agenda() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    make_old(pg)
    migrate.upgrade(db_url)
    assert pg.execute("SELECT dirty FROM beat_agenda()").fetchone() == (False,)


def test_a_function_that_took_other_arguments_leaves_no_twin_behind(
    pg: psycopg.Connection, db_url: str
) -> None:
    pg.execute("CREATE FUNCTION expire_due(p_limit integer) RETURNS integer LANGUAGE sql AS 'SELECT -1'")
    with pytest.raises(psycopg.errors.AmbiguousFunction):
        pg.execute("SELECT expire_due(1)")
    make_old(pg)
    migrate.upgrade(db_url)
    assert pg.execute("SELECT expire_due(1)").fetchone() == (0,)


def test_functions_of_other_people_in_the_database_are_left_alone(
    pg: psycopg.Connection, db_url: str
) -> None:
    pg.execute("CREATE FUNCTION their_own() RETURNS integer LANGUAGE sql AS 'SELECT 7'")
    make_old(pg)
    migrate.upgrade(db_url)
    assert pg.execute("SELECT their_own()").fetchone() == (7,)
    version.check(pg)
