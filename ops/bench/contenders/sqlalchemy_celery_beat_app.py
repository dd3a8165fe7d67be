"""The app of sqlalchemy-celery-beat."""

from __future__ import annotations

import json
import os
from datetime import timedelta

from ops.bench.contenders import common

app = common.app("sqlalchemybeat")
app.conf.update(beat_dburi=os.environ["BENCH_STORE"], beat_schema=None)


def lay() -> None:
    """Make the tables and the schedules."""
    from sqlalchemy_celery_beat.models import IntervalSchedule, Period, PeriodicTask
    from sqlalchemy_celery_beat.session import SessionManager

    manager = SessionManager()
    engine, make_session = manager.create_session(os.environ["BENCH_STORE"], schema=None)
    manager.prepare_models(engine, schema=None)
    with make_session() as session:
        day = IntervalSchedule(every=1, period=Period.DAYS)
        session.add(day)
        session.flush()
        session.add_all(
            PeriodicTask(
                name=f"s{number}", task=common.TASK, schedule_model=day, args=json.dumps([number]),
                last_run_at=common.at(due) - timedelta(days=1),
            )
            for number, due in enumerate(common.dues())
        )  # fmt: skip
        session.commit()
