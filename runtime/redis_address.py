"""What REDIS_URL says: one Redis, or Sentinels that know which of several is the master now.

`sentinel://[:PASSWORD@]HOST[:PORT],HOST[:PORT],…[/DB][?master=NAME&sentinel_password=PASSWORD]`. Anything
else is redis-py's and Celery's own (`redis://`, `rediss://`, `unix://`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

SCHEME = "sentinel"
_PORT = 26379
_MASTER = "mymaster"
_KNOWN = {"master", "sentinel_password"}


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Who to ask for the master, and how to enter it; the Sentinels' own password may be another."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int
    username: str | None
    password: str | None
    sentinel_password: str | None


def is_sentinel(url: str) -> bool:
    """Whether an address names Sentinels."""
    return urlsplit(url).scheme == SCHEME


def sentinels_of(url: str) -> Sentinels:
    """Read such an address. Raises ValueError saying what is wrong."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    asked = parse_qs(parts.query, keep_blank_values=True)
    if unknown := sorted(set(asked) - _KNOWN):
        raise ValueError(f"{unknown[0]} is unknown; there are {', '.join(sorted(_KNOWN))}")
    db = parts.path.strip("/") or "0"
    if not db.isdigit():
        raise ValueError(f"the database is a number, not {db!r}")
    return Sentinels(
        tuple(_host(text) for text in hosts.split(",")), asked.get("master", [_MASTER])[0], int(db),
        unquote(user) or None, unquote(password) or None, asked.get("sentinel_password", [None])[0],
    )  # fmt: skip


def for_celery(url: str) -> tuple[str, dict[str, Any]]:
    """The address as Celery and kombu write it, and the transport options that belong to it."""
    if not is_sentinel(url):
        return url, {}
    known = sentinels_of(url)
    user, password = (quote(part or "", safe="") for part in (known.username, known.password))
    login = f"{user}:{password}@" if known.password else ""
    told = ";".join(f"{SCHEME}://{login}{host}:{port}/{known.db}" for host, port in known.hosts)
    asked: dict[str, Any] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
    if known.sentinel_password:
        asked["password"] = known.sentinel_password
    return told, {"master_name": known.master, "sentinel_kwargs": asked}


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.partition(":")
    if not host or (colon and not port.isdigit()):
        raise ValueError(f"{text!r} is no HOST:PORT of a Sentinel")
    return host, int(port) if port else _PORT
