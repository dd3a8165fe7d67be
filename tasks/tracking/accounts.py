"""From an account's name to its client, with the login that the account has of its own, or the settings'."""

from __future__ import annotations

from gateways.playauto.accounts import client_for
from gateways.playauto.client import Client
from gateways.playauto.values import Account
from models.store.accounts import load_credentials
from runtime import database


def client_of(account: str) -> Client:
    """The account's client. Raises PlayAutoNotConfigured without any login, Unsealable or SettingsError
    where its own cannot be read, psycopg.Error if the ledger is away."""
    kept = database.retrying(lambda db: load_credentials(db, account))
    if kept is None:
        return client_for()
    return client_for(Account(kept.api_key, kept.email, kept.password, kept.authentication_key))
