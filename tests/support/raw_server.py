"""A server made of bare sockets, for what no well-behaved server does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Self

Behaviour = Callable[[socket.socket, "RawServer"], None]


class RawServer:
    """Runs `behave` in a thread for each connection and closes the socket afterwards.

    `connections` counts them, `closed` those that have ended here; `requests` holds what `read_request`
    read; `stopping` ends long waits."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._behave, self._tls = behave, tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.closed = 0
        self.requests: list[bytes] = []
        self.stopping = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                self._behave(sock, self)
        self.closed += 1

    def read_request(self, sock: socket.socket) -> bytes:
        """One whole request, or b"" if the client left."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := sock.recv(65536)):
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < length and (more := sock.recv(65536)):
            body += more
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]


def reset(sock: socket.socket) -> None:
    """End the connection by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def response(status: str, body: bytes, content_type: str = "application/json", *headers: str) -> bytes:
    """A whole HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(raw: bytes) -> Behaviour:
    """Answers every request of a connection with these bytes."""

    def behave(sock: socket.socket, server: RawServer) -> None:
        while server.read_request(sock):
            sock.sendall(raw)

    return behave


def once_unanswered(sock: socket.socket, server: RawServer) -> None:
    """Reads a request and closes."""
    server.read_request(sock)
