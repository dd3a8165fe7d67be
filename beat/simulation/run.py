"""The whole of it: replay, rooms in turn, outcomes in time order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from beat.simulation.replay import Limits, Outage, replay
from beat.simulation.rooms import Outcome, RoomRules, RoomsInTurn
from models.ledger.beat import ClockRow, Version


@dataclass(frozen=True, slots=True)
class Load:
    """What is simulated. ``took``: schedule -> seconds that sending its message takes; absent: none."""

    clocks: Sequence[ClockRow]
    rooms: Mapping[int, RoomRules]
    histories: Mapping[int, Sequence[Version]] = field(default_factory=dict)
    took: Mapping[int, float] = field(default_factory=dict)


def simulate(
    load: Load,
    start: datetime,
    end: datetime,
    *,
    limits: Limits | None = None,
    outages: Sequence[Outage] = (),
) -> Iterator[list[Outcome]]:
    """What would become of every instant promised in [start, end), one list per tick.

    Memory holds one tick's worth. What waits for a room is told with the tick in which it is decided, or
    with the last list.
    """
    rooms = RoomsInTurn(load.rooms, load.took, outages)
    for tick, promises in replay(load.clocks, load.histories, start, end, limits or Limits(), outages):
        yield rooms.take(tick, promises)
    yield rooms.rest()
