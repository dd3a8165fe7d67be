"""The Kakao account's tokens as the ledger keeps them: sealed, one row an account."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from runtime.sealing import seal, unseal

Connection = psycopg.Connection[Any]
ACCOUNT = "default"
_REFRESH_LOCK = 0x4B414B41  # one refresh at a time, whatever became of Redis


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """Tokens in the clear; never log or print one. ``seed``: hash of the settings' tokens it grew from."""

    access: str
    refresh: str | None
    expires_at: dt.datetime | None
    refresh_expires_at: dt.datetime | None
    scopes: str
    seed: str | None
    updated_at: dt.datetime | None = None
    updated_by: str = ""

    def __repr__(self) -> str:
        return f"TokenRow(expires_at={self.expires_at}, updated_by={self.updated_by!r})"


@dataclass(frozen=True, slots=True)
class _Sealed:
    access: bytes
    refresh: bytes | None
    expires_at: dt.datetime | None
    refresh_expires_at: dt.datetime | None
    scopes: str
    seed: str | None
    updated_at: dt.datetime
    updated_by: str


def load(db: Connection) -> TokenRow | None:
    """The stored tokens, None if there are none. Raises Unsealable if another key sealed them."""
    with db.cursor(row_factory=class_row(_Sealed)) as cursor:
        row = cursor.execute(
            "SELECT access, refresh, expires_at, refresh_expires_at, scopes, seed, updated_at, updated_by"
            " FROM kakao_tokens WHERE account = %s",
            (ACCOUNT,),
        ).fetchone()
    if row is None:
        return None
    return TokenRow(
        access=unseal(row.access), refresh=unseal(row.refresh) if row.refresh is not None else None,
        expires_at=row.expires_at, refresh_expires_at=row.refresh_expires_at, scopes=row.scopes,
        seed=row.seed, updated_at=row.updated_at, updated_by=row.updated_by,
    )  # fmt: skip


def save(db: Connection, token: TokenRow) -> None:
    """Keep the tokens in place of what was there."""
    db.execute(
        "INSERT INTO kakao_tokens AS k (account, access, refresh, expires_at, refresh_expires_at, scopes,"
        " seed, updated_at, updated_by) VALUES (%s, %s, %s, %s, %s, %s, %s, ledger_now(), %s)"
        " ON CONFLICT (account) DO UPDATE SET access = excluded.access, refresh = excluded.refresh,"
        " expires_at = excluded.expires_at, refresh_expires_at = excluded.refresh_expires_at,"
        " scopes = excluded.scopes, seed = excluded.seed, updated_at = excluded.updated_at,"
        " updated_by = excluded.updated_by",
        (
            ACCOUNT, seal(token.access), seal(token.refresh) if token.refresh else None, token.expires_at,
            token.refresh_expires_at, token.scopes, token.seed, token.updated_by,
        ),
    )  # fmt: skip


def try_refresh_lock(db: Connection) -> bool:
    """Take the lock of this session, not waiting; it ends with `free_refresh_lock` or with the session."""
    row = db.execute("SELECT pg_try_advisory_lock(%s)", (_REFRESH_LOCK,)).fetchone()
    return bool(row and row[0])


def free_refresh_lock(db: Connection) -> None:
    """Give the lock back."""
    db.execute("SELECT pg_advisory_unlock(%s)", (_REFRESH_LOCK,))


def note_login_needed(db: Connection, why: str) -> None:
    """An incident, so that operators are told; once an hour is enough."""
    db.execute(
        "INSERT INTO incidents (kind, detail)"
        " SELECT 'kakao_login_needed', jsonb_build_object('why', %s::text)"
        " WHERE NOT EXISTS (SELECT 1 FROM incidents WHERE kind = 'kakao_login_needed'"
        " AND at > (SELECT ledger_now()) - interval '1 hour')",
        (why,),
    )
