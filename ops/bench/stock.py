"""The stock stack beside ours, under the same kills: what is posted twice, what never, what lies stuck.

The whole worker dies by signal 9 every three seconds while sends are under way, and is started again at once.
The receiver takes 30 ms. What lies in Redis at the end is not lost: it waits for the visibility timeout.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from models.ledger import beat as ledger
from ops.bench.contenders import common, contender
from ops.bench.farm import Farm, stats
from ops.bench.options import Options
from ops.bench.sends import lay_rooms, lay_slots
from ops.bench.watch import named
from runtime.clock import clock

NAME = "stock"
TITLE = "The stock stack under kill -9 of the whole worker every 3 s"
EVERY_S = 3.0
DRAIN_S = 25.0  # after the last kill: a visibility timeout of 10 s and its look every 10 s are over
DELAY_MS = "30"

STOCK = {
    "Celery, acks early, visibility timeout 10 s": {"STOCK_ACKS": "early", "STOCK_VISIBILITY_S": "10"},
    "Celery, acks early, visibility timeout 1 h": {"STOCK_ACKS": "early"},
    "Celery, acks late, visibility timeout 10 s": {"STOCK_ACKS": "late", "STOCK_VISIBILITY_S": "10"},
    "Celery, acks late, visibility timeout 1 h": {"STOCK_ACKS": "late"},
    "celery-singleton, acks late, visibility timeout 10 s": {
        "STOCK_ACKS": "late", "STOCK_VISIBILITY_S": "10", "STOCK_SINGLETON": "1",
    },
}  # fmt: skip
#: Ours with times short enough for a benchmark: a lease of 2 s, absence believed after 4 s.
SCALED = {
    "JEONGSI_LEASE_S": "2", "JEONGSI_LOCK_TTL_S": "1.5", "JEONGSI_RENEW_S": "0.5",
    "JEONGSI_HTTP_DEADLINE_S": "1.5", "JEONGSI_PONR_LEASE_S": "2.5", "JEONGSI_SETTLE_S": "4",
    "JEONGSI_FIRST_LOOKUP_S": "1", "JEONGSI_RETRY_DELAYS_S": "1,1,1,1",
}  # fmt: skip


def run(options: Options) -> dict[str, Any]:
    """Rows for each way, and for ours with a provider that can be asked and one that cannot."""
    count, window_s = options.sizes(short=(600, 20.0), full=(2_000, 60.0))
    rows = []
    for name, env in STOCK.items():
        if "singleton" in name and find_spec("celery_singleton") is None:
            continue
        rows.append({"name": name} | _stock(count, window_s, env))
        options.say(f"  {name}: twice {rows[-1]['twice']}, never {rows[-1]['never']}")
    for name, more in (("can be looked up", ("--look-up",)), ("can be asked nothing", ())):
        rows.append({"name": f"Jeongsi, provider {name}"} | _ours(count, window_s, more))
        options.say(f"  {name}: twice {rows[-1]['twice']}, never {rows[-1]['never']}")
    return {"rows": rows, "schedulers": _schedulers() if find_spec("redbeat") else []}


def _stock(count: int, window_s: float, env: dict[str, str]) -> dict[str, Any]:
    with Farm(**env) as farm, farm.broker() as client:
        receiver = farm.receiver("--delay-ms", DELAY_MS)
        os.environ["REDIS_URL"] = farm.valkey.url
        sender = common.app("sender")
        with sender.producer_or_acquire() as producer:
            for number in range(count):
                sender.send_task(common.TASK, args=[number], queue=common.QUEUE, producer=producer)
        command = (
            "-m", "celery", "-A", "ops.bench.stock_app", "worker", "-Q", common.QUEUE, "-P", "prefork",
            "-c", "2", "-l", "WARNING", "--without-gossip", "--without-mingle",
        )  # fmt: skip
        kills, end = 0, clock().monotonic() + window_s
        farm.python("worker", *command, BENCH_RECEIVER=receiver)
        while clock().monotonic() < end:
            clock().wait(EVERY_S)
            if stats(receiver)["count"] < count:
                farm.kill9("worker")
                kills += 1
                farm.python("worker", *command, BENCH_RECEIVER=receiver)
        clock().wait(DRAIN_S)
        seen = stats(receiver)
        stuck = int(client.hlen("unacked")) + int(client.llen(common.QUEUE))
        never = count - seen["count"]
        return {
            "sends": count, "kills": kills, "twice": seen["twice"], "never": never, "stuck": stuck,
            "unresolved": 0,
        }  # fmt: skip


def _ours(count: int, window_s: float, receiver_options: tuple[str, ...]) -> dict[str, Any]:
    with Farm(**SCALED) as farm:
        receiver = farm.receiver("--delay-ms", DELAY_MS, *receiver_options)
        with farm.connect() as db:
            lay_rooms(db, count)
            farm.beat()
            farm.worker(queues="confirm", name="confirm-1", concurrency=8)
            farm.worker(name="send-1", concurrency=4)
            at = lay_slots(db, count, lead_s=5.0)
            clock().wait(max(0.0, (at - ledger.now(db)).total_seconds()))
            kills, end = 0, clock().monotonic() + window_s
            while clock().monotonic() < end + DRAIN_S:
                clock().wait(EVERY_S)
                row = db.execute("SELECT count(*) FROM slots WHERE ended_at IS NULL").fetchone()
                if row == (0,):
                    break
                if stats(receiver)["count"] < count and clock().monotonic() < end:
                    farm.kill9("send-1")
                    kills += 1
                    farm.worker(name="send-1", concurrency=4)
            states = dict(db.execute("SELECT state, count(*) FROM slots GROUP BY 1").fetchall())
        seen = stats(receiver)
        live = sum(states.get(state, 0) for state in ("planned", "waiting", "queued", "leased"))
        return {
            "sends": count, "kills": kills, "twice": seen["twice"], "never": count - seen["count"],
            "stuck": live, "unresolved": states.get("unresolved", 0), "states": states,
        }  # fmt: skip


def _schedulers() -> list[dict[str, Any]]:
    """A scheduler that dies once in a burst and is started again: what is on the broker 20 s later."""
    return [_killed_scheduler(name) for name in ("redbeat_", "ours")]


def _killed_scheduler(name: str, count: int = 1_000) -> dict[str, Any]:
    peer = contender(name)
    with Farm(JEONGSI_HINT_MAX="1", JEONGSI_PREPARE_AHEAD_S="0.001") as farm, farm.broker() as client:
        due = float(int(clock().now().timestamp()) + 10)
        peer.lay(farm, [due] * count)
        peer.start(farm)
        clock().wait(max(0.0, due + 0.15 - clock().now().timestamp()))
        farm.kill9("scheduler")
        peer.start(farm)
        clock().wait(20.0)
        found = named(client, peer)
        return {"name": peer.NAME, "schedules": count, "on_the_broker": found, "missing": count - found}
