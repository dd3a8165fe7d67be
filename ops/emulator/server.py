"""The emulator: an HTTP/1.1 server with a thread per connection, and its life as an object."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Any, Self

from ops.emulator.bridge import KINDS, Behaviour, Bridge, Kind
from ops.emulator.faults import Faults
from ops.emulator.handler import Handler
from ops.emulator.iris import IrisDevice
from ops.emulator.kakao import Kakao
from ops.emulator.playauto import PlayAuto
from ops.emulator.receipts import Receipts
from ops.emulator.webhooks import Webhooks
from runtime.clock import SystemClock

__all__ = ["KINDS", "Emulator", "EmulatorServer"]

REQUESTS_KEPT = 100_000


class Emulator:
    """Bridges at {url}/key, /lookup, /none; Iris at /iris; Kakao at /kakao, /kauth; PlayAuto at /playauto;
    also /discord, /slack.

    `/_control` scripts all of them.

    `start` binds and serves in a thread; `stop` also cuts the connections that are open. A stopped one can
    be started again and keeps its port, keys and receipts. Use as a context manager does both.
    `rates` and `faults.add(Rule(...))` script what goes wrong; `behaviour` may be changed while it runs.
    """

    def __init__(
        self,
        receipts_path: Path | str | None = None,
        seed: int = 0,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rates: Mapping[str, float] | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.clock = SystemClock()
        self.receipts = Receipts(Path(receipts_path) if receipts_path else None)
        self.faults = Faults(seed, rates)
        self.behaviour = behaviour or Behaviour()
        self.webhooks = Webhooks(seed, self.now)
        self.kakao = Kakao(self.receipts, self.now)
        self.bridges: dict[Kind, Bridge] = {
            kind: Bridge(kind, self.receipts, self.behaviour, self.now, seed) for kind in KINDS
        }
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self.stopping = threading.Event()
        self._receipts_path = Path(receipts_path) if receipts_path else None
        self._seed = seed
        self._devices: dict[str, IrisDevice] = {}
        self._playautos: dict[str, PlayAuto] = {}
        self._devices_guard = threading.Lock()
        self._address = (host, port)
        self._server: EmulatorServer | None = None

    def now(self) -> float:
        """Epoch seconds: what receipts are stamped with."""
        return self.clock.now().timestamp()

    @property
    def url(self) -> str:
        """`http://host:port`, known from `start` on."""
        return f"http://{self._address[0]}:{self._address[1]}"

    def device(self, name: str = "iris") -> IrisDevice:
        """The Iris device at {url}/{name}, made at first use: `iris`, `iris-2`, `iris-busan`, …"""
        with self._devices_guard:
            if name not in self._devices:
                self._devices[name] = IrisDevice(f"emulator-{name}", self.receipts, self.clock, self.stopping)
            return self._devices[name]

    def playauto(self, name: str = "playauto") -> PlayAuto:
        """The PlayAuto account at {url}/{name}, made at first use: `playauto`, `playauto-2`, … Its receipts
        stand beside the others, in a file of its own."""
        with self._devices_guard:
            if name not in self._playautos:
                path = self._receipts_path
                own = path.with_name(f"{path.stem}-{name}.jsonl") if path else None
                self._playautos[name] = PlayAuto(name, own, self.clock, self.stopping, self._seed)
            return self._playautos[name]

    def start(self) -> Self:
        """Bind and serve. Raises OSError if the port is taken."""
        self.stopping.clear()
        self._server = EmulatorServer(self._address, self)
        self._address = (self._address[0], self._server.server_port)
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.05,), name="emulator", daemon=True).start()
        for playauto in self._playautos.values():
            playauto.jobs.resume()
        return self

    def stop(self) -> None:
        """Serve no more, and cut what is open."""
        self.stopping.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_connections()
            self._server = None

    def close(self) -> None:
        """`stop`, and close the receipt file."""
        self.stop()
        self.receipts.close()
        for playauto in self._playautos.values():
            playauto.changes.close()

    def reset(self) -> None:
        """No faults, no remembered keys, no request log. The receipt file is append-only and stays."""
        self.faults.clear()
        self.requests.clear()
        self.webhooks.reset()
        self.kakao.forget()
        for playauto in self._playautos.values():
            playauto.reset()
        for bridge in self.bridges.values():
            bridge.forget()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class EmulatorServer(ThreadingHTTPServer):
    """Knows its connections, so that they can be cut."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], emulator: Emulator) -> None:
        self.emulator = emulator
        self._open: set[socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """End every open connection."""
        with self._guard:
            sockets = list(self._open)
        for one in sockets:
            try:
                one.shutdown(SHUT_RDWR)
            except OSError:
                continue  # its thread was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # clients that leave are what this server is for
            super().handle_error(request, client_address)
