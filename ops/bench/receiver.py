"""The cheapest bridge there can be: takes every message, counts it, remembers its key.

    python -m ops.bench.receiver --port 8123 --delay-ms 50 --look-up

It stands in for a fast provider, so that a benchmark measures the sender. `GET /stats` answers what
arrived: how many, how many twice, and how many in each tenth of a second since the first. Loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from runtime.clock import clock

_CAPABILITIES = {
    "idempotency": False, "idempotency_ttl_s": 0, "lookup_by_key": False, "lookup_authoritative": False,
    "lookup_lag_s": 0, "confirms": False, "text_limit": 4000, "images": True, "max_images": 10,
    "max_image_bytes": 10_485_760, "image_types": ["image/png"], "max_in_flight": None,
}  # fmt: skip
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Arrivals:
    """What has arrived, by key. Times are Unix seconds."""

    def __init__(self, look_up: bool, lag_s: float) -> None:
        self.look_up = look_up
        self.lag_s = lag_s
        self.at: dict[str, float] = {}
        self.twice = 0

    def add(self, key: str) -> bytes:
        """Take one message; answers the body."""
        if key in self.at:
            self.twice += 1
        else:
            self.at[key] = clock().now().timestamp()
        return b'{"accepted": true, "message_id": "m-%d"}' % len(self.at)

    def answer(self, path: str) -> bytes:
        """The body of a GET."""
        if path.endswith("/v1/capabilities"):
            own = {"lookup_by_key": self.look_up, "lookup_lag_s": self.lag_s}
            return json.dumps(_CAPABILITIES | own).encode()
        if path == "/stats":
            return json.dumps(self.stats()).encode()
        found = path.rpartition("/")[2] in self.at
        told: dict[str, Any] = {"found": found, "state": "delivered", "message_id": "m"} if found else {}
        return json.dumps(told or {"found": False}).encode()

    def stats(self) -> dict[str, Any]:
        """How many arrived, and when: sorted Unix times in seconds."""
        return {"count": len(self.at), "twice": self.twice, "at": sorted(self.at.values())}


class Connection(asyncio.Protocol):
    """One connection; requests come one after another, each with Content-Length, as our transport writes."""

    def __init__(self, arrivals: Arrivals, delay_s: float) -> None:
        self._arrivals = arrivals
        self._delay_s = delay_s
        self._read = b""
        self._out: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._out = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].decode("latin-1")
            length = int(_header(head, "content-length") or 0)
            if len(self._read) < end + 4 + length:
                return
            self._read = self._read[end + 4 + length :]
            self._serve(head)

    def _serve(self, head: str) -> None:
        method, path, _ = head.split(" ", 2)
        if method == "GET":
            self._say(self._arrivals.answer(path))
            return
        body = self._arrivals.add(_header(head, "idempotency-key") or "")
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._say, body)
        else:
            self._say(body)

    def _say(self, body: bytes) -> None:
        if self._out is not None and not self._out.is_closing():
            self._out.write(_HEAD % (len(body), body))


def _header(head: str, name: str) -> str | None:
    place = head.lower().find(f"\r\n{name}:")
    return None if place < 0 else head[place + len(name) + 3 :].split("\r\n", 1)[0].strip()


async def serve(port: int, delay_s: float, look_up: bool, lag_s: float) -> None:
    """Until the process is ended."""
    arrivals = Arrivals(look_up, lag_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(arrivals, delay_s), "127.0.0.1", port, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one, printed")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="how long each message takes")
    parser.add_argument("--look-up", action="store_true", help="say that messages can be looked up")
    parser.add_argument("--lag-s", type=float, default=0.0, help="look-ups are worth it only so much later")
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.delay_ms / 1000, chosen.look_up, chosen.lag_s))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
