"""From a PlayAuto account to its client, one per process."""

from __future__ import annotations

import os
import threading

from gateways.errors import PlayAutoNotConfigured
from gateways.http import Transport
from gateways.playauto.caller import Caller
from gateways.playauto.client import Client
from gateways.playauto.token_store import SharedToken
from gateways.playauto.tokens import Tokens
from gateways.playauto.values import Account, Choices
from runtime.settings import Settings, get_settings

ANSWER_MAX_BYTES = 12 * 1024 * 1024  # PlayAuto's own end is 10 MB (e1017)

_clients: dict[tuple[str, str], Client] = {}
_lock = threading.Lock()


def client_for(account: Account | None = None) -> Client:
    """The client of an account, by default the one of the settings; no network.

    The address is the settings' alone (PLAYAUTO_API_URL): an account brings a login, never a host.
    Raises PlayAutoNotConfigured without an account."""
    settings = get_settings()
    account = account or account_of(settings)
    key = (account.id, settings.playauto_api_url)
    with _lock:
        if key not in _clients:
            _clients[key] = _build(account, settings)
        return _clients[key]


def account_of(settings: Settings) -> Account:
    """The account of PLAYAUTO_*. Raises PlayAutoNotConfigured, naming what is missing."""
    secrets = (settings.playauto_api_key, settings.playauto_password, settings.playauto_authentication_key)
    api_key, password, authentication_key = (one.get_secret_value() if one else None for one in secrets)
    try:
        return Account(api_key or "", settings.playauto_email, password, authentication_key)
    except ValueError:
        raise PlayAutoNotConfigured(
            "PlayAuto needs PLAYAUTO_API_KEY, and PLAYAUTO_EMAIL with PLAYAUTO_PASSWORD or"
            " PLAYAUTO_AUTHENTICATION_KEY; set them in the environment or in .env"
        ) from None


def close_clients() -> None:
    """Close every client's idle connections and forget them all."""
    with _lock:
        clients = list(_clients.values())
        _clients.clear()
    for client in clients:
        client.close()


def _after_fork() -> None:
    """Parent and child must not write to the same connections."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)


def _build(account: Account, settings: Settings) -> Client:
    transport = Transport(
        settings.playauto_api_url,
        deadline_s=settings.playauto_timeout_s,
        body_max_bytes=ANSWER_MAX_BYTES,
    )
    tokens = Tokens(account, transport, SharedToken(account.id))
    choices = Choices(send_by=settings.playauto_send_by, read_back_days=settings.playauto_read_back_days)
    return Client(Caller(account, transport, tokens), choices)
