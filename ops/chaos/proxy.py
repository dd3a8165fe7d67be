"""A TCP proxy that cuts connections at the worst moment: when the server has done it and nobody has heard."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, Self

_READY = b"Z\x00\x00\x00\x05"  # ReadyForQuery, before its one byte of status: the transaction is over


class Speech(Protocol):
    """What one connection's client says, as far as a proxy must understand it."""

    def heard(self, data: bytes) -> bytes:
        """The text of the commands that begin or end in these bytes."""
        ...

    def answered(self, data: bytes) -> bool:
        """Whether the server's reply is complete with these bytes."""
        ...


class PlainSpeech:
    """A protocol whose commands stand in the bytes as they are: Redis, or SQL in the simple protocol."""

    def heard(self, data: bytes) -> bytes:
        return data

    def answered(self, data: bytes) -> bool:
        return True


class PostgresSpeech:
    """The frontend protocol, so that a prepared statement is known by its text when it is run by its name."""

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._texts: dict[bytes, bytes] = {}

    def heard(self, data: bytes) -> bytes:
        self._buffer += data
        found = []
        while (message := self._next()) is not None:
            kind, body = message
            if kind == b"P":
                name, _, rest = body.partition(b"\0")
                self._texts[name] = rest.partition(b"\0")[0]
            elif kind == b"B":
                found.append(self._texts.get(body.partition(b"\0")[2].partition(b"\0")[0], b""))
            elif kind == b"Q":
                found.append(body)
        return b"\n".join(found)

    def answered(self, data: bytes) -> bool:
        return data[-6:-1] == _READY

    def _next(self) -> tuple[bytes, bytes] | None:
        head = 1 if self._started else 0  # the first messages carry no type
        if len(self._buffer) < head + 4:
            return None
        (length,) = struct.unpack("!I", self._buffer[head : head + 4])
        if len(self._buffer) < head + length:
            return None
        kind, body = self._buffer[:head], self._buffer[head + 4 : head + length]
        self._buffer = self._buffer[head + length :]
        if not self._started and body[:2] != b"\x04\xd2":  # not a question for TLS or GSS
            self._started = True
        return kind, body


class TcpProxy:
    """Forwards a loopback port to ``target``. Use as a context manager, or `open` and `close`."""

    def __init__(self, target: tuple[str, int], speech: Callable[[], Speech] = PlainSpeech) -> None:
        self._target = target
        self._speech = speech
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

    def cut(self) -> None:
        """Cut all connections; new ones are made as ever."""
        with self._guard:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def go_away(self) -> None:
        """Cut all connections, and every new one at once."""
        self._away = True
        self.cut()

    def come_back(self) -> None:
        """Forward again."""
        self._away = False

    def open(self) -> Self:
        """Begin to listen."""
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()
        return self

    def close(self) -> None:
        """Listen no more and cut what is open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.go_away()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._away:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                client.close()  # as a server that is down refuses
                continue
            for one in (client, server):
                one.settimeout(None)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._forward(client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with self._guard:
            self._open |= {client, server}
        marked, speech = threading.Event(), self._speech()
        for way in (self._requests, self._replies):
            threading.Thread(target=way, args=(client, server, marked, speech), daemon=True).start()

    def _requests(
        self, client: socket.socket, server: socket.socket, marked: threading.Event, speech: Speech
    ) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                text = speech.heard(data)
                if self._swallow is not None and self._swallow in text:
                    self._swallow = None
                    marked.set()
                server.sendall(data)
        self._end(client, server)

    def _replies(
        self, client: socket.socket, server: socket.socket, marked: threading.Event, speech: Speech
    ) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if marked.is_set():
                    if not speech.answered(data):
                        continue  # nothing of it is passed on, but it is heard to its end: then it is done
                    self.swallowed += 1
                    break
                client.sendall(data)
        self._end(client, server)

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        with self._guard:
            self._open -= set(sockets)
