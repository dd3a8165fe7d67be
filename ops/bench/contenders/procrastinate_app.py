"""The process of Procrastinate: its own periodic deferrer, with a connection that also pushes to Redis.

What is timed is the deferral, that is the row in its jobs table; each is told to the benchmark's list by a
trigger-free poll of that table, so its figure holds a few milliseconds of ours.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

import procrastinate
import redis

from ops.bench.contenders import common

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_STORE"]))


def _declare() -> None:
    for number, due in enumerate(common.dues()):
        at = datetime.fromtimestamp(due, UTC)
        cron = f"{at.minute} {at.hour} {at.day} {at.month} * {at.second}"

        def job(timestamp: int) -> None:
            """Nothing: the deferral is what is measured."""

        app.periodic(cron=cron)(app.task(job, name=f"s{number}", queue="never", pass_context=False))


async def _tell() -> None:
    """Every new job's number into the list."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    last = 0
    while True:
        rows = await app.connector.execute_query_all_async(
            "SELECT id, task_name FROM procrastinate_jobs WHERE id > %(last)s ORDER BY id", last=last
        )
        if rows:
            last = rows[-1]["id"]
            client.lpush(common.QUEUE, *[row["task_name"][1:] for row in rows])
        await asyncio.sleep(0.005)


async def main() -> None:
    """Make the tables, then defer what is due until the process is ended."""
    _declare()
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await asyncio.gather(app.run_worker_async(queues=["bench"], install_signal_handlers=False), _tell())


if __name__ == "__main__":
    asyncio.run(main())
