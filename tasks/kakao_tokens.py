"""The token store of the workers: the ledger's table, one refresh at a time, a file for the worst moment.

Kakao kills the old refresh token when it hands out a new one, so the new one is on disk, sealed, before
anything else happens; it goes into the table after that. What the settings hold is a seed: the table's
token grew from it and counts until the settings name another one.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psycopg
import redis

from gateways.kakao.tokens import KakaoToken
from models.ledger import tokens as ledger
from models.ledger.tokens import TokenRow
from runtime import database, redis_keys
from runtime.clock import clock
from runtime.redis_client import lock_redis
from runtime.sealing import Unsealable, seal, unseal
from runtime.settings import Settings, get_settings
from tasks.locks import RELEASE

_LOCK_MS = 15_000  # above the deadline of the one request that is made under it
_WAIT_S = 3.0  # for another process's refresh
_WHO = "refresh"


class LedgerTokens:
    """See `gateways.kakao.tokens.TokenStore`."""

    def load(self) -> KakaoToken | None:
        """The stored token, unless the settings name another one than it grew from."""
        settings = get_settings()
        held = database.retrying(ledger.load)
        held = self._rescued(settings, held)
        seed = seed_of(settings)
        if held is None or (seed is not None and held.seed is not None and held.seed != seed):
            return _from_settings(settings)
        return KakaoToken(held.access, held.refresh, held.expires_at, held.refresh_expires_at, held.scopes)

    def save(self, token: KakaoToken) -> None:
        """On disk first, then in the table; the file goes when the table has it."""
        row = _row(token, seed_of(get_settings()))
        path = _rescue_file(get_settings())
        _write(path, row)
        try:
            database.retrying(lambda db: ledger.save(db, row))
        except (psycopg.Error, OSError):
            return  # `load` brings it in when the ledger is back
        with suppress(OSError):
            path.unlink()

    @contextmanager
    def refreshing(self) -> Iterator[bool]:
        """By a Redis lock, which spares attempts, and the session's lock in Postgres, which decides."""
        token = uuid.uuid4().hex
        spared = _redis_says_wait(token)
        try:
            if spared:
                yield False
                return
            with database.pool().connection() as db:
                mine = ledger.try_refresh_lock(db)
                try:
                    yield mine
                finally:
                    if mine:
                        ledger.free_refresh_lock(db)
        finally:
            with suppress(redis.RedisError):
                lock_redis().eval(RELEASE, 1, redis_keys.kakao_refresh(), token)

    def login_needed(self, why: str) -> None:
        """An incident in the ledger; notices are made of those."""
        with suppress(psycopg.Error):
            database.retrying(lambda db: ledger.note_login_needed(db, why))

    def _rescued(self, settings: Settings, held: TokenRow | None) -> TokenRow | None:
        """A token that a process could not store, and died or lost the ledger over."""
        path = _rescue_file(settings)
        if not path.exists():
            return held
        try:
            row, at = _read(path)
        except (OSError, ValueError, KeyError, Unsealable):
            return held
        if held is None or held.updated_at is None or at > held.updated_at:
            database.retrying(lambda db: ledger.save(db, row))
            held = row
        with suppress(OSError):
            path.unlink()
        return held


def seed_of(settings: Settings) -> str | None:
    """A hash of the tokens in the settings, by which a change of them is seen; None: they hold none."""
    parts = [settings.kakao_access_token, settings.kakao_refresh_token]
    if not any(parts):
        return None
    text = "\0".join(one.get_secret_value() if one else "" for one in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def _from_settings(settings: Settings) -> KakaoToken | None:
    access, refresh = settings.kakao_access_token, settings.kakao_refresh_token
    if access is None and refresh is None:
        return None
    # Without an access token the refresh token alone will do: an empty one that has ended is refreshed first.
    ended = None if access is not None else clock().now()
    return KakaoToken(
        access.get_secret_value() if access else "", refresh.get_secret_value() if refresh else None, ended
    )


def _row(token: KakaoToken, seed: str | None) -> TokenRow:
    return TokenRow(
        access=token.access, refresh=token.refresh, expires_at=token.expires_at,
        refresh_expires_at=token.refresh_expires_at, scopes=token.scopes, seed=seed, updated_by=_WHO,
    )  # fmt: skip


def _redis_says_wait(token: str) -> bool:
    """Whether somebody else still refreshes after a wait. Redis away: nobody knows, so no."""
    until = clock().monotonic() + _WAIT_S
    try:
        while not lock_redis().set(redis_keys.kakao_refresh(), token, nx=True, px=_LOCK_MS):
            if clock().monotonic() >= until:
                return True
            clock().wait(0.05)
    except redis.RedisError:
        pass
    return False


def _rescue_file(settings: Settings) -> Path:
    return settings.home / "journal" / "kakao-token.sealed"


def _write(path: Path, row: TokenRow) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {
        "access": row.access, "refresh": row.refresh, "scopes": row.scopes, "seed": row.seed,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "refresh_expires_at": row.refresh_expires_at.isoformat() if row.refresh_expires_at else None,
        "at": clock().now().isoformat(),
    }  # fmt: skip
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(seal(json.dumps(fields)))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read(path: Path) -> tuple[TokenRow, datetime]:
    fields = json.loads(unseal(path.read_bytes()))
    row = TokenRow(
        access=fields["access"], refresh=fields["refresh"], expires_at=_instant(fields["expires_at"]),
        refresh_expires_at=_instant(fields["refresh_expires_at"]), scopes=fields["scopes"],
        seed=fields["seed"], updated_by=_WHO,
    )  # fmt: skip
    return row, datetime.fromisoformat(fields["at"])


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
