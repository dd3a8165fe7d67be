"""The two local servers."""

from __future__ import annotations

from ops.local.ports import free_port, is_free
from ops.local.postgres import PostgresServer
from ops.local.server import PortTaken, ServerFailed
from ops.local.valkey import ValkeyServer

__all__ = [
    "PortTaken",
    "PostgresServer",
    "ServerFailed",
    "ValkeyServer",
    "free_port",
    "is_free",
]
