"""Rooms, schedules and images as people make and change them; CLI, API and console all come through here."""

from __future__ import annotations

from models.store.errors import Changed, InUse, NotFound, Refused, StoreError, Taken, Wrong
from models.store.images import NewImage, described, keep_images
from models.store.rooms import (
    RoomLimits,
    change_room,
    create_room,
    find_room,
    limit_problems,
    room_ids,
    room_of,
    rooms,
    schedules_per_room,
)
from models.store.schedules import (
    Creator,
    LaidDown,
    Neighbour,
    change_schedule,
    create_schedule,
    delete_schedule,
    images_of,
    laid_down,
    neighbours,
    room_of_schedule,
    schedule_of,
    schedules,
    set_status,
)
from models.store.session import ledger_now, reading, transaction

__all__ = [
    "Changed",
    "Creator",
    "InUse",
    "LaidDown",
    "Neighbour",
    "NewImage",
    "NotFound",
    "Refused",
    "RoomLimits",
    "StoreError",
    "Taken",
    "Wrong",
    "change_room",
    "change_schedule",
    "create_room",
    "create_schedule",
    "delete_schedule",
    "described",
    "find_room",
    "images_of",
    "keep_images",
    "laid_down",
    "ledger_now",
    "limit_problems",
    "neighbours",
    "reading",
    "room_ids",
    "room_of",
    "room_of_schedule",
    "rooms",
    "schedule_of",
    "schedules",
    "schedules_per_room",
    "set_status",
    "transaction",
]
