"""Where it runs: the Celery app, its queues and the life of a worker.

`celery -A workers worker -Q send`, `celery -A workers beat` and `celery -A workers flower` need no wrapper.
"""

from __future__ import annotations

import sys

from workers.application import app
from workers.flower_guard import guard_if_flower

__all__ = ["app"]

guard_if_flower(sys.argv)
