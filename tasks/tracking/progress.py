"""How far the runs are, for watchers: JSON in Redis, renewed every second; the exact word is the ledger's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import redis

from models.queries.tracking import Job
from runtime import redis_keys
from runtime.redis_client import lock_redis
from tasks.locks import RELEASE

LIFE_S = 3600
LOCK_MS = 15_000


def told(job: Job) -> dict[str, Any]:
    """A run as watchers see it."""
    return {
        "job": job.id, "account": job.account, "status": job.status, "reason": job.reason,
        "total": job.total, "success": job.success, "failed": job.failed, "skipped": job.skipped,
        "percent": round(job.percent, 1), "counted": job.filled,
        "rate": None if job.rate is None else round(job.rate, 1),
        "eta_s": None if job.eta_s is None else round(job.eta_s, 1),
        "elapsed_s": None if job.duration_s is None else round(job.duration_s, 1),
    }  # fmt: skip


def show(jobs: Sequence[Job]) -> None:
    """Write all runs down, and which run an account is in. Raises redis.RedisError."""
    if not jobs:
        return
    pipe = lock_redis().pipeline(transaction=False)
    for job in jobs:
        pipe.set(redis_keys.tracking_progress(job.id), json.dumps(told(job)), ex=LIFE_S)
        if not job.dry_run:
            lock = redis_keys.tracking_account(job.account)
            if job.completed_at is None:
                pipe.set(lock, str(job.id), px=LOCK_MS)
            else:
                pipe.eval(RELEASE, 1, lock, str(job.id))
    pipe.execute()


def seen(job: int) -> dict[str, Any] | None:
    """What was last written down of a run; None if nothing was, or Redis is away."""
    try:
        raw = lock_redis().get(redis_keys.tracking_progress(job))
    except redis.RedisError:
        return None
    found: dict[str, Any] | None = json.loads(str(raw)) if raw else None
    return found
