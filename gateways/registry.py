"""From a channel's name to its adapter."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from gateways.adapter import Adapter
from gateways.bridge.adapter import BridgeAdapter
from gateways.errors import UnknownChannel, UnusableChannel
from gateways.http import Transport
from gateways.iris.adapter import IrisAdapter
from gateways.kakao.adapter import FRIENDS, MEMO, KakaoAdapter, Way
from gateways.kakao.tokens import AppKeys, Tokens, TokenStore
from gateways.playauto.accounts import close_clients
from runtime.settings import Settings, get_settings

_adapters: dict[tuple[str, str], Adapter] = {}
_token_store: Callable[[], TokenStore] | None = None
_lock = threading.Lock()
_KAKAO = {"kakao-memo": MEMO, "kakao-friends": FRIENDS}


def adapter_for(channel: str) -> Adapter:
    """The adapter of a channel in the settings, one per process and channel; no network.

    Raises UnknownChannel (no setting has it) and UnusableChannel (its URL cannot be served)."""
    settings = get_settings()
    channels = settings.channels()
    url = channels.get(channel)
    if url is None:
        raise UnknownChannel(channel, sorted(channels))
    with _lock:
        # The URL is part of the key, so that changed settings give a new adapter.
        if (channel, url) not in _adapters:
            _adapters[channel, url] = _build(channel, url, settings)
        return _adapters[channel, url]


def use_token_store(store: Callable[[], TokenStore]) -> None:
    """Where Kakao's tokens are kept: gateways know no database, so whoever starts a process says it."""
    global _token_store
    _token_store = store


def close_adapters() -> None:
    """Close every adapter's idle connections, and PlayAuto's clients', and forget them all."""
    close_clients()
    with _lock:
        adapters = list(_adapters.values())
        _adapters.clear()
    for adapter in adapters:
        adapter.close()


def _after_fork() -> None:
    """Parent and child must not write to the same connections."""
    global _lock
    _lock = threading.Lock()
    _adapters.clear()


os.register_at_fork(after_in_child=_after_fork)


def _build(channel: str, url: str, settings: Settings) -> Adapter:
    kind, _, base_url = url.partition("+")
    if kind in _KAKAO:
        return _kakao(channel, _KAKAO[kind], base_url, settings)
    if kind not in ("bridge", "iris"):
        raise UnusableChannel(
            channel, f"its URL starts with {kind!r}; bridge+ or iris+, http:// or https:// is known"
        )
    try:
        if kind == "iris":
            return IrisAdapter.of(channel, base_url, settings)
        transport = Transport(base_url, deadline_s=settings.http_deadline_s)
    except ValueError as error:
        raise UnusableChannel(channel, str(error)) from None
    token = settings.bridge_token
    return BridgeAdapter(channel, transport, token=token.get_secret_value() if token else None)


def _kakao(channel: str, way: Way, base_url: str, settings: Settings) -> Adapter:
    if _token_store is None:
        raise UnusableChannel(channel, "this process was not told where Kakao's tokens are kept")
    api = Transport(base_url, deadline_s=_kakao_deadline_s(settings))
    tokens = kakao_tokens(_token_store())
    return KakaoAdapter(
        channel, way, api, tokens, link=settings.kakao_link, long_text=settings.kakao_long_text
    )


def kakao_tokens(store: TokenStore) -> Tokens:
    """The Kakao account's token, kept in ``store`` and refreshed at kauth."""
    auth, keys = kakao_login()
    return Tokens(store, auth, keys, ahead_s=get_settings().kakao_refresh_ahead_s)


def kakao_login() -> tuple[Transport, AppKeys]:
    """The way to kauth, and the app's own keys."""
    settings = get_settings()
    key, secret = settings.kakao_rest_api_key, settings.kakao_client_secret
    keys = AppKeys(key.get_secret_value() if key else None, secret.get_secret_value() if secret else None)
    return Transport(settings.kakao_auth_url, deadline_s=_kakao_deadline_s(settings)), keys


def _kakao_deadline_s(settings: Settings) -> float:
    """The lease at the point of no return covers the general deadline, no more."""
    return min(settings.kakao_timeout_s, settings.http_deadline_s)
