"""celery-redbeat: schedules as hashes in Redis, due times in a sorted set."""

from __future__ import annotations

import subprocess
import sys
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
    env = {**farm.environment, **common.environment(farm)}
    subprocess.run([sys.executable, "-c", f"import {_APP} as app; app.lay()"], env=env, check=True)


def start(farm: Farm) -> None:
    """`celery beat` with the RedBeatScheduler."""
    farm.python(
        "scheduler", "-m", "celery", "-A", _APP, "beat", "-l", "WARNING", "--pidfile=", "-S",
        "redbeat.RedBeatScheduler", **common.environment(farm),
    )  # fmt: skip
