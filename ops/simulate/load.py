"""From the ledger to what the simulation takes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from beat.simulation import Limits, Load, RoomRules
from models.queries import simulation as queries
from models.queries.simulation import MessageFacts, RoomFacts
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """The load, and the names by which people know what is in it."""

    load: Load
    rooms: dict[int, RoomFacts]
    messages: dict[int, MessageFacts]


def load(
    db: psycopg.Connection[Any],
    start: dt.datetime,
    *,
    schedules: Sequence[int] | None = None,
    rooms: Sequence[str] | None = None,
    send_s: float = 0.3,
    one_device: Collection[str] = (),
) -> Loaded:
    """Read schedules and rooms. ``send_s``: seconds that the provider is assumed to take for one part.
    ``one_device``: channels that carry one message at a time."""
    clocks = queries.clocks(db, start, schedules=schedules, rooms=rooms)
    messages = queries.messages(db, [clock.schedule_id for clock in clocks])
    found = queries.room_facts(db, sorted({clock.room_ref for clock in clocks if clock.room_ref is not None}))
    histories = queries.histories(db, clocks, start)
    older = {version.room_ref for versions in histories.values() for version in versions} - {None, *found}
    found |= queries.room_facts(db, sorted(ref for ref in older if ref is not None))
    took = {
        number: message.parts * send_s + (message.parts - 1) * message.interval_s
        for number, message in messages.items()
    }
    rules = {
        ref: RoomRules(
            room.gap_ms / 1000, room.quota, room.channel if room.channel in one_device else room.device
        )
        for ref, room in found.items()
    }
    return Loaded(Load(clocks, rules, histories, took), found, messages)


def limits_of(settings: Settings) -> Limits:
    """The planner's numbers as they are set here."""
    return Limits(
        horizon_s=settings.horizon_s, validity_max_s=settings.validity_max_s,
        validity_min_s=settings.validity_min_s, catch_up_max=settings.catch_up_max,
    )  # fmt: skip
