"""A plain Celery app that sends: acknowledged early or late, with or without a celery-singleton lock."""

from __future__ import annotations

import os
from typing import Any

import requests

from ops.bench.contenders import common

app = common.app("stock")
app.conf.update(
    task_acks_late=os.environ.get("STOCK_ACKS") == "late",
    broker_transport_options={"visibility_timeout": int(os.environ.get("STOCK_VISIBILITY_S", "3600"))},
)
_options: dict[str, Any] = {"name": common.TASK, "ignore_result": True}
if os.environ.get("STOCK_SINGLETON"):
    from celery_singleton import Singleton

    app.conf.singleton_backend_url = os.environ["REDIS_URL"]
    _options |= {"base": Singleton, "lock_expiry": 30}


@app.task(**_options)  # type: ignore[untyped-decorator]
def send(number: int) -> None:
    """One POST."""
    requests.post(
        f"{os.environ['BENCH_RECEIVER']}/v1/rooms/bench/text", json={"text": "bench"},
        headers={"Idempotency-Key": str(number)}, timeout=10,
    ).raise_for_status()  # fmt: skip
