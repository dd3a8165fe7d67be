"""What would go out: schedules under a virtual clock, by the planner's own functions. Pure, no IO.

`replay` lays promises down as beats would, `RoomsInTurn` lets them through gaps, quotas and devices as
the ledger would. Both assume that providers answer, after a time that is told, and that workers are there.
"""

from __future__ import annotations

from beat.simulation.replay import Limits, Outage, Tick, replay, ticks
from beat.simulation.rooms import Outcome, RoomRules, RoomsInTurn
from beat.simulation.run import Load, simulate

__all__ = [
    "Limits",
    "Load",
    "Outage",
    "Outcome",
    "RoomRules",
    "RoomsInTurn",
    "Tick",
    "replay",
    "simulate",
    "ticks",
]
