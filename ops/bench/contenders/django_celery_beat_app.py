"""A Django project of one app, in one file."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from urllib.parse import urlsplit

import django
from django.conf import settings

from ops.bench.contenders import common

_url = urlsplit(os.environ["BENCH_DJANGO"])
settings.configure(
    INSTALLED_APPS=["django_celery_beat"], USE_TZ=True, TIME_ZONE="UTC", CELERY_TIMEZONE="UTC",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", SECRET_KEY="loopback",  # noqa: S106
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": _url.path[1:], "USER": _url.username,
            "PASSWORD": _url.password, "HOST": _url.hostname, "PORT": _url.port,
        }
    },
)  # fmt: skip
django.setup()
app = common.app("django")


def lay() -> None:
    """Make the tables and the schedules, in bulk."""
    from django.core.management import call_command
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    call_command("migrate", verbosity=0)
    day, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.DAYS)
    PeriodicTask.objects.bulk_create(
        [
            PeriodicTask(
                name=f"s{number}", task=common.TASK, interval=day, args=json.dumps([number]),
                last_run_at=common.at(due) - timedelta(days=1),
            )
            for number, due in enumerate(common.dues())
        ],
        batch_size=2000,
    )  # fmt: skip
    PeriodicTasks.update_changed()
