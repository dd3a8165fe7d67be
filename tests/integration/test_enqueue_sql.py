"""Plain SQL: in the caller's own transaction, with a role that may do nothing else, and by many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from models import migrate
from runtime.ids import SlotId
from tests.support import databases
from tests.support.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "sql"
ASK = "SELECT jeongsi_enqueue(room => 'hq-alerts', text => %s, idempotency_key => %s)"


@pytest.fixture(autouse=True)
def _room(pg: psycopg.Connection) -> None:
    pg.execute(
        "INSERT INTO rooms (room_id, name, type, channel)"
        " VALUES ('hq-alerts', '본사', 'test', 'emulator-key')"
    )


@pytest.fixture
def service(pg: psycopg.Connection, db_url: str) -> Iterator[psycopg.Connection]:
    """A service's own connection, with the rights of docs/examples/sql/role.sql and nothing else."""
    name = f"orders_{pg.info.dbname[-8:]}"
    statements = (EXAMPLES / "role.sql").read_text(encoding="utf-8")
    pg.execute(statements.replace("ROLE orders", f"ROLE {name}").replace("TO orders", f"TO {name}").encode())
    address = psycopg.conninfo.make_conninfo(db_url, user=name, password="a long one")
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection
    pg.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def count(pg: psycopg.Connection, table: str = "kb_schedule") -> int:
    row = pg.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def answer(cursor: psycopg.Cursor[Any]) -> dict[str, Any]:
    row = cursor.fetchone()
    assert row is not None
    found: dict[str, Any] = row[0]
    return found


def test_the_example_runs_as_it_stands(pg: psycopg.Connection) -> None:
    pg.execute("CREATE TABLE shop_orders (id int, state text)")
    cursor = pg.execute((EXAMPLES / "enqueue.sql").read_bytes())
    answers = []
    while True:
        if cursor.description:
            answers.append(answer(cursor)["status"])
        if not cursor.nextset():
            break
    assert answers == ["accepted", "accepted", "cancelled"]
    assert count(pg) == 3


def test_a_service_needs_no_right_but_to_call_the_functions(
    pg: psycopg.Connection, service: psycopg.Connection
) -> None:
    found = answer(service.execute(ASK, ("x", "k")))
    assert found["status"] == "accepted"
    assert pg.execute("SELECT who FROM kb_schedule_history").fetchone() == (service.info.user,)
    by_id = answer(
        service.execute("SELECT jeongsi_cancel(%s)", (psycopg.types.json.Jsonb({"id": found["id"]}),))
    )
    assert by_id["status"] == "cancelled"
    for denied in (
        "SELECT * FROM kb_schedule", "SELECT * FROM enqueue_keys",
        """SELECT enqueue_message('{"room": "hq-alerts", "text": "y"}')""",
        "DELETE FROM message_hashes",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute(denied)


def test_without_the_grant_the_functions_are_closed(pg: psycopg.Connection) -> None:
    held = pg.execute(
        "SELECT has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc"
        " WHERE proname IN ('jeongsi_enqueue', 'jeongsi_cancel')"
    ).fetchall()
    assert held == [(False,)] * 3


def test_a_grant_outlasts_an_upgrade(
    pg: psycopg.Connection, db_url: str, service: psycopg.Connection
) -> None:
    pg.execute("UPDATE sql_version SET hash = 'of an older version'")
    assert migrate.upgrade(db_url) == ["functions: installed"]
    assert answer(service.execute(ASK, ("x", "k")))["status"] == "accepted"


def test_a_rolled_back_transaction_promises_nothing_and_frees_its_key(
    pg: psycopg.Connection, service: psycopg.Connection
) -> None:
    with pytest.raises(RuntimeError), service.transaction():
        assert answer(service.execute(ASK, ("x", "k")))["status"] == "accepted"
        raise RuntimeError
    assert (count(pg), count(pg, "enqueue_keys"), count(pg, "message_hashes")) == (0, 0, 0)
    assert answer(service.execute(ASK, ("y", "k")))["status"] == "accepted"


@pytest.mark.parametrize("commits", [True, False])
def test_a_second_transaction_waits_for_the_first_with_the_same_key(
    pg: psycopg.Connection, db_url: str, commits: bool
) -> None:
    answers: list[dict[str, Any]] = []
    with databases.connect(db_url) as first, databases.connect(db_url) as second:
        first.execute("BEGIN")
        mine = answer(first.execute(ASK, ("x", "k")))
        waiting = threading.Thread(target=lambda: answers.append(answer(second.execute(ASK, ("x", "k")))))
        waiting.start()
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        eventually(lambda: pg.execute(blocked, (second.info.backend_pid,)).fetchone() == (1,))
        first.execute("COMMIT" if commits else "ROLLBACK")
        waiting.join(10)
    (theirs,) = answers
    assert (theirs["status"], theirs["id"] == mine["id"]) == (
        ("duplicate", True) if commits else ("accepted", False)
    )
    assert count(pg) == 1


def test_of_many_at_once_exactly_one_wins_by_key_and_by_content(pg: psycopg.Connection, db_url: str) -> None:
    """A14."""
    statements = [
        (ASK, ("x", "k")),
        ("SELECT jeongsi_enqueue(room => 'hq-alerts', text => %s, at => %s)", ("y", "2998-01-01 00:00+09")),
    ]
    answers: list[tuple[int, str]] = []
    ready = threading.Barrier(8)

    def ask() -> None:
        with databases.connect(db_url) as connection:
            ready.wait(10)
            for number, (statement, arguments) in enumerate(statements):
                answers.append((number, answer(connection.execute(statement.encode(), arguments))["status"]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == sorted(
        [(0, "accepted"), *[(0, "duplicate")] * 7, (1, "accepted"), *[(1, "refused")] * 7]
    )
    assert count(pg) == 2


def test_the_answers_id_is_the_slots(pg: psycopg.Connection) -> None:
    found = answer(
        pg.execute("SELECT jeongsi_enqueue(room => 'hq-alerts', text => 'x', at => '2998-01-01 00:00+09')")
    )
    assert SlotId.parse(found["id"]).slot_at.isoformat() == "2997-12-31T15:00:00+00:00"
