"""APScheduler 3 with jobs in Postgres, each handing its message to Celery's `send_task`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.bench.contenders import common
from ops.bench.contenders.common import told

if TYPE_CHECKING:
    from ops.bench.farm import Farm

NAME = "APScheduler 3"
__all__ = ["NAME", "lay", "start", "told"]


def lay(farm: Farm, dues: list[float]) -> None:
    """The jobs are added by the scheduler's process before it starts."""
    common.keep(farm, dues)
    common.own_database(farm, "apscheduler")


def start(farm: Farm) -> None:
    """The scheduler's process."""
    url = farm.postgres.url_of("apscheduler").replace("postgresql://", "postgresql+psycopg://")
    farm.python(
        "scheduler", "-m", "ops.bench.contenders.apscheduler_app", BENCH_STORE=url,
        **common.environment(farm),
    )  # fmt: skip
