"""Read-only questions to the ledger, for lists, pages and the live table.

Every function takes a psycopg connection, runs one statement and answers frozen dataclasses. Times are
aware, spans are milliseconds. Nothing here locks or writes.
"""

from __future__ import annotations

from models.queries.catalogue import RoomRow, ScheduleRow, find_schedule, rooms, schedules
from models.queries.figures import (
    Incident,
    Spread,
    Tick,
    incidents,
    last_tick,
    lateness,
    state_counts,
    ticks,
    waited,
)
from models.queries.live import LiveRow, live_rows
from models.queries.slots import (
    AttemptRow,
    LogRow,
    PartRow,
    SlotDetail,
    SlotRow,
    attempts_of,
    log_of,
    parts_of,
    slot,
    slot_detail,
    slots,
)

__all__ = [
    "AttemptRow",
    "Incident",
    "LiveRow",
    "LogRow",
    "PartRow",
    "RoomRow",
    "ScheduleRow",
    "SlotDetail",
    "SlotRow",
    "Spread",
    "Tick",
    "attempts_of",
    "find_schedule",
    "incidents",
    "last_tick",
    "lateness",
    "live_rows",
    "log_of",
    "parts_of",
    "rooms",
    "schedules",
    "slot",
    "slot_detail",
    "slots",
    "state_counts",
    "ticks",
    "waited",
]
