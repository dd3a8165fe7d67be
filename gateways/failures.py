"""What the exceptions of requests, urllib3, http.client and ssl mean, as short stable codes."""

from __future__ import annotations

import http.client
import ssl

from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, SSLError


def why_not_connected(error: BaseException) -> str:
    """`dns`, `refused`, `connect_timeout`, `tls` or `unreachable`. Nothing of the request has left."""
    if isinstance(error, NameResolutionError):
        return "dns"
    if isinstance(error, NewConnectionError):
        return "refused" if isinstance(error.__cause__, ConnectionRefusedError) else "unreachable"
    if isinstance(error, ConnectTimeoutError):
        return "connect_timeout"
    # TCP stood; what failed is the handshake: garbage, a wrong certificate, silence, a reset.
    return "tls" if isinstance(error, (ssl.SSLError, SSLError, OSError)) else "unreachable"


def why_no_reply(error: BaseException) -> str:
    """`deadline`, `no_response` (closed without a byte), `reset`, `bad_response` (bytes that are no HTTP) or
    `connection_lost`. In each the request may have arrived."""
    causes = _causes(error)
    for kind, reason in (
        (TimeoutError, "deadline"),
        (http.client.RemoteDisconnected, "no_response"),
        (ConnectionResetError, "reset"),
        (http.client.HTTPException, "bad_response"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return reason
    return "connection_lost"


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that it wraps: requests and urllib3 put the original into `args`."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or any(one is known for known in found):
            continue
        found.append(one)
        waiting += [*one.args, one.__cause__, one.__context__]
    return found
