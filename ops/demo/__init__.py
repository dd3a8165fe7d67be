"""Something to look at in `make up`: test rooms, schedules and one-off sends, at the emulator only."""

from __future__ import annotations

from ops.demo.seed import NoDemo, seed
from ops.demo.sends import demo_sends

__all__ = ["NoDemo", "demo_sends", "seed"]
