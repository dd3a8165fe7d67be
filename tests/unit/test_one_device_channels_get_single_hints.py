"""A channel that is one device carries one message at a time, so its slots travel singly."""

from __future__ import annotations

from typing import Any

from beat.hints import Crew, hints_of
from models.ledger.beat import Due
from tests.support.slots import NINE


def due(number: int, channel: str, **facts: Any) -> Due:
    return Due(number, NINE, "send", NINE, 5, channel, facts.get("device"))


def test_a_burst_on_a_device_channel_is_one_slot_a_hint_and_on_a_bridge_many() -> None:
    crews = {"send": Crew(1, 16, {})}
    slots = [due(n, "iris") for n in range(100)] + [due(n, "bridge") for n in range(100, 200)]
    made = hints_of(slots, crews, {}, concurrency=16, most=50, one_device={"iris"})
    sizes = {"iris": set[int](), "bridge": set[int]()}
    for hint in made:
        sizes["iris" if hint.slots[0].schedule_id < 100 else "bridge"].add(len(hint.slots))
    assert sizes["iris"] == {1}
    assert max(sizes["bridge"]) > 1


def test_an_upload_is_one_run_a_hint_however_many_are_due() -> None:
    slots = [Due(n, NINE, "tracking", NINE, 5, None, None) for n in range(100)]
    made = hints_of(slots, {"tracking": Crew(1, 4, {})}, {}, concurrency=4, most=50)
    assert [len(hint.slots) for hint in made] == [1] * 100
    assert {hint.task for hint in made} == {"jeongsi.tracking.run"}
