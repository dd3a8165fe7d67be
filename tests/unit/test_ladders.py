"""When a part is tried or looked up again."""

from __future__ import annotations

from tasks.ladder import fast_delay_s, key_retry_s, lookup_delay_s, retry_delay_s
from tasks.refusals import Refusals
from tests.support.slots import slot_at

LADDER = (60.0, 120.0, 300.0, 600.0)


def test_each_try_waits_its_own_delay_and_the_last_one_repeats() -> None:
    assert [retry_delay_s(LADDER, tries) for tries in (1, 2, 3, 4, 5, 9)] == [60, 120, 300, 600, 600, 600]


def test_the_delay_counts_from_the_end_of_the_try_before() -> None:
    assert retry_delay_s(LADDER, 1, since_done_s=45.0) == 15.0
    assert retry_delay_s(LADDER, 1, since_done_s=3600.0) == 0.0


def test_what_never_left_goes_again_soon() -> None:
    assert [fast_delay_s((1, 2, 5, 10), misses) for misses in (0, 1, 2, 3, 4, 50)] == [1, 1, 2, 5, 10, 10]


def test_a_key_is_tried_again_after_a_second_or_sooner_where_time_is_scaled() -> None:
    assert key_retry_s(LADDER) == 1.0
    assert key_retry_s((0.2,)) == 0.2


def test_look_ups_come_at_first_then_twice_that_then_at_settle_and_go_on() -> None:
    assert [lookup_delay_s(15, 60, age) for age in (0, 14, 15, 31, 60, 100)] == [15, 1, 15, 29, 15, 15]


def test_refusals_are_counted_per_slot_until_something_leaves() -> None:
    refusals, one, other = Refusals(), slot_at(1), slot_at(2)
    assert [refusals.add(one), refusals.add(one), refusals.add(other)] == [1, 2, 1]
    refusals.forget(one)
    assert refusals.add(one) == 1


def test_refusals_of_slots_long_gone_take_no_memory() -> None:
    refusals = Refusals()
    refusals.add(slot_at(0))
    for number in range(1, 10_001):
        refusals.add(slot_at(number))
    assert refusals.add(slot_at(0)) == 1
    assert refusals.add(slot_at(10_000)) == 2
