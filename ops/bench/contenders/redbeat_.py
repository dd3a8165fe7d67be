"""celery-redbeat: schedules as hashes in Redis, due times in a sorted set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.bench.contenders import common
from ops.bench.contenders.common import told

if TYPE_CHECKING:
    from ops.bench.farm import Farm

NAME = "celery-redbeat"
__all__ = ["NAME", "lay", "start", "told"]
_APP = "ops.bench.contenders.redbeat_app"


def lay(farm: Farm, dues: list[float]) -> None:
    """An entry for each instant."""
    common.keep(farm, dues)
    common.lay_by_its_app(farm, _APP)


def start(farm: Farm) -> None:
    """`celery beat` with the RedBeatScheduler."""
    common.start_beat(farm, _APP, "-S", "redbeat.RedBeatScheduler")
