"""`celery -A ops.chaos.variants.absent_at_once worker …`: what is not found is sent again at once."""

from __future__ import annotations

from typing import Any

from celery.signals import celeryd_init

from gateways.outcomes import Absent
from ops.chaos.variants import refuse_production
from tasks import confirm
from tasks.engine import Engine
from tasks.findings import Finding, Inquiry
from workers import app

__all__ = ["app"]


def believed(rt: Engine, inquiry: Inquiry, part: dict[str, Any], _: Absent) -> Finding:
    """Absent is absent: no waiting for what may still arrive."""
    return confirm._back_to_pending(rt, inquiry, part, wait_s=0.0, proven=True)


def settled(*_: Any) -> bool:
    """Whatever is asked about is settled already."""
    return True


@celeryd_init.connect
def take_the_rule_out(**_: Any) -> None:
    """Only in a worker that was started with this very app."""
    refuse_production()
    confirm._absent = believed  # type: ignore[assignment]
    confirm._settled = settled  # type: ignore[assignment]
