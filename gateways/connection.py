"""The connection under a request: opened before the point of no return, and never again after it.

`requests` and urllib3's pools open a new connection whenever they think the old one is gone, and write the
request to it. Here urllib3's connection is used alone, and it refuses to connect once it is sealed; so a
request either goes over the connection that was prepared, or provably does not go at all. Without a pool
there are no redirects, cookies, .netrc and proxies from the environment to switch off, and a request costs
half as much CPU.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection

from runtime.failpoints import hit

_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL | getattr(select, "POLLRDHUP", 0)


class NothingWritten(Exception):
    """The request was stopped before its first byte. Not an OSError: urllib3 swallows some of those."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Sealing:
    """Mixed into urllib3's connections. `wrote_at` is when the first byte of the current request was handed
    to the socket (None: not yet), on the transport's monotonic clock."""

    sealed = False
    wrote_at: float | None = None
    write_by: float | None = None
    monotonic: Callable[[], float]
    idle_since = 0.0
    keep_alive_s = 0.0
    fresh = True

    def connect(self) -> None:
        if self.sealed:
            raise NothingWritten("connection_closed")
        super().connect()  # type: ignore[misc]

    def send(self, data: Any) -> None:
        """http.client calls this for the head and for the body; it would connect by itself if there were no
        socket. This is the last moment at which a late send can still be stopped."""
        if self.sock is None:  # type: ignore[attr-defined]
            raise NothingWritten("connection_closed")
        if self.wrote_at is None:
            now = self.monotonic()
            if self.write_by is not None and now > self.write_by:
                raise NothingWritten("guard_missed")
            if self.write_by is not None:
                hit("send.guarded")
            self.wrote_at = now
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        """The request is out. Only a send has a `write_by`; a question may be lost without harm."""
        if self.write_by is not None:
            hit("send.written")
        return super().getresponse()  # type: ignore[misc]

    def why_unusable(self, now: float) -> str | None:
        """Why nothing may be written to it now, or None. Costs one poll()."""
        if self.sock is None:  # type: ignore[attr-defined]
            return "connection_closed"
        if now - self.idle_since > self.keep_alive_s:
            return "connection_expired"
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN | _GONE)  # type: ignore[attr-defined]
        happened = poll.poll(0)
        if not happened:
            return None
        # Right after a TLS 1.3 handshake the server's session tickets wait to be read: no sign of death.
        tickets_only = self.fresh and isinstance(self, HTTPSConnection) and not happened[0][1] & _GONE
        return None if tickets_only else "connection_closed"


class PlainWire(_Sealing, HTTPConnection):
    """HTTP over TCP."""


class TlsWire(_Sealing, HTTPSConnection):
    """HTTP over TLS."""


Wire = PlainWire | TlsWire


def new_wire(
    host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float, monotonic: Callable[[], float]
) -> Wire:
    """A connection that is not yet connected."""
    wire: Wire = (
        PlainWire(host, port, timeout=timeout_s)
        if tls is None
        else TlsWire(host, port, timeout=timeout_s, ssl_context=tls)
    )
    wire.monotonic = monotonic
    return wire
