"""Mapped classes of every table. The DDL itself stands in ``models/migrations/sql``; a test holds both equal.

Constraints, triggers and partial-index conditions live in the DDL and ``models/sql`` only: the
database enforces them for raw SQL and for these classes alike.
"""

from __future__ import annotations

from models.tables.base import Base
from models.tables.enqueue import EnqueueKey, MessageHash
from models.tables.instance import BeatPulse, Instance
from models.tables.ledger import Attempt, Incident, Part, Slot, SlotEdge, SlotLog
from models.tables.notices import Notice, NoticeDelivery, NoticeRequest, NoticeTarget, NoticeWatch
from models.tables.orders import Carrier, Order
from models.tables.rooms import DeviceGate, DeviceMessage, KakaoToken, Organisation, Room, RoomGate, RoomQuota
from models.tables.schedules import Image, Schedule, ScheduleClock, ScheduleDirty, ScheduleVersion
from models.tables.tracking import TrackingChunk, TrackingDetail, TrackingJob, TrackingScheduler, TrackingWork

__all__ = [
    "Attempt",
    "Base",
    "BeatPulse",
    "Carrier",
    "DeviceGate",
    "DeviceMessage",
    "EnqueueKey",
    "Image",
    "Incident",
    "Instance",
    "KakaoToken",
    "MessageHash",
    "Notice",
    "NoticeDelivery",
    "NoticeRequest",
    "NoticeTarget",
    "NoticeWatch",
    "Order",
    "Organisation",
    "Part",
    "Room",
    "RoomGate",
    "RoomQuota",
    "Schedule",
    "ScheduleClock",
    "ScheduleDirty",
    "ScheduleVersion",
    "Slot",
    "SlotEdge",
    "SlotLog",
    "TrackingChunk",
    "TrackingDetail",
    "TrackingJob",
    "TrackingScheduler",
    "TrackingWork",
]
