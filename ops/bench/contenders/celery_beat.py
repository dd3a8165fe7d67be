"""celery beat with its own PersistentScheduler: the whole schedule in memory and in a shelve file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.bench.contenders import common
from ops.bench.contenders.common import told

if TYPE_CHECKING:
    from ops.bench.farm import Farm

NAME = "celery beat"
__all__ = ["NAME", "lay", "start", "told"]


def lay(farm: Farm, dues: list[float]) -> None:
    """Nothing to lay: the schedule is configuration, read when it starts."""
    common.keep(farm, dues)


def start(farm: Farm) -> None:
    """`celery beat` on the app of celery_beat_app."""
    common.start_beat(farm, "ops.bench.contenders.celery_beat_app", "-s", str(farm.folder / "celerybeat"))
