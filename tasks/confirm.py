"""Find out what became of the parts of a leased slot, and decide: delivered, again, later, or unresolved.

"Found" is believed at once, "absent" only after settle, a look-up that cannot be reached never
(exactly-once.md R8, R9). A provider with neither key nor look-up cannot tell: at most once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateways.adapter import Adapter
from gateways.capabilities import Capabilities
from gateways.errors import GatewayError
from gateways.message import RoomAddress
from gateways.outcomes import Absent, Found, LookUp, LookUpUnavailable
from gateways.registry import adapter_for
from models.ledger import worker as ledger
from models.ledger.worker import Evidence, Lease, Resolve, Settle
from models.states import AttemptOutcome, PartState, Phase, SlotState
from runtime import database
from runtime.events import Event, emit
from runtime.failpoints import hit
from tasks import told
from tasks.engine import Engine
from tasks.ladder import lookup_delay_s, retry_delay_s

#: A provider that honours keys is asked again this soon, once; later tries wait their ladder.
KEY_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one part now. ``state``: as it stands after this look. ``again_s``: look again then."""

    part: dict[str, Any]
    state: PartState
    again_s: float | None = None
    why: str = "confirm"
    confirmed: bool = False
    gone_for_good: bool = False


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One slot in confirm phase, with what its provider can do (None: it cannot be asked now)."""

    lease: Lease
    adapter: Adapter | None
    capabilities: Capabilities | None

    @property
    def kind(self) -> str:
        """The provider's kind as the ledger noted it at the point of no return."""
        return self.lease.provider_kind or (self.capabilities.kind if self.capabilities else "none")


def confirm_slot(rt: Engine, lease: Lease) -> Settle | None:
    """Look every part up that is not certain, and settle the slot; None if it is not ours any more."""
    inquiry = _begin(lease)
    findings = [_look_at(rt, inquiry, part) for part in lease.parts or []]
    hit("confirm.evidenced")
    end = _route(rt, inquiry, findings)
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
    if state is PartState.UNKNOWN:
        by_kind: dict[str, Callable[[Engine, Inquiry, dict[str, Any]], Finding]] = {
            "key": _unknown_with_key,
            "lookup": _unknown_with_lookup,
        }
        return by_kind.get(inquiry.kind, _unknown_with_neither)(rt, inquiry, part)
    return Finding(part, state)


def _unknown_with_key(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    """The same key again cannot double anything, so no look-up is needed."""
    if part["tries"] >= rt.settings.max_tries:
        return Finding(part, PartState.UNKNOWN, gone_for_good=True, why="tries")
    return _back_to_pending(rt, inquiry, part, wait_s=0.0, proven=False)


def _unknown_with_lookup(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    seen = _look_up(inquiry, part)
    match seen:
        case Found(state="failed"):
            return _back_to_pending(rt, inquiry, part, wait_s=0.0, proven=True)
        case Found():
            _say_found(rt, inquiry, part, seen)
            return Finding(part, PartState.ACCEPTED, confirmed=True)
        case Absent() if _settled(rt, part):
            return _back_to_pending(rt, inquiry, part, rt.settings.settle_s, proven=_authoritative(inquiry))
        case Absent():
            return Finding(part, PartState.UNKNOWN, again_s=_next_look(rt, part))
        case LookUpUnavailable():
            return _unreachable(rt, inquiry, part, PartState.UNKNOWN)


def _unknown_with_neither(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    """Nobody can be asked. A stopped worker may still come back with the answer until settle."""
    if part["reaped"] and not _settled(rt, part):
        return Finding(part, PartState.UNKNOWN, again_s=rt.settings.settle_s - _age_s(part))
    return Finding(part, PartState.UNKNOWN, gone_for_good=True, why="unproven")


def _accepted(rt: Engine, inquiry: Inquiry, part: dict[str, Any]) -> Finding:
    """Accepted is confirmed by a look-up where there is one; absent at settle means: not delivered, said by them."""
    if inquiry.capabilities is not None and not inquiry.capabilities.lookup_by_key:
        return Finding(part, PartState.ACCEPTED)
    if inquiry.capabilities is None and inquiry.kind == "none":
        return Finding(part, PartState.ACCEPTED)
    seen = _look_up(inquiry, part)
    match seen:
        case Found(state="failed"):
            return _back_to_pending(rt, inquiry, part, wait_s=0.0, proven=True)
        case Found(state="accepted") if _confirms(inquiry) and not _settled(rt, part):
            return Finding(part, PartState.ACCEPTED, again_s=_next_look(rt, part))
        case Found():
            _say_found(rt, inquiry, part, seen)
            return Finding(part, PartState.ACCEPTED, confirmed=True)
        case Absent() if not _settled(rt, part):
            return Finding(part, PartState.ACCEPTED, again_s=_next_look(rt, part))
        case Absent() if _authoritative(inquiry):
            return _back_to_pending(rt, inquiry, part, rt.settings.settle_s, proven=True)
        case Absent():
            return Finding(part, PartState.ACCEPTED)
        case LookUpUnavailable():
            return _unreachable(rt, inquiry, part, PartState.ACCEPTED)


def _unreachable(rt: Engine, inquiry: Inquiry, part: dict[str, Any], state: PartState) -> Finding:
    """A look-up that cannot be reached is never absence: ask until finish_by + 2 × settle, then a person."""
    if inquiry.lease.finish_ms / 1000 + 2 * rt.settings.settle_s <= 0:
        return Finding(part, state, gone_for_good=True, why="lookup_unavailable")
    return Finding(part, state, again_s=_next_look(rt, part), why="lookup_unavailable")


def _look_up(inquiry: Inquiry, part: dict[str, Any]) -> LookUp:
    if inquiry.adapter is None:
        return LookUpUnavailable("channel_unavailable")
    lease = inquiry.lease
    sent_at = lease.sat + dt.timedelta(milliseconds=lease.age_ms - float(part["since_sending_ms"] or 0.0))
    address = RoomAddress(lease.channel or "", lease.room or "", lease.device)
    seen = inquiry.adapter.look_up(address, part["idem_key"], part["provider_msg_id"], sent_at)
    hit("confirm.looked_up")
    return seen


def _say_found(rt: Engine, inquiry: Inquiry, part: dict[str, Any], seen: Found) -> None:
    slot, attempt_id = inquiry.lease.slot, UUID(part["attempt_id"])
    if part["state"] != PartState.ACCEPTED:
        rt.evidence(
            Evidence(slot, part["ord"], attempt_id, AttemptOutcome.ACCEPTED, "looked_up", seen.provider_msg_id,
                     answer=seen.answer)
        )  # fmt: skip
    database.retrying(lambda db: ledger.confirmed(db, [(slot, part["ord"], attempt_id)]))


def _back_to_pending(
    rt: Engine, inquiry: Inquiry, part: dict[str, Any], wait_s: float, proven: bool
) -> Finding:
    question = Resolve(
        inquiry.lease.slot, part["ord"], UUID(part["attempt_id"]), inquiry.lease.fence, wait_s, proven
    )
    if rt.committer.resolve(question):
        tainted = part["tainted"] or not proven
        return Finding({**part, "tainted": tainted, "state": PartState.PENDING}, PartState.PENDING)
    return Finding(part, PartState(part["state"]), again_s=KEY_RETRY_S)


def _route(rt: Engine, inquiry: Inquiry, findings: list[Finding]) -> Settle:
    """The slot's next state, by its parts alone."""
    lease = inquiry.lease
    end = Settle(lease.slot, lease.fence, SlotState.WAITING, "confirm", Phase.CONFIRM)
    states = [finding.state for finding in findings]
    for finding in findings:
        if finding.gone_for_good:
            return replace(end, state=SlotState.UNRESOLVED, reason=finding.why)
    waits = [finding.again_s for finding in findings if finding.again_s is not None]
    if waits:
        why = next(finding.why for finding in findings if finding.again_s is not None)
        return replace(end, reason=why, delay_ms=min(waits) * 1000)
    if PartState.PENDING in states:
        return _send_again(rt, end, findings)
    if PartState.FAILED in states:
        some = any(state in (PartState.ACCEPTED, PartState.DELIVERED) for state in states)
        return replace(end, state=SlotState.PARTIAL if some else SlotState.FAILED, reason="rejected")
    confirmed = all(finding.confirmed or finding.state is PartState.DELIVERED for finding in findings)
    return replace(
        end, state=SlotState.DELIVERED, reason="confirmed" if confirmed else "accepted", confirmed=confirmed
    )


def _send_again(rt: Engine, end: Settle, findings: list[Finding]) -> Settle:
    """Back to sending, after the ladder's delay from the end of the last try."""
    part = next(finding.part for finding in findings if finding.state is PartState.PENDING)
    tries, since_s = int(part["tries"]), float(part["since_done_ms"] or 0.0) / 1000
    if tries >= rt.settings.max_tries:
        state = SlotState.UNRESOLVED if part["tainted"] else SlotState.FAILED
        some = any(f.state in (PartState.ACCEPTED, PartState.DELIVERED) for f in findings)
        return replace(
            end, state=SlotState.PARTIAL if some and not part["tainted"] else state, reason="tries"
        )
    if tries == 0:
        return replace(end, phase=Phase.SEND, reason="retry")
    first_with_key = tries == 1 and part["tainted"]
    delay_s = KEY_RETRY_S if first_with_key else retry_delay_s(rt.settings.retry_delays_s, tries, since_s)
    emit(Event.RETRY, message_id=str(end.slot), delay_s=round(delay_s, 1), reason="not confirmed")
    return replace(end, phase=Phase.SEND, reason="retry", delay_ms=delay_s * 1000)


def _settled(rt: Engine, part: dict[str, Any]) -> bool:
    return _age_s(part) >= rt.settings.settle_s


def _age_s(part: dict[str, Any]) -> float:
    return float(part["since_sending_ms"] or 0.0) / 1000


def _next_look(rt: Engine, part: dict[str, Any]) -> float:
    return lookup_delay_s(rt.settings.first_lookup_s, rt.settings.settle_s, _age_s(part))


def _authoritative(inquiry: Inquiry) -> bool:
    return inquiry.capabilities is not None and inquiry.capabilities.lookup_authoritative


def _confirms(inquiry: Inquiry) -> bool:
    return inquiry.capabilities is not None and inquiry.capabilities.confirms
