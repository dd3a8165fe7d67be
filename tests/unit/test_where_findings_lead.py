"""What was found out about parts decides where their slot goes."""

from __future__ import annotations

from typing import Any

from gateways.capabilities import Capabilities
from models.ledger.worker import Settle
from models.states import PartState, Phase, SlotState
from runtime.settings import Settings
from tasks.findings import Finding, Inquiry, route
from tests.support.slots import lease_of, part_row

KEY = Capabilities(idempotency=True, idempotency_ttl_s=86_400)


def led(*findings: Finding, kind: str = "lookup", **facts: Any) -> Settle:
    lease = lease_of(phase=Phase.CONFIRM, provider_kind=kind, **facts)
    return route(Settings(), Inquiry(lease, None, KEY), findings)


def found(state: PartState, ord_: int = 0, **more: Any) -> Finding:
    facts = {name: more.pop(name) for name in ("tries", "tainted", "since_done_ms", "misses") if name in more}
    return Finding(part_row(ord_, state, **facts), state, **more)


def test_all_delivered_is_confirmed() -> None:
    end = led(found(PartState.DELIVERED), found(PartState.DELIVERED, 1))
    assert (end.state, end.reason, end.confirmed) == (SlotState.DELIVERED, "confirmed", True)


def test_accepted_without_a_confirmation_is_delivered_and_says_so() -> None:
    end = led(found(PartState.DELIVERED), found(PartState.ACCEPTED, 1))
    assert (end.state, end.reason, end.confirmed) == (SlotState.DELIVERED, "accepted", False)


def test_a_part_in_doubt_holds_the_others_back() -> None:
    end = led(found(PartState.UNKNOWN, again_s=5.0), found(PartState.PENDING, 1), found(PartState.FAILED, 2))
    assert (end.state, end.phase, end.delay_ms) == (SlotState.WAITING, Phase.CONFIRM, 5000.0)


def test_a_part_that_is_only_not_confirmed_yet_holds_nothing_back() -> None:
    end = led(found(PartState.ACCEPTED, again_s=5.0), found(PartState.PENDING, 1))
    assert (end.state, end.phase, end.delay_ms) == (SlotState.WAITING, Phase.SEND, 0.0)


def test_what_nobody_can_tell_goes_to_a_person() -> None:
    end = led(found(PartState.ACCEPTED), found(PartState.UNKNOWN, 1, gone_for_good=True, why="unproven"))
    assert (end.state, end.reason) == (SlotState.UNRESOLVED, "unproven")


def test_a_part_that_did_not_arrive_goes_again_by_the_ladder() -> None:
    end = led(found(PartState.PENDING, tries=2, since_done_ms=20_000.0))
    assert (end.state, end.phase, end.delay_ms) == (SlotState.WAITING, Phase.SEND, 100_000.0)


def test_a_key_goes_again_a_second_after_its_first_try_ended() -> None:
    end = led(found(PartState.PENDING, tries=1, tainted=True, since_done_ms=400.0), kind="key")
    assert end.delay_ms == 600.0


def test_tries_used_up_end_as_failed_partial_or_unresolved() -> None:
    spent = {"tries": 5}
    assert led(found(PartState.PENDING, **spent)).state is SlotState.FAILED
    assert led(found(PartState.ACCEPTED), found(PartState.PENDING, 1, **spent)).state is SlotState.PARTIAL
    assert led(found(PartState.PENDING, tainted=True, **spent)).state is SlotState.UNRESOLVED


def test_a_refused_part_that_may_have_arrived_earlier_is_not_called_failed() -> None:
    assert led(found(PartState.FAILED)).state is SlotState.FAILED
    assert led(found(PartState.FAILED, tainted=True)).state is SlotState.UNRESOLVED


def test_a_slot_without_parts_begins_anew() -> None:
    end = led()
    assert (end.state, end.phase) == (SlotState.WAITING, Phase.SEND)
