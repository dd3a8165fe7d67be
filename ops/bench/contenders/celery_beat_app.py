"""The app of celery beat: a daily interval for each instant, last run a day before it."""

from __future__ import annotations

from datetime import timedelta

from ops.bench.contenders import common

app = common.app("beat")
app.conf.beat_schedule = {
    f"s{number}": {
        "task": common.TASK, "schedule": timedelta(days=1), "args": (number,),
        "last_run_at": common.at(due) - timedelta(days=1),
    }
    for number, due in enumerate(common.dues())
}  # fmt: skip
