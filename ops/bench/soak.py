"""A long run of the whole system with provider faults: what was promised, and what became of it.

    python -m ops.bench.soak --minutes 10 --slots 2000 --rooms 300 --fault-rate 0.02

Half of the slots come as bursts (one schedule per room, due every other full minute), half one by one,
each in a room of its own pace; the three provider kinds in turn, every tenth message with three parts.
A home of its own is used and removed. Prints a table, then one JSON object.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from models.ledger import beat as ledger
from models.queries import lateness, state_counts, waited
from models.states import LIVE, SlotState
from ops.audit import audit
from ops.local.home import Home
from ops.local.stack import Options, Stack
from runtime.clock import clock
from runtime.settings import get_settings

KINDS = ("key", "lookup", "none")
_START_S = 20.0  # schedules are laid before the first instant
_TEXT = "📊 장부 모니터링 정기 알림\n⏰ 현재 시간: {time}\n📈 총점: 95점"


@dataclass(frozen=True)
class Load:
    """How much is promised, over how long, over how many rooms."""

    minutes: int
    slots: int
    rooms: int


def lay(db: psycopg.Connection[Any], load: Load) -> tuple[dt.datetime, dt.datetime]:
    """Make rooms and schedules; answers the first and the last instant at which something is promised."""
    soon = ledger.now(db) + dt.timedelta(seconds=_START_S)
    first = soon.replace(second=0, microsecond=0) + dt.timedelta(minutes=2 - soon.minute % 2)
    last = first + dt.timedelta(minutes=load.minutes)
    image = _image(db)
    bursts = load.slots // load.minutes  # each of them half as often as there are minutes
    with db.transaction():
        for number in range(load.rooms):
            _room(db, number)
        for number in range(bursts):
            _schedule(db, number, number % load.rooms, image, cron="*/2 * * * *", window=(first, last))
        for number, at in enumerate(_singles(load, bursts, first)):
            _schedule(db, number, bursts + number % (load.rooms - bursts), image, once=at)
    return first, last


def _singles(load: Load, bursts: int, first: dt.datetime) -> Iterator[dt.datetime]:
    """One-offs, spread evenly, so that one room's are as far apart as its gap asks."""
    left = load.slots - bursts * load.minutes // 2
    step = dt.timedelta(minutes=load.minutes) / max(left, 1)
    for number in range(left):
        at = first + number * step
        yield at.replace(microsecond=at.microsecond // 1000 * 1000)


def _image(db: psycopg.Connection[Any]) -> int:
    row = db.execute(
        "INSERT INTO images (filename, original_name, mime_type, sha256, file_size, data)"
        " VALUES ('soak_001.png', '시험.png', 'image/png', '', 68, %s) RETURNING id",
        (bytes.fromhex("89504e470d0a1a0a") + bytes(60),),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _room(db: psycopg.Connection[Any], number: int) -> None:
    db.execute(
        "INSERT INTO rooms (room_id, name, type, channel, quota) VALUES (%s, %s, 'test', %s, 500)",
        (f"soak-{number}", f"시험방 {number}", f"emulator-{KINDS[number % 3]}"),
    )


def _schedule(
    db: psycopg.Connection[Any], number: int, room: int, image: int, *, cron: str | None = None,
    once: dt.datetime | None = None, window: tuple[dt.datetime, dt.datetime] | None = None,
) -> None:  # fmt: skip
    parts = number % 10 == 0
    images = json.dumps({"images": [{"id": image}, {"id": image}]}) if parts else None
    local = once.astimezone(dt.timezone(dt.timedelta(hours=9))) if once else None
    db.execute(
        "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, message_images,"
        " send_order, schedule_type, cron_expr, schedule_date, schedule_time, valid_from, valid_until)"
        " VALUES (%s, %s, 'test', %s, %s, %s, %s, %s, %s, %s, coalesce(%s::timestamptz, now()),"
        " coalesce(%s::timestamptz, '2999-01-01'))",
        (
            f"장부 {number}", f"soak-{room}", _TEXT, images, "text_first" if parts else "text_only",
            "cron" if cron else "once", cron, local and local.date(),
            local and local.time(),
            window[0] if window else None, window[1] - dt.timedelta(seconds=1) if window else None,
        ),
    )  # fmt: skip


def run(load: Load, fault_rate: float, seed: int, home: Path) -> dict[str, Any]:
    """The whole run; answers the report."""
    stack = Stack(Home(home), get_settings(), Options(fault_rate=fault_rate, seed=seed), _say)
    began = clock().monotonic()
    try:
        stack.start_servers()
        with stack.connect() as db:
            first, last = lay(db, load)
            stack.start_system()
            started_s = clock().monotonic() - began
            idle = _processes(stack)
            _follow(stack, db, first, last)
            busy = _processes(stack)
            stack.stop_system()
            return _report(stack, db, load, first, last) | {
                "up_after_s": round(started_s, 1), "processes": _spent(idle, busy),
            }  # fmt: skip
    finally:
        stack.stop_system()
        stack.stop_servers()


def _follow(stack: Stack, db: psycopg.Connection[Any], first: dt.datetime, last: dt.datetime) -> None:
    """Until the last instant and every slot has ended, but at most ten minutes more."""
    end = last + dt.timedelta(minutes=10)
    while (now := ledger.now(db)) < end:
        counts = state_counts(db, first, last)
        live = sum(n for state, n in counts.items() if state in LIVE)
        if now > last and live == 0:
            return
        _say(f"{now:%H:%M:%S}  {live} live, {counts[SlotState.DELIVERED]} delivered")
        for sentence in stack.check():
            _say(sentence)
        clock().wait(10.0)


def _report(
    stack: Stack, db: psycopg.Connection[Any], load: Load, first: dt.datetime, last: dt.datetime
) -> dict[str, Any]:
    counts = state_counts(db, first, last)
    receipts = [json.loads(line) for line in stack.receipts.read_text(encoding="utf-8").splitlines()]
    by_key = Counter((r["channel"], r["key"]) for r in receipts)
    doubled = Counter(channel for (channel, _), n in by_key.items() if n > 1)
    report = audit(db, receipts=stack.receipts)
    return {
        "promised": sum(counts.values()),
        "slots": {state.value: n for state, n in counts.items() if n},
        "rooms": load.rooms,
        "receipts": len(receipts),
        "duplicates": {f"emulator-{kind}": doubled.get(f"emulator-{kind}", 0) for kind in KINDS},
        "lost": sum(n for state, n in counts.items() if state in LIVE),
        "lateness_ms": lateness(db, first).as_json(),
        "waited_ms": waited(db, first).as_json(),
        "faulty_attempts": _outcomes(db),
        "unresolved_by": _reasons(db, "unresolved"),
        "failed_by": _reasons(db, "failed"),
        "audit_ok": report.ok,
        "violations": report.as_json()["violations"][:20],
    }


def _outcomes(db: psycopg.Connection[Any]) -> dict[str, int]:
    rows = db.execute(
        "SELECT coalesce(outcome, 'open') || ' ' || coalesce(reason, ''), count(*) FROM attempts"
        " WHERE outcome IS DISTINCT FROM 'accepted' GROUP BY 1 ORDER BY 2 DESC"
    ).fetchall()
    return dict(rows)


def _reasons(db: psycopg.Connection[Any], state: str) -> dict[str, int]:
    return dict(
        db.execute(
            "SELECT provider_kind || ' ' || reason, count(*) FROM slots WHERE state = %s GROUP BY 1", (state,)
        ).fetchall()
    )


def _processes(stack: Stack) -> dict[str, tuple[float, float, float]]:
    """Name -> (CPU seconds so far, RSS in MB, when)."""
    seen = {}
    for name, pid in stack.pids().items():
        process = psutil.Process(pid)
        times = process.cpu_times()
        seen[name] = (times.user + times.system, process.memory_info().rss / 1e6, clock().monotonic())
    return seen


def _spent(
    before: dict[str, tuple[float, float, float]], after: dict[str, tuple[float, float, float]]
) -> dict[str, dict[str, float]]:
    return {
        name: {
            "cpu_share": round((after[name][0] - before[name][0]) / (after[name][2] - before[name][2]), 4),
            "rss_mb": round(after[name][1], 1),
        }
        for name in before.keys() & after.keys()
    }


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def main() -> int:
    """Read the arguments, run, print. 0 only if the audit was clean and nothing was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--slots", type=int, default=2000)
    parser.add_argument("--rooms", type=int, default=300)
    parser.add_argument("--fault-rate", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="jeongsi-soak-", dir="/var/tmp"))
    home.chmod(0o755)
    try:
        load = Load(options.minutes, options.slots, options.rooms)
        report = run(load, options.fault_rate, options.seed, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for name, value in report.items():
        print(f"{name:<16} {value}")
    print(json.dumps(report, ensure_ascii=False))
    return 0 if report["audit_ok"] and not report["lost"] and not any(report["duplicates"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
