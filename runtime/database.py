"""Connections to Postgres: one pool per process for the ledger, one SQLAlchemy engine for the rest.

Nothing here may hang. The server ends what takes too long; a server that is stopped, or a network that
swallows packets, is noticed by the client itself (`Bounded`), because then no answer comes at all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import Connection, errors
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from runtime.clock import clock
from runtime.settings import get_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

T = TypeVar("T")

CHECKOUT_S = 2.0  # waiting for a connection, which includes making one
CONNECT_S = 2  # whole seconds; libpq takes none below 2
ANSWER_S = 8.0  # above the server's own statement_timeout, which should always speak first
SESSION = (
    "SET statement_timeout = '5s'; SET lock_timeout = '2s'; "
    "SET idle_in_transaction_session_timeout = '2s'; SET TimeZone = 'Asia/Seoul'; "
    "SET jit = off; SET max_parallel_workers_per_gather = 0"  # either costs more than our commands do
)
RETRYABLE = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    PoolTimeout,
)
_LOST = ("08",)  # SQLSTATE class: the connection is gone


class Bounded(Connection[TupleRow]):
    """A connection on which no single answer is waited for longer than ANSWER_S.

    Past that it is closed and OperationalError raised, as for a lost connection.
    """

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, ANSWER_S if timeout is None else timeout)
        except errors._WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()  # its answer may still come, and nobody may take it for another's
            raise psycopg.OperationalError(f"the database did not answer within {ANSWER_S:g} s") from None


_pool: tuple[int, ConnectionPool[Bounded]] | None = None
_engine: tuple[int, Engine] | None = None
_guard = threading.Lock()


def pool() -> ConnectionPool[Bounded]:
    """This process's pool of autocommit connections; `with pool().connection() as connection`.

    Checking out waits 2 s at most, then raises psycopg_pool.PoolTimeout. Connections are not checked on
    the way out, which would cost a round trip each: after a restart of the server the first use of each
    raises, `is_transient` says so, and `retrying` takes care of it.
    """
    global _pool
    if _pool is None or _pool[0] != os.getpid():
        with _guard:
            if _pool is None or _pool[0] != os.getpid():
                _pool = (os.getpid(), _new_pool())
    return _pool[1]


def reset_pool() -> None:
    """Close pool and engine; the next use makes new ones from the settings of that moment."""
    global _pool, _engine
    with _guard:
        if _pool is not None and _pool[0] == os.getpid():
            _pool[1].close(timeout=1.0)
        if _engine is not None and _engine[0] == os.getpid():
            _engine[1].dispose()
        _pool = _engine = None


def engine() -> Engine:
    """SQLAlchemy's engine on the same database and with the same limits; checks a connection before use."""
    global _engine
    if _engine is None or _engine[0] != os.getpid():
        with _guard:
            if _engine is None or _engine[0] != os.getpid():
                from sqlalchemy import create_engine  # 11 MB that beats and send workers do not need

                made = create_engine(
                    "postgresql+psycopg://", creator=connect, pool_pre_ping=True, pool_timeout=CHECKOUT_S
                )
                _engine = (os.getpid(), made)
    return _engine[1]


def connect() -> Bounded:
    """One connection of your own, not autocommit. Raises OperationalError within about 2 s."""
    connection = Bounded.connect(_conninfo(), **_arguments(autocommit=False))
    _configure(connection)
    return connection


def listen_connection() -> Connection[TupleRow]:
    """One autocommit connection for LISTEN, outside the pool, which may wait for notifications for long."""
    return psycopg.connect(_conninfo(), **_arguments(autocommit=True))


def is_transient(error: BaseException) -> bool:
    """Whether trying again can help: deadlock, serialization, restart, connection lost or none free."""
    if isinstance(error, RETRYABLE):
        return True
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_LOST)


def retrying(work: Callable[[Bounded], T], *, attempts: int = 3) -> T:
    """Run `work` on a pooled connection, again after a transient failure; the last failure is raised.

    Only for work that may run twice: the first run may have committed before its answer was lost.
    """
    for attempt in range(1, attempts + 1):
        try:
            with pool().connection() as connection:
                return work(connection)
        except Exception as error:
            if attempt == attempts or not is_transient(error):
                raise
            if not isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
                pool().drain()  # the others were made before the server went away, too
            clock().wait(0.05 * 2**attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _new_pool() -> ConnectionPool[Bounded]:
    return ConnectionPool(
        _conninfo(),
        connection_class=Bounded,
        kwargs=_arguments(autocommit=True),
        configure=_configure,
        min_size=0,
        max_size=get_settings().worker_concurrency + 4,
        timeout=CHECKOUT_S,
        # Short, so that the pool never sleeps through the server's return in a growing back-off:
        # past it the next checkout tries at once.
        reconnect_timeout=CHECKOUT_S,
        name="ledger",
        open=True,
    )


def _conninfo() -> str:
    return get_settings().needed_database_url()


def _arguments(*, autocommit: bool) -> dict[str, Any]:
    return {
        "autocommit": autocommit,
        "connect_timeout": CONNECT_S,
        "application_name": f"jeongsi {os.getpid()}",
        "tcp_user_timeout": 5000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }


def _configure(connection: Connection[Any]) -> None:
    autocommit = connection.autocommit
    connection.autocommit = True
    connection.execute(SESSION)
    connection.autocommit = autocommit
