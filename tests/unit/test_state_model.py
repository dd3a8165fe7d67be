"""Which protocols send twice, lose or stay in doubt: why we run ours (exactly-once.md section 11)."""

from __future__ import annotations

import pytest

from tests.support import state_model
from tests.support.state_model import Protocol, State, Step, explore

# name: protocol, can send twice, can end in doubt
PROTOCOLS = {
    "a lock or a lease alone": (Protocol(point_of_no_return=False), True, False),
    "blind resend to a provider that can do nothing": (Protocol(resend="always"), True, False),
    "absence believed at once": (Protocol(resend="not_found", lookup=True), True, False),
    "absence believed after settle": (Protocol(resend="not_found", lookup=True, settle=True), False, False),
    "idempotency key": (Protocol(resend="always", idempotency_key=True), False, False),
    "a provider that can do nothing, at most once": (Protocol(), False, True),
    "look-up, never a resend": (Protocol(lookup=True), False, True),
    "absence believed after settle, two crashes, three tries": (
        Protocol(resend="not_found", lookup=True, settle=True, crashes=2, tries=3),
        False,
        False,
    ),
    "a lease alone with an idempotency key": (
        Protocol(point_of_no_return=False, idempotency_key=True),
        False,
        False,
    ),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_sends_twice_exactly_where_theory_says_so(name: str) -> None:
    protocol, twice, doubt = PROTOCOLS[name]
    verdict = explore(protocol)
    assert (verdict.duplicate is not None) == twice, verdict.duplicate
    assert verdict.unresolved == doubt
    assert verdict.lost is None, verdict.lost
    assert verdict.states > 100


def test_the_shortest_way_to_a_duplicate_without_a_point_of_no_return_is_a_lease_that_ran_out() -> None:
    way = explore(Protocol(point_of_no_return=False)).duplicate
    assert way is not None
    assert "reaper" in way
    assert way.count("provider takes effect") == 2


def test_a_confirmer_that_ignores_late_proof_of_not_sent_strands_the_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model finds the first draft's bug again: a checker that never failed proves nothing."""
    whole = state_model.confirm_steps

    def forgetful(state: State, protocol: Protocol) -> list[Step]:
        return [step for step in whole(state, protocol) if "proved not sent" not in step[0]]

    monkeypatch.setattr(state_model, "confirm_steps", forgetful)
    way = explore(Protocol(resend="not_found", lookup=True, settle=True)).lost
    assert way is not None
    assert way[-1].endswith("proves that nothing was sent")
