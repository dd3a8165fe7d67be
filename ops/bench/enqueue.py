"""From a service's request to the room: how long one message takes, and how many one producer can ask for.

    python -m ops.bench.enqueue --messages 200 --burst 5000

Beats, workers, Flower, Postgres, Redis and the emulator run as in `make up`, on loopback, in a home of their
own that is removed. First single messages, one after another on an idle system: from `send_task` to the
provider's receipt. Then a burst for tomorrow from one producer: published and accepted per second. Prints
one JSON object; times in milliseconds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery

from ops.local.home import Home
from ops.local.stack import Options, Stack
from runtime.clock import clock
from runtime.settings import get_settings

_ROOM = "bench"
_TASK = "jeongsi.message.schedule"
_WAIT_S = 30.0
_IDLE_S = 0.2  # between two messages, so that each meets an idle system


def run(messages: int, burst: int, home: Path) -> dict[str, Any]:
    """The whole measurement; answers the report."""
    stack = Stack(Home(home), get_settings(), Options(), _say)
    try:
        stack.start_servers()
        with stack.connect() as db:
            _room(db)
            stack.start_system()
            producer = _producer(stack.redis_url)
            _single(producer, stack, "warm up")
            singles = [_single(producer, stack, f"{n}") for n in range(messages)]
            return {
                "messages": messages,
                "accepted_ms": _spread([accepted for accepted, _, _ in singles]),
                "started_ms": _spread([_started(db, slot) for _, _, slot in singles]),
                "receipt_ms": _spread([receipt for _, receipt, _ in singles]),
                "burst": _burst(producer, db, burst) if burst else None,
            }
    finally:
        stack.stop_system()
        stack.stop_servers()


def _producer(redis_url: str) -> Celery:
    """A Celery client as another service has it: it knows two addresses and a task's name."""
    made = Celery("bench", broker=redis_url, backend=redis_url)
    made.conf.update(
        task_default_queue="enqueue", task_default_exchange="", task_default_routing_key="enqueue"
    )
    return made


def _room(db: psycopg.Connection[Any]) -> None:
    db.execute(
        "INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)"
        " VALUES (%s, %s, 'test', 'emulator-key', 0, 500)",
        (_ROOM, _ROOM),
    )


def _single(producer: Celery, stack: Stack, text: str) -> tuple[float, float, str]:
    """One message now: ms until it is accepted, ms until the provider has it, its slot."""
    clock().wait(_IDLE_S)
    seen = len(_receipts(stack))
    began_at, began = clock().now().timestamp(), clock().monotonic()
    answer = producer.send_task(_TASK, args=[{"room": _ROOM, "text": text}]).get(timeout=_WAIT_S)
    accepted = clock().monotonic() - began
    if answer["status"] != "accepted":
        raise RuntimeError(f"not accepted: {answer}")
    while len(found := _receipts(stack)) == seen:
        if clock().monotonic() > began + _WAIT_S:
            raise RuntimeError(f"{answer['id']} did not arrive within {_WAIT_S:g} s")
        clock().wait(0.005)
    return accepted * 1000, (json.loads(found[-1])["at"] - began_at) * 1000, answer["id"]


def _receipts(stack: Stack) -> list[str]:
    return stack.receipts.read_text(encoding="utf-8").splitlines() if stack.receipts.exists() else []


def _started(db: psycopg.Connection[Any], slot: str) -> float:
    """Milliseconds from the message's instant, which is its acceptance, to its first byte."""
    row = db.execute(
        "SELECT extract(epoch FROM a.sending_at - s.slot_at) * 1000 FROM slots s"
        " JOIN attempts a USING (schedule_id, slot_at) WHERE slot_public_id(s.schedule_id, s.slot_at) = %s",
        (slot,),
    ).fetchone()
    return float(row[0]) if row else float("nan")


def _burst(producer: Celery, db: psycopg.Connection[Any], count: int) -> dict[str, Any]:
    """Messages for tomorrow, each a second apart, from one producer that reads no results meanwhile."""
    day = clock().now() + dt.timedelta(days=1)
    began = clock().monotonic()
    for number in range(count):
        at = (day + dt.timedelta(seconds=number)).isoformat(timespec="milliseconds")
        producer.send_task(_TASK, args=[{"room": _ROOM, "text": f"{number}", "at": at}], ignore_result=True)
    published = clock().monotonic() - began
    counted = "SELECT count(*) FROM kb_schedule WHERE origin = 'message' AND schedule_date >= %s"
    tomorrow = day.astimezone(dt.timezone(dt.timedelta(hours=9))).date()
    while (row := db.execute(counted, (tomorrow,)).fetchone()) and row[0] < count:
        if clock().monotonic() > began + 600:
            raise RuntimeError(f"only {row[0]} of {count} were accepted")
        clock().wait(0.05)
    accepted = clock().monotonic() - began
    return {
        "messages": count,
        "published_per_s": round(count / published),
        "accepted_per_s": round(count / accepted),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)

    return {"p50": at(0.50), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The program; 0 when everything was accepted and arrived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=200, help="single messages, one after another")
    parser.add_argument("--burst", type=int, default=5000, help="messages for tomorrow; 0: none")
    chosen = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="jeongsi-bench-"))
    home.chmod(0o755)  # as root, the servers run as somebody else
    try:
        report = run(chosen.messages, chosen.burst, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
