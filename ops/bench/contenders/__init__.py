"""Schedulers side by side: each lays one schedule per due instant, runs, and fills a list in Redis.

A contender is a module here with `NAME`, `lay(farm, dues)`, `start(farm)` and `told(raw)`:

    NAME                  as the tables show it
    lay(farm, dues)       one schedule for each instant (Unix seconds), due then for the first time
    start(farm)           the scheduler as a process called "scheduler"
    told(raw)             the schedules' numbers (their place in ``dues``) that one message names

Their messages lie in the list `QUEUE`; nobody consumes them but the benchmark.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

#: Module -> the package that it needs.
PEERS = {
    "celery_beat": "celery",
    "django_celery_beat_": "django_celery_beat",
    "redbeat_": "redbeat",
    "apscheduler_": "apscheduler",
    "sqlalchemy_celery_beat_": "sqlalchemy_celery_beat",
    "procrastinate_": "procrastinate",
}


def contender(name: str) -> ModuleType:
    """A contender by its module's name. Raises ImportError with what to do if its package is missing."""
    if find_spec(PEERS.get(name, "celery")) is None:
        raise ImportError(f"{name} needs the peers' packages: run it by `make bench`, which installs them")
    return importlib.import_module(f"ops.bench.contenders.{name}")


def known() -> list[str]:
    """The peers whose packages are installed here."""
    return [name for name, package in PEERS.items() if find_spec(package) is not None]
