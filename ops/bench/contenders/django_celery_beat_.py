"""django-celery-beat: schedules as rows, read into memory by its DatabaseScheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    common.own_database(farm, "django")
    common.lay_by_its_app(farm, _APP, BENCH_DJANGO=_url(farm))


def start(farm: Farm) -> None:
    """`celery beat` with its DatabaseScheduler."""
    common.start_beat(
        farm, _APP, "-S", "django_celery_beat.schedulers:DatabaseScheduler", BENCH_DJANGO=_url(farm)
    )


def _url(farm: Farm) -> str:
    return farm.postgres.url_of("django")
