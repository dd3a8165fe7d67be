"""What was found out about a slot's parts, and where that sends the slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateways.adapter import Adapter
from gateways.capabilities import Capabilities
from models.ledger.worker import Lease, Settle
from models.states import PartState, Phase, SlotState
from runtime.events import Event, emit
from runtime.settings import Settings
from tasks.ladder import fast_delay_s, key_retry_s, retry_delay_s
from tasks.prepare import DONE
from tasks.under_way import truthful


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one part now.

    ``state``: as it stands after this look. ``again_s``: look again then. ``gone_for_good``: nobody will
    ever be able to tell, for the reason ``why``.
    """

    part: dict[str, Any]
    state: PartState
    again_s: float | None = None
    why: str = "confirm"
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

    @property
    def can_look_up(self) -> bool:
        """Whether the provider can be asked for a message by our key; while it is away, by its kind."""
        return self.capabilities.lookup_by_key if self.capabilities else self.kind != "none"

    @property
    def authoritative(self) -> bool:
        """Whether its "absent" means: never taken."""
        return self.capabilities is not None and self.capabilities.lookup_authoritative

    @property
    def absence_factor(self) -> float:
        """After how many times settle its "absent" is believed."""
        return self.capabilities.absence_factor if self.capabilities else 1.0

    @property
    def confirms(self) -> bool:
        """Whether it tells `delivered` apart from `accepted`."""
        return self.capabilities is not None and self.capabilities.confirms

    def honours(self, part: dict[str, Any]) -> bool:
        """Whether the provider still knows the key that this part was sent with."""
        age_s = float(part["since_sending_ms"] or 0.0) / 1000
        return self.capabilities is None or age_s < self.capabilities.idempotency_ttl_s


def route(settings: Settings, inquiry: Inquiry, findings: Sequence[Finding]) -> Settle:
    """The slot's next state, by its parts alone.

    A part that may have arrived blocks the rest. One that is only not confirmed yet does not: the parts
    after it go out first.
    """
    lease = inquiry.lease
    end = Settle(lease.slot, lease.fence, SlotState.WAITING, "confirm", Phase.CONFIRM)
    gone = next((finding for finding in findings if finding.gone_for_good), None)
    if gone is not None:
        return replace(end, state=SlotState.UNRESOLVED, reason=gone.why)
    states = [finding.state for finding in findings]
    waiting = [finding for finding in findings if finding.again_s is not None]
    blocked = any(finding.state is PartState.UNKNOWN for finding in waiting)
    if PartState.FAILED in states and not blocked:
        return replace(end, state=_with_refused(findings), reason="rejected")
    if (PartState.PENDING in states or not findings) and not blocked:
        return _send_again(settings, inquiry, end, findings)
    if waiting:
        soonest = min(waiting, key=lambda finding: finding.again_s or 0.0)
        return replace(end, reason=soonest.why, delay_ms=(soonest.again_s or 0.0) * 1000)
    assert all(state in DONE for state in states), f"slot {lease.slot}: parts {states} cannot be routed"
    confirmed = all(state is PartState.DELIVERED for state in states)
    reason = "confirmed" if confirmed else "accepted"
    return replace(end, state=SlotState.DELIVERED, reason=reason, confirmed=confirmed)


def _with_refused(findings: Sequence[Finding]) -> SlotState:
    return truthful(
        SlotState.FAILED, ((finding.state, bool(finding.part["tainted"])) for finding in findings)
    )


def _send_again(settings: Settings, inquiry: Inquiry, end: Settle, findings: Sequence[Finding]) -> Settle:
    """Back to sending, after the ladder's delay from the end of the last try."""
    end = replace(end, phase=Phase.SEND, reason="retry")
    part = next((finding.part for finding in findings if finding.state is PartState.PENDING), None)
    if part is None:
        return end  # nothing was laid down: it begins anew
    tries, since_s = int(part["tries"]), float(part["since_done_ms"] or 0.0) / 1000
    if tries >= settings.max_tries:
        return replace(end, state=_with_refused(findings), phase=Phase.CONFIRM, reason="tries")
    if tries == 0:
        return replace(end, delay_ms=_after_misses(settings, part) * 1000)
    if tries == 1 and inquiry.kind == "key" and part["tainted"]:
        delay_s = max(0.0, key_retry_s(settings.retry_delays_s) - since_s)
    else:
        delay_s = retry_delay_s(settings.retry_delays_s, tries, since_s)
    emit(Event.RETRY, message_id=str(end.slot), delay_s=round(delay_s, 1), reason="not confirmed")
    return replace(end, delay_ms=delay_s * 1000)


def _after_misses(settings: Settings, part: dict[str, Any]) -> float:
    """A part that was never tried goes at once; one that never left takes the fast ladder."""
    return fast_delay_s(settings.fast_delays_s, part["misses"]) if part["misses"] else 0.0
