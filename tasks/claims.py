"""Which message on a device is whose, where a provider is looked up by a message's content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from gateways.outcomes import Accepted, Outcome, Unknown
from models.ledger import devices
from runtime import database
from runtime.ids import SlotId


def first_free(
    device: str | None, slot: SlotId, attempt_id: UUID, candidates: Sequence[tuple[str, ...]]
) -> tuple[str, ...] | None:
    """The best candidate that no other attempt has or may have, claimed for this one; None: there is none."""
    for ids in candidates:
        if database.retrying(lambda db, ids=ids: devices.claim(db, device or "", ids, attempt_id, slot)):  # type: ignore[misc]
            return ids
    return None


def claimed(device: str | None, slot: SlotId, attempt_id: UUID, outcome: Accepted) -> Outcome:
    """The outcome with a message of its own; Unknown if those that were seen belong to other attempts."""
    ids = first_free(device, slot, attempt_id, outcome.candidates)
    if ids is not None:
        return replace(outcome, provider_msg_id=ids[0])
    return Unknown("not_ours", outcome.http_status, None, None, outcome.answer, outcome.wrote_after_ms)


def others_only(device: str | None, attempt_id: UUID, message_ids: Sequence[str]) -> bool:
    """Whether every one of these messages is known to be another attempt's."""
    if not message_ids:
        return True
    return database.retrying(lambda db: devices.others(db, device or "", message_ids, attempt_id)) == set(
        message_ids
    )
