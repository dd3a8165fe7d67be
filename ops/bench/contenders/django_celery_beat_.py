"""django-celery-beat: schedules as rows, read into memory by its DatabaseScheduler."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg

from ops.bench.contenders import common
from ops.bench.contenders.common import told

if TYPE_CHECKING:
    from ops.bench.farm import Farm

NAME = "django-celery-beat"
__all__ = ["NAME", "lay", "start", "told"]
_APP = "ops.bench.contenders.django_celery_beat_app"


def lay(farm: Farm, dues: list[float]) -> None:
    """A PeriodicTask for each instant, in a database of its own."""
    common.keep(farm, dues)
    with psycopg.connect(farm.postgres.url_of("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE django")
    env = {**farm.environment, **_environment(farm)}
    subprocess.run([sys.executable, "-c", f"import {_APP} as app; app.lay()"], env=env, check=True)


def start(farm: Farm) -> None:
    """`celery beat` with the DatabaseScheduler."""
    farm.python(
        "scheduler", "-m", "celery", "-A", _APP, "beat", "-l", "WARNING", "--pidfile=", "-S",
        "django_celery_beat.schedulers:DatabaseScheduler", **_environment(farm),
    )  # fmt: skip


def _environment(farm: Farm) -> dict[str, str]:
    return {**common.environment(farm), "BENCH_DJANGO": farm.postgres.url_of("django")}
