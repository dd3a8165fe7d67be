"""The process of APScheduler 3. Its default misfire grace of a second would drop a burst, so it has none.

The first run is said, too: an interval that began in the past would begin with its next one.
"""

from __future__ import annotations

import os

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.blocking import BlockingScheduler

from ops.bench.contenders import common

app = common.app("apscheduler")


def send(number: int) -> None:
    """What a job does."""
    app.send_task(common.TASK, args=[number], queue=common.QUEUE)


def main() -> None:
    """Add the jobs, then run."""
    scheduler = BlockingScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=os.environ["BENCH_STORE"])},
        executors={"default": ThreadPoolExecutor(10)}, timezone="UTC",
        job_defaults={"misfire_grace_time": None, "coalesce": True},
    )  # fmt: skip
    for number, due in enumerate(common.dues()):
        scheduler.add_job(
            "ops.bench.contenders.apscheduler_app:send", "interval", days=1, start_date=common.at(due),
            args=[number], id=f"s{number}", next_run_time=common.at(due),
        )  # fmt: skip
    scheduler.start()


if __name__ == "__main__":
    main()
