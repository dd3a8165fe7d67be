"""The task that people write: lock, compare-and-set, POST, mark as done. One Celery message for each send."""

from __future__ import annotations

import os
from typing import Any

from ops.bench.contenders import common
from ops.bench.farm import Farm, until_arrived

_LIMIT_S = 120.0


def measured(count: int) -> dict[str, Any]:
    """Sends of the naive task from a prefork worker of two processes; the figures as for ours."""
    from ops.bench.sends import figures

    with Farm() as farm:
        receiver = farm.receiver()
        with farm.connect() as db:
            db.execute("CREATE TABLE naive (id int PRIMARY KEY, state text NOT NULL DEFAULT 'due')")
            db.execute("INSERT INTO naive SELECT generate_series(1, %s)", (count,))
        os.environ["REDIS_URL"] = farm.valkey.url
        sender = common.app("naive")
        with sender.producer_or_acquire() as producer:
            for number in range(1, count + 1):
                sender.send_task(common.TASK, args=[number], queue=common.QUEUE, producer=producer)
        farm.python(
            "send-1", "-m", "celery", "-A", "ops.bench.naive_app", "worker", "-Q", common.QUEUE, "-P",
            "prefork", "-c", "2", "-l", "WARNING", "--without-gossip", "--without-mingle",
            BENCH_RECEIVER=receiver,
        )  # fmt: skip
        before = farm.cpu_s()
        seen = until_arrived(receiver, count, _LIMIT_S)
        after = farm.cpu_s()
        used = {name: after[name] - before.get(name, 0.0) for name in after}
        row = figures(seen, seen["at"][0], used)
        return {"name": "naive task: lock, compare-and-set, POST, done (prefork 2)"} | row
