"""Loopback ports for our own servers."""

from __future__ import annotations

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
_LOWEST = 15_000
_TRIES = 200


def free_port() -> int:
    """A loopback port that was free a moment ago, below those the system gives to clients.

    A port of the clients' range is lost while its server is down: sooner or later a client that tries to
    come back is given that very port as its own end, connects to itself and keeps it.
    """
    highest = _first_client_port() - 1
    for _ in range(_TRIES if highest > _LOWEST else 0):
        port = random.randint(_LOWEST, highest)
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could take this loopback port now."""
    with socket.socket() as probe:
        # As servers do: what the last server's connections left behind (TIME_WAIT) does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _first_client_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
