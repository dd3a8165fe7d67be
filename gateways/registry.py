"""From a channel's name to its adapter."""

from __future__ import annotations

import os
import threading

from gateways.adapter import Adapter
from gateways.bridge.adapter import BridgeAdapter
from gateways.errors import UnknownChannel, UnusableChannel
from gateways.http import Transport
from gateways.iris.adapter import IrisAdapter
from runtime.settings import Settings, get_settings

_adapters: dict[tuple[str, str], Adapter] = {}
_lock = threading.Lock()


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


def close_adapters() -> None:
    """Close every adapter's idle connections and forget them all."""
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
