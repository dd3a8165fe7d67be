"""The round: servers first, then what they hold. A dead server is one finding, not a failure of the round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis

from models.queries.health import health
from ops.doctor import broker, host, kakao, ledger, playauto
from ops.doctor.finding import Finding, fail
from runtime.environment import is_secret, variable
from runtime.redis_client import client_of
from runtime.settings import Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding, in the order in which they would be mended."""
    yield from _database(settings)
    yield from _redis(settings)
    yield from host.findings(settings)


def health_of(settings: Settings) -> dict[str, Any]:
    """Status, counts and rates as a health route answers them (A53); unhealthy if nobody can be asked."""
    if settings.database_url is not None:
        try:
            with closing(psycopg.connect(settings.database_url, connect_timeout=3, autocommit=True)) as db:
                return health(db).as_json()
        except psycopg.Error:
            pass  # `examine` says what is wrong
    return {"status": "unhealthy", "running": False, "scheduled_count": None, "success_rate": None}


def shown_settings(settings: Settings) -> dict[str, str]:
    """Every setting by its variable's name; secrets only say whether they are set."""
    found = {}
    for field, info in type(settings).model_fields.items():
        value = getattr(settings, field)
        if is_secret(info):
            found[variable(field)] = "(set)" if value else "(not set)"
        else:
            found[variable(field)] = "" if value is None else str(value)
    return found


def _database(settings: Settings) -> Iterator[Finding]:
    if settings.database_url is None:
        yield fail("database", "none is known", "start it with `make up`, or set DATABASE_URL")
        return
    try:
        # Not the process's own connection: its session settings would hide what raw SQL gets.
        connection = psycopg.connect(settings.database_url, connect_timeout=3, autocommit=True)
    except psycopg.OperationalError as error:
        where = urlsplit(settings.database_url)
        why = str(error).strip().splitlines()[-1].strip()
        todo = "start it (`make up`), or mend DATABASE_URL; until then nothing is sent"
        yield fail("database", f"{where.hostname}:{where.port} does not answer: {why}", todo)
        return
    with closing(connection):
        connection.execute("SET statement_timeout = '5s'")
        try:
            yield from ledger.findings(connection, settings)
            yield from kakao.findings(connection, settings)
            yield from playauto.findings(connection)
        except psycopg.Error as error:
            yield fail("database", f"a question to it failed: {error}".strip(), "look into its log")


def _targets(settings: Settings) -> int:
    """How many targets are to be told; those of the settings count before any worker has kept them."""
    from tasks.notice_delivery import urls

    kept = 0
    try:
        with psycopg.connect(settings.database_url or "", connect_timeout=3) as db:
            row = db.execute(
                "SELECT count(*) FROM notice_targets WHERE enabled AND address IS NOT NULL"
            ).fetchone()
            kept = int(row[0]) if row else 0
    except psycopg.Error:
        pass  # told above
    return kept + len(urls(settings))


def _accounts(settings: Settings) -> int:
    """How many PlayAuto accounts upload by themselves; none if nobody can be asked."""
    try:
        with psycopg.connect(settings.database_url or "", connect_timeout=3) as db:
            row = db.execute("SELECT count(*) FROM tracking_upload_scheduler WHERE enabled").fetchone()
            return int(row[0]) if row else 0
    except psycopg.Error:
        return 0  # told above


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url is None:
        yield fail("redis", "none is known", "start it with `make up`, or set REDIS_URL")
        return
    client = client_of(settings.redis_url, socket_timeout=2, connect_timeout=2)
    try:
        with closing(client):
            yield from broker.findings(client)
            yield broker.notices(client, _targets(settings))
            yield from broker.uploads(client, _accounts(settings))
    except redis.RedisError as error:
        todo = (
            "start it (`make up`), or mend REDIS_URL; until then workers poll the database, a little slower"
        )
        yield fail("redis", f"it does not answer: {error}", todo)
