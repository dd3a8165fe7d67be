"""sqlalchemy-celery-beat: django-celery-beat's way without Django."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.bench.contenders import common
from ops.bench.contenders.common import told

if TYPE_CHECKING:
    from ops.bench.farm import Farm

NAME = "sqlalchemy-celery-beat"
__all__ = ["NAME", "lay", "start", "told"]
_APP = "ops.bench.contenders.sqlalchemy_celery_beat_app"


def lay(farm: Farm, dues: list[float]) -> None:
    """A row for each instant, in a database of its own."""
    common.keep(farm, dues)
    common.own_database(farm, "sqlalchemybeat")
    common.lay_by_its_app(farm, _APP, BENCH_STORE=_url(farm))


def start(farm: Farm) -> None:
    """`celery beat` with its DatabaseScheduler."""
    common.start_beat(
        farm, _APP, "-S", "sqlalchemy_celery_beat.schedulers:DatabaseScheduler", BENCH_STORE=_url(farm)
    )


def _url(farm: Farm) -> str:
    return farm.postgres.url_of("sqlalchemybeat").replace("postgresql://", "postgresql+psycopg://")
