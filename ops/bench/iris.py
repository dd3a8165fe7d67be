"""What one Iris device carries, beside its own limit: sends per second for one and two devices, and how late
thirty rooms are that are due at one instant.

    python -m ops.bench.iris

It starts servers of its own on loopback, runs the real beat's commands and two worker engines against the
emulator with the device's real pause, prints one JSON object and ends by itself.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from models import migrate
from models.ledger import beat
from models.states import Phase
from ops.emulator import Emulator
from ops.local.postgres import PostgresServer
from ops.local.valkey import ValkeyServer
from runtime.clock import SystemClock
from runtime.ids import SlotId
from runtime.settings import get_settings
from tasks.carry import CONFIRM, SEND, SlotsFailed, carry
from tasks.engine import Engine

_CLOCK = SystemClock()
_TICK_S = 0.05


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print. 1: something was lost or came twice."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.iris", description=__doc__)
    parser.add_argument("--rooms", type=int, default=30, help="rooms due at one instant")
    parser.add_argument("--messages", type=int, default=100, help="messages per device for the throughput")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="jeongsi-iris-") as folder:
        result = _with_servers(Path(folder), options.rooms, options.messages)
    print(json.dumps(result))
    return 0 if result["lost"] == 0 and result["twice"] == 0 else 1


def _with_servers(folder: Path, rooms: int, messages: int) -> dict[str, Any]:
    postgres, valkey = PostgresServer(folder / "postgres"), ValkeyServer(folder / "valkey")
    try:
        postgres.start()
        valkey.start()
        with Emulator() as emulator:
            url = postgres.url_of("postgres")
            _point_here(folder, url, valkey.url, emulator.url)
            migrate.upgrade(url)
            with psycopg.connect(url, autocommit=True) as db:
                return _Bench(db, emulator).run(rooms, messages)
    finally:
        valkey.kill()
        postgres.kill()


def _point_here(folder: Path, database_url: str, redis_url: str, emulator_url: str) -> None:
    os.environ.update(
        DATABASE_URL=database_url, REDIS_URL=redis_url, JEONGSI_EMULATOR_URL=emulator_url,
        JEONGSI_HOME=str(folder), LOG_LEVEL="ERROR", ENVIRONMENT="testing",
        KAKAO_BOT_URL=f"bench-1=iris+{emulator_url}/iris-1,bench-2=iris+{emulator_url}/iris-2",
    )  # fmt: skip
    get_settings.cache_clear()


class _Bench:
    """Two engines like worker processes have, and a tick every 50 ms in place of a beat."""

    def __init__(self, db: psycopg.Connection[Any], emulator: Emulator) -> None:
        self.db = db
        self.emulator = emulator
        self.engines = [Engine(get_settings()) for _ in range(2)]
        self.rooms = 0
        for engine in self.engines:
            engine.committer.warm.wait(10)

    def run(self, rooms: int, messages: int) -> dict[str, Any]:
        try:
            self._burst(["bench-1", "bench-2"], 4)  # warm
            burst = self._burst(["bench-1"], rooms)
            one = self._burst(["bench-1"], messages)
            two = self._burst(["bench-1", "bench-2"], messages)
        finally:
            for engine in self.engines:
                engine.stop()
        limit = 1000 / self.emulator.device("iris-1").phone.send_rate_ms
        seen = [one.key for one in self.emulator.receipts.all()]
        return {
            "limit_per_device_s": limit,
            "one_device_s": one["per_s"], "two_devices_s": two["per_s"],
            "burst_rooms": rooms, "burst": burst,
            "sends": self.rooms, "lost": self.rooms - len(set(seen)), "twice": len(seen) - len(set(seen)),
        }  # fmt: skip

    def _burst(self, channels: list[str], each: int) -> dict[str, Any]:
        """All due at one instant, each in a room of its own; until all are delivered."""
        at = self._now() + dt.timedelta(seconds=1.5)
        slots = [self._promise(channel, at) for channel in channels for _ in range(each)]
        stop = threading.Event()
        with ThreadPoolExecutor(32) as threads:
            while not self._ended(slots):
                for number, due in enumerate(self._due()):
                    threads.submit(self._carry, self.engines[number % 2], due)
                _CLOCK.wait(_TICK_S, stop)
        return self._figures(slots, at)

    def _figures(self, slots: list[SlotId], at: dt.datetime) -> dict[str, Any]:
        rows = self.db.execute(
            "SELECT extract(epoch FROM started_at - free_from)::float8 * 1000,"
            " extract(epoch FROM free_from - slot_at)::float8 * 1000,"
            " extract(epoch FROM ended_at - slot_at)::float8 FROM slots"
            " WHERE schedule_id = ANY (%s) AND slot_at = %s AND state = 'delivered'",
            ([slot.schedule_id for slot in slots], at),
        ).fetchall()
        took = max(row[2] for row in rows)
        return {
            "delivered": len(rows), "took_s": round(took, 2), "per_s": round(len(rows) / took, 1),
            "late_ms": _spread([row[0] for row in rows]), "waited_ms": _spread([row[1] for row in rows]),
        }  # fmt: skip

    def _carry(self, engine: Engine, due: beat.Due) -> None:
        with suppress(SlotsFailed):
            carry(engine, [due.slot], CONFIRM if due.queue == Phase.CONFIRM else SEND)

    def _due(self) -> list[beat.Due]:
        found = beat.dispatch(self.db, self._now(), 5000, 5.0, 1.0)
        for phase in Phase:
            found += beat.republish(self.db, phase, 5000, 5.0, publish=True)
        return found

    def _ended(self, slots: list[SlotId]) -> bool:
        row = self.db.execute(
            "SELECT count(*) FROM slots WHERE schedule_id = ANY (%s) AND ended_at IS NULL",
            ([slot.schedule_id for slot in slots],),
        ).fetchone()
        return row is not None and row[0] == 0

    def _promise(self, channel: str, at: dt.datetime) -> SlotId:
        self.rooms += 1
        room = str(1_000_000 + self.rooms)
        self.db.execute(
            "INSERT INTO rooms (room_id, name, type, channel) VALUES (%s, %s, 'test', %s)",
            (room, room, channel),
        )
        row = self.db.execute(
            "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, send_order,"
            " schedule_type, valid_from) VALUES ('측정', %s, 'test', '안녕하세요', 'text_only', 'regular',"
            " '2020-01-01') RETURNING id",
            (room,),
        ).fetchone()
        assert row is not None
        clock = self.db.execute(
            "SELECT version, room_ref FROM schedule_clock WHERE schedule_id = %s", (row[0],)
        ).fetchone()
        assert clock is not None
        promise = beat.Promise(
            slot=SlotId(row[0], at), version=clock[0], start_by=at + dt.timedelta(seconds=120),
            finish_by=at + dt.timedelta(seconds=300), superseded=False, expired=False, room_ref=clock[1],
            priority=5, keep_latest=False, kind="message",
        )  # fmt: skip
        beat.lay_down(self.db, [promise])
        return promise.slot

    def _now(self) -> dt.datetime:
        row = self.db.execute("SELECT date_trunc('milliseconds', ledger_now())").fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "max": round(ordered[-1], 1),
    }


if __name__ == "__main__":
    raise SystemExit(main())
