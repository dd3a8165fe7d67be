"""A TCP proxy that cuts connections at the worst moment: when the server has done it and nobody has heard."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class TcpProxy:
    """Forwards a loopback port to ``target``. Use as a context manager."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._away = False
        self._swallow: bytes | None = None
        self.swallowed = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def swallow_reply_to(self, statement: bytes) -> None:
        """Once: let the request that holds this text reach the server, and cut instead of the reply."""
        self._swallow = statement

    def go_away(self) -> None:
        """Cut all connections, and every new one at once."""
        self._away = True
        with self._guard:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        """Forward again."""
        self._away = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.go_away()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._away:
                client.close()
                continue
            server = socket.create_connection(self._target)
            with self._guard:
                self._open |= {client, server}
            marked = threading.Event()
            threading.Thread(target=self._requests, args=(client, server, marked), daemon=True).start()
            threading.Thread(target=self._replies, args=(server, client, marked), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, marked: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._swallow is not None and self._swallow in data:
                    self._swallow = None
                    marked.set()
                server.sendall(data)
        self._end(client, server)

    def _replies(self, server: socket.socket, client: socket.socket, marked: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if marked.is_set():
                    self.swallowed += 1
                    break  # an autocommit reply is written after the commit
                client.sendall(data)
        self._end(client, server)

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        with self._guard:
            self._open -= set(sockets)
