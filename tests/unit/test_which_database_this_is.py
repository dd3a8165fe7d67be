"""What a beat rules from a database's own word and from what stands outside it. No server is asked."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from uuid import UUID

import pytest

from beat.instance import Step, judge
from beat.witness import Record, Seen
from models.ledger.instance import Facts

ID, OTHER = UUID(int=7), UUID(int=8)
WORD, OTHER_WORD = UUID(int=70), UUID(int=80)
AT = dt.datetime(2026, 11, 26, 9, tzinfo=dt.UTC)
#: A database whose server has just started: nobody has vouched for it since.
HERE = Facts(
    id=ID, mark=100, word=WORD, marked_at=AT, sealed=False, held_at=None, held_reason=None, has_past=True,
    sync=False, system=1, database=5, timeline=1,
)  # fmt: skip
SEEN = Record(
    id=str(ID), mark=100, word=str(WORD), at=AT.isoformat(), system=1, database=5, timeline=1, sync=False,
    home="/home", inode=3,
)  # fmt: skip
NOTHING = Seen([], [])


def seen(record: Record) -> Seen:
    return Seen([record], [])


@pytest.mark.parametrize("where", ["home", "redis"])
def test_a_record_in_either_place_vouches_for_a_database_that_lost_nothing(where: str) -> None:
    known = Seen([SEEN], []) if where == "home" else Seen([], [SEEN])
    assert judge(HERE, known).step is Step.VOUCH


def test_a_record_that_lags_behind_the_database_vouches_for_it() -> None:
    assert judge(HERE, seen(replace(SEEN, mark=98, word=str(OTHER_WORD)))).step is Step.VOUCH


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (replace(SEEN, mark=101), "set back"),
        (replace(SEEN, database=6), "restored or copied"),
        (replace(SEEN, system=2), "restored or copied"),
        (replace(SEEN, word=str(OTHER_WORD)), "a clone runs beside"),
        (replace(SEEN, timeline=2), "another server was promoted"),
    ],
)
def test_a_record_that_says_otherwise_holds_it(record: Record, why: str) -> None:
    ruling = judge(HERE, seen(record))
    assert ruling.step is Step.HOLD
    assert why in ruling.reason


def test_the_furthest_record_counts() -> None:
    behind = replace(SEEN, mark=50, timeline=9)
    assert judge(HERE, Seen([behind], [SEEN])).step is Step.VOUCH
    assert judge(HERE, Seen([SEEN], [replace(SEEN, mark=101)])).step is Step.HOLD


def test_a_promoted_standby_goes_on_only_where_replication_was_synchronous() -> None:
    promoted = replace(HERE, timeline=2)
    assert judge(promoted, seen(replace(SEEN, sync=True))).step is Step.VOUCH
    assert "not synchronous" in judge(promoted, seen(SEEN)).reason
    assert "set back" in judge(promoted, seen(replace(SEEN, sync=True, mark=101))).reason


def test_what_a_hosted_server_does_not_say_is_not_held_against_it() -> None:
    hosted = replace(HERE, system=0, timeline=0)
    assert judge(hosted, seen(replace(SEEN, system=0, timeline=0))).step is Step.VOUCH
    assert judge(hosted, seen(SEEN)).step is Step.VOUCH


def test_a_database_with_a_past_that_nobody_knows_is_held() -> None:
    assert judge(HERE, NOTHING).step is Step.HOLD
    assert judge(HERE, seen(replace(SEEN, id=str(OTHER)))).step is Step.HOLD


def test_it_waits_for_a_redis_that_may_know_it() -> None:
    assert judge(HERE, Seen([], [], silent=True)).step is Step.WAIT
    assert judge(HERE, Seen([SEEN], [], silent=True)).step is Step.VOUCH


def test_a_database_without_a_past_is_adopted() -> None:
    assert judge(replace(HERE, has_past=False), NOTHING).step is Step.VOUCH


def test_lost_records_do_not_hold_a_database_that_was_vouched_for_since_its_server_started() -> None:
    assert judge(replace(HERE, sealed=True), NOTHING).step is Step.VOUCH


def test_a_database_of_an_older_version_is_adopted_unless_another_ran_in_its_place() -> None:
    migrated = replace(HERE, mark=0, sealed=True)
    assert judge(migrated, NOTHING).step is Step.VOUCH
    assert "older version" in judge(migrated, seen(replace(SEEN, id=str(OTHER)))).reason


def test_a_copied_home_vouches_for_nothing_that_was_started_from_it() -> None:
    assert "is a copy of /home" in judge(HERE, seen(SEEN), copied_from="/home").reason
    assert judge(replace(HERE, sealed=True), seen(SEEN), copied_from="/home").step is Step.VOUCH


def test_a_hold_stands_whatever_is_seen() -> None:
    held = replace(HERE, held_at=AT, held_reason="a person's")
    assert judge(held, seen(SEEN)).step is Step.HELD
