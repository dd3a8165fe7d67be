"""Find out what became of the parts of a leased slot, and decide: delivered, again, later, or unresolved.

"Found" is believed at once, "absent" only after settle, a look-up that cannot be reached never
(exactly-once.md R8, R9). A provider with neither key nor look-up cannot tell: at most once.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from gateways.errors import GatewayError
from gateways.message import RoomAddress, Sought
from gateways.outcomes import Absent, Found, LookUp, LookUpUnavailable
from gateways.registry import adapter_for
from models.ledger import devices
from models.ledger.worker import Evidence, Lease, Resolve, Settle
from models.states import AttemptOutcome, PartState
from runtime import database
from runtime.failpoints import hit
from tasks import told
from tasks.claims import first_free, others_only
from tasks.engine import Engine
from tasks.findings import Finding, Inquiry, route
from tasks.ladder import key_retry_s, lookup_delay_s
from tasks.under_way import device_for


def confirm_slot(rt: Engine, lease: Lease) -> Settle | None:
    """Look every part up that is not certain, and settle the slot; None if it is not ours any more."""
    inquiry = _begin(lease)
    findings = [_look_at(rt, inquiry, part) for part in lease.parts or []]
    hit("confirm.evidenced")
    end = route(rt.settings, inquiry, findings)
    if not rt.settle(end):
        return None
    hit("confirm.settled")
    told.settled(end)
    return end


def _begin(lease: Lease) -> Inquiry:
    try:
        adapter = adapter_for(lease.channel or "")
        return Inquiry(lease, adapter, adapter.capabilities())
    except GatewayError:
        return Inquiry(lease, None, None)


def _look_at(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    state = PartState(part["state"])
    if state is PartState.ACCEPTED:
        return _accepted(rt, inquiry, part)
    if state is not PartState.UNKNOWN:
        return Finding(part, state)
    if inquiry.kind == "key" and part["tries"] < rt.settings.max_tries and inquiry.honours(part):
        # The same key again cannot double anything, so no look-up is needed.
        return _back_to_pending(rt, inquiry, part, wait_s=0.0, proven=False)
    if inquiry.kind != "none" and inquiry.can_look_up:
        return _unknown_with_lookup(rt, inquiry, part)
    return _unknown_with_neither(rt, inquiry, part)


def _unknown_with_lookup(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    seen = _look_up(inquiry, part)
    match seen:
        case Found(state="failed"):
            return _back_to_pending(rt, inquiry, part, wait_s=0.0, proven=True)
        case Found():
            return _found(rt, inquiry, part, seen)
        case Absent() if not _settled(rt, inquiry, part):
            return Finding(part, PartState.UNKNOWN, again_s=_next_look(rt, inquiry, part))
        case Absent() if inquiry.authoritative:
            return _absent(rt, inquiry, part, seen)
        case Absent():
            return Finding(part, PartState.UNKNOWN, gone_for_good=True, why="unproven")
        case LookUpUnavailable():
            return _unreachable(rt, inquiry, part, PartState.UNKNOWN)


def _absent(rt: Engine, inquiry: Inquiry, part: dict[str, Any], seen: Absent) -> Finding:
    """Late enough, and said by who should know. Sent again only where the kind of part allows it."""
    known = inquiry.capabilities
    if seen.doubt is not None:
        return Finding(part, PartState.UNKNOWN, gone_for_good=True, why=seen.doubt)
    if not others_only(_device(inquiry), UUID(part["attempt_id"]), seen.others):
        return Finding(part, PartState.UNKNOWN, gone_for_good=True, why="unrecognised_message")
    if known is not None and part["kind"] not in known.resend_on_absent:
        return Finding(part, PartState.UNKNOWN, gone_for_good=True, why="absent")
    return _back_to_pending(rt, inquiry, part, rt.settings.settle_s * inquiry.absence_factor, proven=True)


def _unknown_with_neither(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    """Nobody can be asked. A stopped worker may still come back with the answer until settle."""
    if part["reaped"] and not _settled(rt, inquiry, part):
        return Finding(part, PartState.UNKNOWN, again_s=rt.settings.settle_s - _age_s(part))
    why = "tries" if inquiry.kind == "key" else "unproven"
    return Finding(part, PartState.UNKNOWN, gone_for_good=True, why=why)


def _accepted(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    """Accepted is confirmed by a look-up where there is one. Absent at settle: they say, not delivered."""
    if inquiry.capabilities is not None and inquiry.capabilities.confirmed_on_accept:
        return _confirmed(rt, inquiry, part)
    if not inquiry.can_look_up:
        return Finding(part, PartState.ACCEPTED)
    seen = _look_up(inquiry, part)
    match seen:
        case Found(state="failed"):
            return _back_to_pending(rt, inquiry, part, wait_s=0.0, proven=True)
        case Found():
            return _found(rt, inquiry, part, seen)
        case Absent() if not _settled(rt, inquiry, part):
            return Finding(part, PartState.ACCEPTED, again_s=_next_look(rt, inquiry, part))
        case Absent() if inquiry.authoritative:
            return _back_to_pending(rt, inquiry, part, rt.settings.settle_s, proven=True)
        case Absent():
            return Finding(part, PartState.ACCEPTED)
        case LookUpUnavailable():
            return _unreachable(rt, inquiry, part, PartState.ACCEPTED)


def _found(rt: Engine, inquiry: Inquiry, part: dict[str, Any], seen: Found) -> Finding:
    """It is there. Where the provider tells `delivered` apart, `accepted` is asked again until settle."""
    slot, attempt_id = inquiry.lease.slot, UUID(part["attempt_id"])
    message_id = seen.provider_msg_id
    if seen.candidates:
        ours = first_free(_device(inquiry), slot, attempt_id, seen.candidates)
        if ours is None:
            return _somebody_elses(rt, inquiry, part)
        message_id = ours[0]
    if part["state"] != PartState.ACCEPTED:
        proof = Evidence(
            slot, part["ord"], attempt_id, AttemptOutcome.ACCEPTED, "looked_up", message_id,
            answer=seen.answer,
        )  # fmt: skip
        if rt.evidence.store(proof) is None:
            return Finding(part, PartState.UNKNOWN, again_s=_next_look(rt, inquiry, part))
    if seen.state == "accepted" and inquiry.confirms:
        again_s = None if _settled(rt, inquiry, part) else _next_look(rt, inquiry, part)
        return Finding(part, PartState.ACCEPTED, again_s=again_s)
    return _confirmed(rt, inquiry, part)


def _confirmed(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    proven = (inquiry.lease.slot, part["ord"], UUID(part["attempt_id"]))
    if not rt.confirmed(proven):
        return Finding(part, PartState.ACCEPTED, again_s=_next_look(rt, inquiry, part))
    return Finding(part, PartState.DELIVERED)


def _somebody_elses(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    """What looks like ours belongs to other attempts. Once late, a person has to look at the room."""
    if _settled(rt, inquiry, part):
        return Finding(part, PartState.UNKNOWN, gone_for_good=True, why="not_ours")
    return Finding(part, PartState.UNKNOWN, again_s=_next_look(rt, inquiry, part))


def _unreachable(rt: Engine, inquiry: Inquiry, part: dict[str, Any], state: PartState) -> Finding:
    """A look-up that is not reached is never absence: ask until finish_by + 2 × settle, then a person."""
    if inquiry.lease.finish_ms / 1000 + 2 * rt.settings.settle_s <= 0:
        return Finding(part, state, gone_for_good=True, why="lookup_unavailable")
    return Finding(part, state, again_s=_next_look(rt, inquiry, part), why="lookup_unavailable")


def _look_up(inquiry: Inquiry, part: dict[str, Any]) -> LookUp:
    if inquiry.adapter is None:
        return LookUpUnavailable("channel_unavailable")
    lease = inquiry.lease
    sent_at = lease.sat + dt.timedelta(milliseconds=lease.age_ms - float(part["since_sending_ms"] or 0.0))
    address = RoomAddress(lease.channel or "", lease.room or "", lease.device)
    images = len(part.get("image_ids") or ()) or int(part["image_id"] is not None)
    before = part.get("before")
    sought = Sought(
        part["idem_key"], part["provider_msg_id"], sent_at, part["kind"], part["body"], images, before
    )
    seen = inquiry.adapter.look_up(address, sought)
    hit("confirm.looked_up")
    if before is not None:
        _note(lease, part, seen)
    return seen


def _note(lease: Lease, part: dict[str, Any], seen: LookUp) -> None:
    """What was seen, for `jeongsi slot why`."""
    told = {"saw": type(seen).__name__.lower(), **seen.answer}
    if isinstance(seen, LookUpUnavailable):
        told["reason"] = seen.reason
    attempt_id = UUID(part["attempt_id"])
    database.retrying(lambda db: devices.note_seen(db, lease.slot, attempt_id, told))


def _device(inquiry: Inquiry) -> str | None:
    return device_for(inquiry.lease.channel, inquiry.lease.device, inquiry.capabilities)


def _back_to_pending(
    rt: Engine, inquiry: Inquiry, part: dict[str, Any], wait_s: float, proven: bool
) -> Finding:
    question = Resolve(
        inquiry.lease.slot, part["ord"], UUID(part["attempt_id"]), inquiry.lease.fence, wait_s, proven
    )
    if rt.committer.resolve(question):
        tainted = part["tainted"] or not proven
        return Finding({**part, "tainted": tainted}, PartState.PENDING)
    return Finding(part, PartState(part["state"]), again_s=key_retry_s(rt.settings.retry_delays_s))


def _settled(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> bool:
    return _age_s(part) >= rt.settings.settle_s * inquiry.absence_factor


def _age_s(part: dict[str, Any]) -> float:
    return float(part["settling_ms"] or 0.0) / 1000


def _next_look(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> float:
    looks_s = inquiry.capabilities.lookup_delays_s if inquiry.capabilities else ()
    absence_s = rt.settings.settle_s * inquiry.absence_factor
    return lookup_delay_s(rt.settings.first_lookup_s, absence_s, _age_s(part), looks_s=looks_s)
