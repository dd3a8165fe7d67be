"""Procrastinate: periodic tasks deferred into its jobs table in Postgres; no broker at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.bench.contenders import common

if TYPE_CHECKING:
    from ops.bench.farm import Farm

NAME = "Procrastinate"
__all__ = ["NAME", "lay", "start", "told"]


def lay(farm: Farm, dues: list[float]) -> None:
    """The tasks are declared in its process; each pushes its number when its job was deferred."""
    common.keep(farm, dues)
    common.own_database(farm, "procrastinate")


def start(farm: Farm) -> None:
    """Its worker, which also defers what is periodic."""
    farm.python(
        "scheduler", "-m", "ops.bench.contenders.procrastinate_app",
        BENCH_STORE=farm.postgres.url_of("procrastinate"), **common.environment(farm),
    )  # fmt: skip


def told(raw: bytes) -> list[int]:
    """Its messages are the bare numbers."""
    return [int(raw)]
