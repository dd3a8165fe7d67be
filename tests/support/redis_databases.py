"""A numbered Redis database for each test process, empty at each test's start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis

from ops.local.valkey import DATABASES
from tests.support.run import Run

_CLAIM = "jeongsi-test:database:{}"
_CLAIM_S = 6 * 3600
_FOREIGN_DATABASES = 16


def empty(url: str) -> None:
    """Delete every key of this numbered database, and no other's."""
    client = redis.Redis.from_url(url)
    for key in client.scan_iter(count=1000):
        client.unlink(key)
    client.close()


@contextmanager
def claimed(run: Run, worker: int, real_url: str | None) -> Iterator[str]:
    """The URL of a database for this test process alone.

    On a server of one's own an empty one is claimed by a key in the database that TEST_REDIS_URL names,
    so that two runs never share one; that key is all we write there.
    """
    if run.embedded_redis:
        yield _numbered(run.redis_url, 1 + worker % (DATABASES - 1))
        return
    claims = redis.Redis.from_url(run.redis_url)
    number = _claim(claims, run, real_url)
    try:
        yield _numbered(run.redis_url, number)
        empty(_numbered(run.redis_url, number))
    finally:
        claims.delete(_CLAIM.format(number))
        claims.close()


def _claim(claims: redis.Redis, run: Run, real_url: str | None) -> int:
    taken = {_number(run.redis_url), _number(real_url) if real_url else 0}
    for number in range(_FOREIGN_DATABASES):
        if number in taken or not claims.set(_CLAIM.format(number), run.id, nx=True, ex=_CLAIM_S):
            continue
        if _is_empty(_numbered(run.redis_url, number)):
            return number
        claims.delete(_CLAIM.format(number))
    raise RuntimeError("TEST_REDIS_URL: no empty database (0-15) is left for the tests on that server")


def _is_empty(url: str) -> bool:
    client = redis.Redis.from_url(url)
    try:
        return client.dbsize() == 0
    except redis.ResponseError:  # this server has fewer databases
        return False
    finally:
        client.close()


def _numbered(url: str, number: int) -> str:
    return urlsplit(url)._replace(path=f"/{number}").geturl()


def _number(url: str) -> int:
    path = urlsplit(url).path.strip("/")
    return int(path) if path.isdigit() else 0
