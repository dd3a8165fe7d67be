"""One slot on its way to the provider, as a value, and the ways of giving it up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateways.adapter import Adapter
from gateways.capabilities import Capabilities, ProviderKind
from gateways.errors import GatewayError
from gateways.message import RoomAddress
from gateways.registry import adapter_for
from models.ledger.worker import Lease, Settle
from models.states import PartState, Phase, SlotState
from tasks.prepare import DONE, Message

#: A key must outlive the slot by this much, else a late try could meet a provider that forgot it.
KEY_MARGIN_S = 3600.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """``fence`` is the newest that the ledger gave us; every command carries it."""

    lease: Lease
    fence: int
    message: Message
    adapter: Adapter
    capabilities: Capabilities
    address: RoomAddress

    @property
    def kind(self) -> ProviderKind:
        """Which promise this provider can keep for this slot."""
        return promise_of(self.capabilities, self.lease.finish_ms / 1000)

    @property
    def device(self) -> str | None:
        """What carries one message at a time for this slot: the whole channel, or the room's device."""
        return device_for(self.lease.channel, self.lease.device, self.capabilities)

    def end(
        self, state: SlotState, reason: str | None, *, phase: Phase = Phase.SEND, delay_s: float = 0.0
    ) -> Settle:
        """How this slot is given up."""
        return Settle(self.lease.slot, self.fence, state, reason, phase, delay_s * 1000)

    def close(self, state: SlotState, reason: str) -> Settle:
        """End it with parts left that do not go out, truthfully about those that did or may have."""
        parts = ((part.state, part.tainted) for part in self.message.parts)
        return self.end(truthful(state, parts), reason)


@dataclass(frozen=True, slots=True)
class Sent:
    """A part went out and was accepted; go on with the next."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Settled:
    """The last part went out, and the slot was given up with its evidence."""

    end: Settle


#: After a part: on with the next, give the slot up, it was given up, or (None) it is not ours to settle.
Step = Sent | Settle | Settled | None


def promise_of(capabilities: Capabilities, finish_s: float) -> ProviderKind:
    """The provider's kind for a slot that may be tried for ``finish_s`` more seconds."""
    if capabilities.kind == "key" and capabilities.idempotency_ttl_s < max(finish_s, 0.0) + KEY_MARGIN_S:
        return "lookup" if capabilities.lookup_by_key else "none"
    return capabilities.kind


def truthful(state: SlotState, parts: Iterable[tuple[PartState, bool]]) -> SlotState:
    """``state`` for a slot of which nothing arrived; else partial, or unresolved where a part may have.

    ``parts``: state and taint of each.
    """
    known = list(parts)
    if any(part is PartState.UNKNOWN or (tainted and part not in DONE) for part, tainted in known):
        return SlotState.UNRESOLVED
    return SlotState.PARTIAL if any(part in DONE for part, _ in known) else state


def truthful_of(lease: Lease, state: SlotState) -> SlotState:
    """The same from the parts as they were laid down when the slot was leased."""
    return truthful(state, ((PartState(row["state"]), bool(row["tainted"])) for row in lease.parts or []))


def device_for(channel: str | None, device: str | None, capabilities: Capabilities | None) -> str | None:
    """The device's name: a channel that carries one request at a time is its own, whatever its rooms say."""
    return channel if capabilities is not None and capabilities.exclusive else device


def device_of(lease: Lease) -> str | None:
    """The same for a slot whose adapter may not be usable now."""
    try:
        capabilities = adapter_for(lease.channel).capabilities() if lease.channel else None
    except GatewayError:
        capabilities = None
    return device_for(lease.channel, lease.device, capabilities)
