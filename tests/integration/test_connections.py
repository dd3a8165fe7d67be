"""Connections to real servers: limits hold, nothing hangs, and a server that went away is come back to."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import psycopg
import pytest
import redis
from psycopg_pool import PoolTimeout

from runtime import database
from runtime.clock import clock
from runtime.database import engine, is_transient, listen_connection, pool, reset_pool, retrying
from runtime.redis_client import broker_redis, lock_redis, reset_clients
from runtime.settings import get_settings


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def aim(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """For pointing DATABASE_URL or REDIS_URL elsewhere; afterwards all clients are made anew."""
    forget()
    yield monkeypatch
    forget()


def forget() -> None:
    get_settings.cache_clear()
    reset_pool()
    reset_clients()


def backend() -> int:
    """The server process behind the pool's next connection."""
    with pool().connection() as connection:
        return connection.info.backend_pid


@pytest.mark.usefixtures("env")
def test_every_connection_has_the_limits_and_the_korean_day() -> None:
    asked = "SELECT " + ", ".join(
        f"current_setting('{name}')"
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
    )
    wanted = ("5s", "2s", "2s", "Asia/Seoul")
    with pool().connection() as connection:
        assert connection.autocommit
        assert connection.execute(asked.encode()).fetchone() == wanted
    with engine().connect() as through_sqlalchemy:
        assert tuple(through_sqlalchemy.exec_driver_sql(asked).one()) == wanted


@pytest.mark.usefixtures("env")
def test_connections_that_the_server_ended_are_made_again(pg: psycopg.Connection) -> None:
    ended = backend()
    pg.execute("SELECT pg_terminate_backend(%s)", [ended])
    assert retrying(lambda connection: connection.info.backend_pid) != 0
    assert retrying(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)


@pytest.mark.usefixtures("env")
def test_without_retrying_a_lost_connection_is_an_error_that_says_try_again(pg: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError) as caught, pool().connection() as connection:
        pg.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        connection.execute("SELECT 1")
    assert is_transient(caught.value)


@pytest.mark.embedded_only
@pytest.mark.usefixtures("env")
def test_a_server_that_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ANSWER_S", 0.5)
    stopped = backend()
    os.kill(stopped, signal.SIGSTOP)
    try:
        with (
            pytest.raises(psycopg.OperationalError, match="did not answer within") as caught,
            pool().connection() as connection,
        ):
            connection.execute("SELECT 1")
        assert is_transient(caught.value)
        assert backend() != stopped
    finally:
        os.kill(stopped, signal.SIGCONT)


@pytest.mark.usefixtures("env")
def test_a_statement_that_is_wrong_is_tried_once() -> None:
    tries = []

    def divide(connection: database.Bounded) -> None:
        tries.append(connection)
        connection.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        retrying(divide)
    assert len(tries) == 1


@pytest.mark.parametrize("listening", [True, False])
def test_a_database_out_of_reach_is_given_up_after_two_seconds(
    aim: pytest.MonkeyPatch, silent_server: int, listening: bool
) -> None:
    port = silent_server if listening else 1
    aim.setenv("DATABASE_URL", f"postgresql://u@127.0.0.1:{port}/d")
    started = clock().monotonic()
    with pytest.raises(PoolTimeout) as caught, pool().connection():
        pass
    assert clock().monotonic() - started < 4
    assert is_transient(caught.value)


@pytest.mark.usefixtures("env")
def test_a_listener_hears_what_is_notified(pg: psycopg.Connection) -> None:
    with listen_connection() as listener:
        listener.execute("LISTEN here")
        pg.execute("NOTIFY here, 'word'")
        assert [one.payload for one in listener.notifies(timeout=5, stop_after=1)] == ["word"]


@pytest.mark.usefixtures("env")
def test_the_lock_client_speaks_text_and_the_broker_client_bytes() -> None:
    lock_redis().set("jeongsi:test", "값")
    assert lock_redis().get("jeongsi:test") == "값"
    assert broker_redis().get("jeongsi:test") == "값".encode()
    assert lock_redis() is lock_redis()


def test_a_silent_redis_is_asked_once_and_given_up_after_a_second(
    aim: pytest.MonkeyPatch, silent_server: int
) -> None:
    aim.setenv("REDIS_URL", f"redis://127.0.0.1:{silent_server}/0")
    started = clock().monotonic()
    with pytest.raises(redis.RedisError):
        lock_redis().set("jeongsi:test", "1")
    assert clock().monotonic() - started < 2.5
