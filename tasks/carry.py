"""Carry the slots of one hint: lock ▸ lease ▸ run each ▸ unlock. Shared by sending and confirming."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.ledger.worker import Lease, Settle
from models.states import LIVE, Phase
from runtime.events import Event, emit
from runtime.failpoints import hit
from runtime.ids import SlotId
from tasks import told
from tasks.attempt import send_slot
from tasks.confirm import confirm_slot
from tasks.devices import next_waiter
from tasks.engine import Engine
from tasks.under_way import device_of


class SlotsFailed(Exception):
    """Slots of this hint finally failed. Raised after everything is settled, so that Flower shows it."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the slots of one phase are carried, and the failpoints on the way."""

    phase: Phase
    run: Callable[[Engine, Lease], Settle | None]
    taken: Callable[[], None]
    leased: Callable[[], None]


SEND = Way(Phase.SEND, send_slot, lambda: hit("send.taken"), lambda: hit("send.leased"))
CONFIRM = Way(Phase.CONFIRM, confirm_slot, lambda: hit("confirm.taken"), lambda: hit("confirm.leased"))


def carry(rt: Engine, slots: list[SlotId], way: Way) -> dict[str, str]:
    """Carry these slots as far as they go now; answers slot id -> state.

    Raises ``SlotsFailed``, naming them, when one of them finally failed. Slots that somebody else
    holds, that are early or gone are left out: their hint was one too many.
    """
    ends, devices, _ = _carry(rt, slots, way)
    for device in devices:
        ends += _carry_waiters(rt, device)
    _raise_failed(ends)
    return {str(end.slot): end.state.value for end in ends}


def _carry_waiters(rt: Engine, device: str) -> list[Settle]:
    """Who has just used a device carries those that wait for it, one after the other, in their order."""
    ends: list[Settle] = []
    while (slot := next_waiter(rt, device)) is not None:
        done, _, was_free = _carry(rt, [slot], SEND)
        ends += done
        if not was_free:
            break  # somebody else has it, or is at the device, and goes on from there
    return ends


def _carry(rt: Engine, slots: Sequence[SlotId], way: Way) -> tuple[list[Settle], list[str], bool]:
    """How the slots ended, the devices that they used, and whether none of those was taken."""
    way.taken()
    hit("send.locking")
    held = rt.locks.acquire(slots)
    devices: list[str] = []
    leases: list[Lease] = []
    try:
        hit("send.locked")
        leases = [lease for lease in rt.lease(held) if _is_ours(lease)]
        way.leased()
        carried = list(zip(leases, rt.for_each(lambda lease: _run(rt, lease), leases), strict=True))
        ends = [end for _, end in carried if end is not None]
        if way is SEND:
            devices = _freed(carried)
    finally:
        for lease in leases:
            rt.done(lease.slot)
        rt.locks.release(held)
    was_free = bool(leases) and all(end.reason != "device_busy" for end in ends)
    return ends, devices, was_free


def _freed(carried: Sequence[tuple[Lease, Settle | None]]) -> list[str]:
    """The devices that these slots have used. Who found one taken leaves the next to whoever has it."""
    used = (device_of(lease) for lease, end in carried if end is None or end.reason != "device_busy")
    return list(dict.fromkeys(device for device in used if device is not None))


def _run(rt: Engine, lease: Lease) -> Settle | None:
    """By the slot's own phase: a hint may come on the other queue after a republish."""
    end: Settle | None = None
    try:
        end = confirm_slot(rt, lease) if lease.phase == Phase.CONFIRM else send_slot(rt, lease)
        return end
    finally:
        rt.done(lease.slot)
        if end is None or end.state in LIVE:
            rt.locks.release([lease.slot])  # its next hint may come before the rest of this one is done


def _is_ours(lease: Lease) -> bool:
    if lease.verdict == "leased":
        return True
    emit(Event.LEASE_REFUSED, message_id=str(lease.slot), reason=lease.verdict)
    return False


def _raise_failed(ends: list[Settle]) -> None:
    failed = [end for end in ends if told.is_final_failure(end)]
    if failed:
        raise SlotsFailed("; ".join(f"{end.slot} {end.state.value}: {end.reason}" for end in failed))
