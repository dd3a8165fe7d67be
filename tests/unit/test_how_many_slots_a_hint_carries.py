"""Sends go singly when it is quiet, together in a burst; devices and uploads singly; look-ups in sets."""

from __future__ import annotations

import datetime as dt
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


def test_look_ups_share_a_hint_where_as_many_sends_would_go_singly() -> None:
    """Of several instants, as they fall due one after the other."""
    at = [NINE + dt.timedelta(milliseconds=n) for n in range(20)]
    crews = {queue: Crew(2, 32, {}) for queue in ("send", "confirm")}
    sizes = {
        queue: [len(hint.slots) for hint in hints_of(
            [Due(n, at[n], queue, NINE, 5, "bridge", None) for n in range(20)],
            crews, {}, concurrency=16, most=50,
        )]
        for queue in crews
    }  # fmt: skip
    assert sizes == {"send": [1] * 20, "confirm": [10, 10]}


def test_a_handful_of_look_ups_goes_singly() -> None:
    slots = [Due(n, NINE, "confirm", NINE, 5, "bridge", None) for n in range(4)]
    made = hints_of(slots, {"confirm": Crew(1, 16, {})}, {}, concurrency=16, most=50)
    assert [len(hint.slots) for hint in made] == [1] * 4
