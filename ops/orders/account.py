"""From an account's name to PlayAuto's client, and what PlayAuto says of its login and its carriers."""

from __future__ import annotations

from typing import Any

import psycopg

from gateways.errors import PlayAutoNotConfigured
from gateways.playauto.accounts import client_for
from gateways.playauto.client import Client
from gateways.playauto.token_store import SharedToken
from gateways.playauto.values import Account
from models.store.carriers import save_carriers
from models.store.orders import organisation_of
from runtime.sealing import Unsealable
from runtime.settings import SettingsError
from tasks.tracking import accounts

Connection = psycopg.Connection[Any]


def login_of(db: Connection, account: str) -> Account:
    """The login of an account: its own, else the settings'.

    Raises NotFound for no such account, Unsealable and SettingsError for credentials that this installation
    cannot open, PlayAutoNotConfigured where there is no login at all.
    """
    organisation_of(db, account)
    return accounts.login_of(db, account)


def client_of(db: Connection, account: str) -> Client:
    """The client of an account; no network. Raises as `login_of`."""
    return client_for(login_of(db, account))


def login_state(db: Connection, account: str) -> str:
    """What is known of a login without asking PlayAuto: `none`, `unreadable`, `logged in`, `not tried`.

    `logged in` means that a token of the last 24 hours is there.
    """
    try:
        login = login_of(db, account)
    except PlayAutoNotConfigured:
        return "none"
    except (Unsealable, SettingsError):
        return "unreadable"
    return "logged in" if SharedToken(login.id).load() is not None else "not tried"


def refresh_carriers(db: Connection, account: str, client: Client) -> tuple[int, int]:
    """Take PlayAuto's list of carriers; how many there are, and how many orders got their code by it.

    Raises PlayAutoUnavailable, and Refused for an empty list; the last list stays then.
    """
    listed = [(one.code, one.name) for one in client.carriers()]
    ready = save_carriers(db, account, listed)
    return len(listed), ready
