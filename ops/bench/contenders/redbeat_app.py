"""The app of celery-redbeat; its keys lie in the broker's Redis."""

from __future__ import annotations

import os
from datetime import timedelta

from celery.schedules import schedule
from redbeat import RedBeatSchedulerEntry

from ops.bench.contenders import common

app = common.app("redbeat")
app.conf.redbeat_redis_url = os.environ["REDIS_URL"]


def lay() -> None:
    """One entry for each instant, last run a day before it."""
    day = schedule(timedelta(days=1), app=app)
    for number, due in enumerate(common.dues()):
        last = common.at(due) - timedelta(days=1)
        RedBeatSchedulerEntry(f"s{number}", common.TASK, day, args=[number], last_run_at=last, app=app).save()
