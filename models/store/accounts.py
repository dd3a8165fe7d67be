"""The secrets of an account: PlayAuto's credentials and the webhooks, sealed (runtime.sealing)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import psycopg

from models.store.errors import NotFound, Refused, Wrong
from runtime.sealing import seal, unseal

Connection = psycopg.Connection[Any]
_SEALED: Final = "sealed:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What `POST /auth` wants: the API key, e-mail with password or an authentication key; never log it."""

    api_key: str = field(repr=False)
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    authentication_key: str | None = field(default=None, repr=False)


def save_credentials(db: Connection, account: str, credentials: Credentials) -> None:
    """Keep an account's credentials. Raises Refused for what cannot log in, NotFound without the account."""
    wrong = list(_wrong(credentials))
    if wrong:
        raise Refused(wrong)
    done = db.execute(
        "UPDATE tracking_upload_scheduler SET credentials = %s WHERE account = %s AND deleted_at IS NULL",
        (seal(json.dumps(asdict(credentials))), account),
    )
    if done.rowcount == 0:
        raise NotFound(f"there is no account {account!r}")


def load_credentials(db: Connection, account: str) -> Credentials | None:
    """An account's own credentials; None: the settings' PLAYAUTO_... are used. Raises Unsealable."""
    row = db.execute(
        "SELECT credentials FROM tracking_upload_scheduler WHERE account = %s AND deleted_at IS NULL",
        (account,),
    ).fetchone()
    return Credentials(**json.loads(unseal(row[0]))) if row and row[0] is not None else None


def sealed_webhook(url: str) -> str:
    """A webhook as `discord_webhook` and `slack_webhook` keep it: its address is its password."""
    return _SEALED + seal(url).decode()


def webhook_of(kept: str | None) -> str | None:
    """The address that such a column holds; one that other programs wrote in the clear is taken as it is."""
    if not kept:
        return None
    return unseal(kept.removeprefix(_SEALED).encode()) if kept.startswith(_SEALED) else kept


def _wrong(credentials: Credentials) -> list[Wrong]:
    found = []
    if not credentials.api_key.strip():
        found.append(Wrong("api_key", "it is empty", "PlayAuto's x-api-key"))
    if not credentials.authentication_key and not (credentials.email and credentials.password):
        hint = "an e-mail with its password, or an authentication key"
        found.append(Wrong("email", "nobody can log in with this", hint))
    return found
