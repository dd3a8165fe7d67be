"""Something to look at in `make up`: rooms, schedules, one-off sends and orders, all at the emulator."""

from __future__ import annotations

from ops.demo.seed import NoDemo, seed
from ops.demo.sends import demo_sends
from ops.demo.uploads import demo_uploads

__all__ = ["NoDemo", "demo_sends", "demo_uploads", "seed"]
