"""From an account's name to its client, with the login that the account has of its own, or the settings'."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import psycopg

from gateways.errors import PlayAutoNotConfigured
from gateways.playauto.accounts import account_of, client_for
from gateways.playauto.client import Client
from gateways.playauto.values import Account
from models.store.accounts import load_credentials
from runtime import database
from runtime.settings import get_settings


def login_of(db: psycopg.Connection[Any], account: str) -> Account:
    """The login of an account: its own, else the settings'.

    Raises PlayAutoNotConfigured without any, Unsealable or SettingsError where its own cannot be read.
    """
    own = load_credentials(db, account)
    return account_of(get_settings()) if own is None else Account(**asdict(own))


def client_of(account: str) -> Client:
    """The account's client. Raises as `login_of`, PlayAutoNotConfigured for an account that was deleted (the
    settings' login may be another seller's), and psycopg.Error if the ledger is away."""
    return client_for(database.retrying(lambda db: _login_now(db, account)))


def _login_now(db: psycopg.Connection[Any], account: str) -> Account:
    row = db.execute(
        "SELECT 1 FROM tracking_upload_scheduler WHERE account = %s AND deleted_at IS NULL", (account,)
    ).fetchone()
    if row is None:
        raise PlayAutoNotConfigured(
            f"the account {account!r} was deleted or renamed in the middle of its run"
        )
    return login_of(db, account)
