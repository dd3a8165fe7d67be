"""The checker of the chaos run is fed broken worlds: each is found out, and a whole one is not."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from ops.chaos import check, figures
from ops.chaos.book import Book, Spec
from ops.chaos.crew import Life
from ops.chaos.facts import Attempt, Facts, Move, Receipt, Slot
from ops.chaos.storm import Struck
from runtime.ids import SlotId, to_ms

NINE = dt.datetime(2026, 11, 21, 0, 0, tzinfo=dt.UTC)
SLOT = SlotId(1, NINE)
HOUR = dt.timedelta(hours=1)


def at(seconds: float) -> dt.datetime:
    return NINE + dt.timedelta(seconds=seconds)


def slot(id: SlotId = SLOT, **facts: Any) -> Slot:  # noqa: A002
    known: dict[str, Any] = {
        "state": "delivered", "reason": "confirmed", "kind": "lookup", "channel": "emulator-lookup",
        "origin": "plan", "free_from": id.slot_at, "ended_at": id.slot_at + dt.timedelta(seconds=1),
    }  # fmt: skip
    return Slot(id, **{**known, **facts})


def attempt(id: str = "a1", sent: float = 0.1, **facts: Any) -> Attempt:  # noqa: A002
    known: dict[str, Any] = {
        "slot": SLOT, "ord": 0, "ended_at": at(sent + 0.1), "outcome": "accepted", "reason": "accepted",
        "key": "key-1", "dup_risk": False, "confirmed": False, "exposed": True,
    }  # fmt: skip
    return Attempt(id=id, sending_at=at(sent), **{**known, **facts})


def receipt(when: float = 0.15, **facts: Any) -> Receipt:
    known: dict[str, Any] = {
        "channel": "emulator-lookup", "room": "방", "key": "key-1", "attempt": "a1", "kind": "text",
        "sha256": sha256("안녕"),
    }  # fmt: skip
    return Receipt(at(when), **{**known, **facts})


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def a_book(text: str = "안녕") -> Book:
    book = Book(grace_s=10)
    book.add(1, "방", Spec((to_ms(NINE),), text=text), NINE - HOUR, NINE - HOUR)
    return book


# -- the book -------------------------------------------------------------------------------------


def test_the_book_promises_an_instant_of_a_schedule_that_was_made_before_it() -> None:
    assert a_book().promised(at(60)) == {SLOT}


def test_a_one_off_that_is_made_too_late_is_promised_within_grace_and_a_wheel_is_not() -> None:
    book = Book(grace_s=10)
    book.add(1, "방", Spec((to_ms(NINE),)), at(8), at(9))
    book.add(2, "방", Spec((to_ms(NINE),)), at(11), at(12))
    book.add(3, "방", Spec(every_minutes=1), at(8), at(9))
    assert book.promised(at(50)) == book.allowed(at(50)) == {SLOT}


def test_what_was_switched_off_before_its_time_is_not_promised() -> None:
    book = a_book()
    book.change(1, Spec((to_ms(NINE),), on=False), at(-2), at(-1))
    assert book.promised(at(60)) == set()
    assert book.allowed(at(60)) == set()


def test_an_edit_at_the_very_instant_leaves_both_ends_open() -> None:
    book = a_book()
    book.change(1, Spec((to_ms(NINE),), on=False), at(-0.01), at(0.01))
    assert book.promised(at(60)) == set()
    assert book.allowed(at(60)) == {SLOT}


def test_a_moved_instant_is_promised_where_it_went_and_the_old_one_nowhere() -> None:
    book = a_book()
    book.change(1, Spec((to_ms(at(3)),)), at(-2), at(-1))
    assert book.promised(at(60)) == book.allowed(at(60)) == {SlotId(1, at(3))}


def test_a_wheel_turns_every_so_many_minutes_up_to_its_last() -> None:
    book = Book(grace_s=10)
    book.add(2, "방", Spec(every_minutes=2, last=at(300)), at(-1), at(-0.5))
    assert [one.slot_at for one in sorted(book.promised(at(900)))] == [at(0), at(120), at(240)]


# -- each invariant, broken -----------------------------------------------------------------------


def test_one_receipt_of_a_key_is_right_and_two_are_not() -> None:
    assert check.doubled([receipt()], set()) == []
    (found,) = check.doubled([receipt(), receipt(3.0, attempt="a2")], set())
    assert found.invariant == "I2"


def test_a_second_receipt_that_was_flagged_beforehand_is_counted_apart() -> None:
    facts = Facts(attempts=[attempt(dup_risk=True)], receipts=[receipt(), receipt(3.0)])
    assert check.doubled(facts.receipts, {"key-1"}) == []
    assert check.duplicates(facts) == {"emulator-lookup": {"unflagged": 0, "flagged": 1}}


def memos(*states: str, texts: tuple[str, ...]) -> Facts:
    """Memo slots of one schedule, three seconds apart, in these states; and these texts arrived."""
    ids = [SlotId(1, at(3.0 * n)) for n in range(len(states))]
    facts = Facts(
        {one: slot(one, state=state, channel="kakao-memo") for one, state in zip(ids, states, strict=True)}
    )
    facts.receipts = [receipt(channel="kakao-memo", key=None, sha256=sha256(text)) for text in texts]
    return facts


def memo(*states: str, texts: tuple[str, ...] = ()) -> list[str]:
    return [v.invariant for v in check.memos(a_book(), memos(*states, texts=texts))]


def test_memos_are_known_by_their_texts() -> None:
    assert (
        memo("delivered", texts=("안녕",)) == memo("unresolved", texts=("안녕",)) == memo("unresolved") == []
    )
    assert memo("delivered", texts=("안녕", "안녕")) == ["I2"]
    assert memo("delivered", texts=("남의 글",)) == memo("expired", texts=("안녕",)) == ["I4"]


def test_a_memo_that_went_out_and_was_then_moved_arrives_once_for_each_of_its_two_slots() -> None:
    assert memo("delivered", "delivered", texts=("안녕", "안녕")) == []
    assert memo("delivered", "unresolved", texts=("안녕",)) == []
    assert memo("delivered", "delivered", texts=("안녕",)) == ["I4"]
    assert memo("delivered", "delivered", texts=("안녕",) * 3) == ["I2"]
    assert memo("delivered", "expired", texts=("안녕", "안녕")) == ["I2"]


def test_memos_beyond_those_that_slots_sent_are_duplicates() -> None:
    def counted(*states: str, texts: tuple[str, ...]) -> int:
        return check.doubled_memos(a_book(), memos(*states, texts=texts))

    assert counted("delivered", "delivered", texts=("안녕", "안녕")) == 0
    assert counted("delivered", "expired", texts=("안녕", "안녕")) == 1
    told = check.duplicates(memos("delivered", texts=("안녕", "안녕")), 1)
    assert told == {"kakao-memo": {"unflagged": 1, "flagged": 0}}


def test_a_promised_slot_that_is_missing_or_lives_on_is_lost() -> None:
    assert check.lost({SLOT}, {SLOT: slot()}) == []
    assert [v.invariant for v in check.lost({SLOT}, {})] == ["I3"]
    assert [v.invariant for v in check.lost({SLOT}, {SLOT: slot(state="queued", ended_at=None)})] == ["I3"]


def test_a_slot_that_nobody_asked_for_is_found_unless_it_was_cancelled() -> None:
    assert [v.invariant for v in check.unasked(set(), {SLOT: slot()})] == ["I3"]
    assert check.unasked(set(), {SLOT: slot(state="cancelled")}) == []


def test_a_receipt_before_its_time_is_early() -> None:
    assert check.early([receipt()], [attempt()]) == []
    assert [v.invariant for v in check.early([receipt(-0.5)], [attempt()])] == ["I5"]


def test_a_text_that_an_edit_had_replaced_is_found() -> None:
    book = a_book()
    assert check.wrong_texts(book, [receipt()], [attempt()]) == []
    book.change(1, Spec((to_ms(NINE),), text="다른 글"), at(-30), at(-29))
    (found,) = check.wrong_texts(book, [receipt()], [attempt()])
    assert found.invariant == "I3"
    assert check.wrong_texts(book, [receipt(sha256=sha256("다른 글"))], [attempt()]) == []


def test_an_edit_counts_after_a_try_that_provably_did_not_go_out_and_not_after_one_that_may_have() -> None:
    book = a_book()
    book.change(1, Spec((to_ms(NINE),), text="다른 글"), at(1), at(1.1))
    arrived = [receipt(3.0, attempt="a2", sha256=sha256("다른 글"))]
    refused = attempt(outcome="not_sent", reason="connection_closed", exposed=False)
    unheard = attempt(outcome="unknown", reason="deadline")
    assert check.wrong_texts(book, arrived, [refused, attempt("a2", 2.9)]) == []
    (found,) = check.wrong_texts(book, arrived, [unheard, attempt("a2", 2.9)])
    assert found.invariant == "I3"


def test_a_provider_that_lied_is_no_excuse_for_a_part_that_was_confirmed() -> None:
    facts = Facts(attempts=[attempt(), attempt("a2", confirmed=True), attempt("a3")])
    assert check.lied_to({"a1": "lost", "a2": "lost", "a3": "slow_after"}, facts) == {"a1"}


def test_lateness_is_from_the_free_room_to_the_first_receipt() -> None:
    facts = Facts({SLOT: slot(free_from=at(1.0))}, attempts=[attempt()], receipts=[receipt(1.5), receipt(9)])
    assert check.lateness_ms(facts, NINE, at(10)) == [500.0]
    assert check.lateness_ms(facts, at(1), at(10)) == []


def test_a_calm_stretch_that_is_late_or_empty_proves_nothing() -> None:
    assert check.late([10.0] * 99) == []
    assert [v.invariant for v in check.late([10.0] * 50 + [2500.0])] == ["I6"]
    assert [v.invariant for v in check.late([])] == ["I6"]


def test_a_standstill_after_a_fault_is_found_only_while_something_is_due() -> None:
    late_slot = slot(ended_at=at(50))
    facts = Facts({SLOT: late_slot}, moves={SLOT: [Move(at(45), "queued", "leased", "send-1.1")]})
    assert [v.invariant for v in check.stuck([("flushall", at(1))], facts)] == ["I13"]
    assert check.stuck([("flushall", at(20))], facts) == []
    assert check.stuck([("flushall", at(60))], facts) == []


def test_a_row_that_changes_after_its_end_is_found() -> None:
    assert check.changed({"1-0": "delivered"}, {"1-0": "delivered", "2-0": "failed"}) == []
    assert [v.invariant for v in check.changed({"1-0": "delivered"}, {"1-0": "failed"})] == ["I18"]
    assert [v.invariant for v in check.changed({"1-0": "delivered"}, {})] == ["I18"]


def test_every_invariant_has_a_line_in_the_report() -> None:
    counts = check.by_invariant(check.lost({SLOT}, {}))
    assert list(counts) == [f"I{n}" for n in range(1, 19)]
    assert (counts["I3"], counts["I2"]) == (1, 0)


# -- what is unresolved, and why ------------------------------------------------------------------


def in_doubt(reason: str) -> Facts:
    open_end = slot(state="unresolved", reason="unproven", channel="emulator-none")
    moves = {SLOT: [Move(at(0), "queued", "leased", "send-1.1")]}
    doubtful = attempt(outcome="unknown", reason=reason, ended_at=at(2))
    return Facts({SLOT: open_end}, moves, [doubtful], [receipt()])


def life(**facts: Any) -> Life:
    return Life("send-1", 1, 4711, at(-60), **facts)


def test_an_unresolved_send_of_a_killed_worker_has_its_cause() -> None:
    found = figures.unresolved(in_doubt("lease_expired"), [life(died=at(0.2), killed=True)], [], {})
    assert (found.by_cause, found.bound, found.violations()) == ({"killed in flight": 1}, 1, [])


def test_an_unresolved_send_that_nothing_explains_is_a_violation() -> None:
    found = figures.unresolved(in_doubt("deadline"), [life()], [], {})
    assert [v.invariant for v in found.violations()] == ["bound", "bound"]


def test_a_provider_fault_a_stop_or_a_lost_answer_explains_it_too() -> None:
    facts = in_doubt("deadline")
    stopped = life(stops=[(at(0.15), at(1.4))])
    lost = Struck("postgres-swallowed", at(0.1), at(0.1))
    assert figures.unresolved(facts, [life()], [], {"a1": "slow_after"}).violations() == []
    assert figures.unresolved(facts, [stopped], [], {}).violations() == []
    assert figures.unresolved(facts, [life()], [lost], {}).violations() == []


def test_recovery_counts_from_the_death_to_the_next_hand() -> None:
    moves = [
        Move(at(0), "queued", "leased", "send-1.1"),
        Move(at(2), "leased", "queued", "beat-1.1"),
        Move(at(2.5), "queued", "leased", "send-2.1"),
    ]
    facts = Facts({SLOT: slot()}, {SLOT: moves})
    found = figures.recovery(facts, [life(died=at(1), killed=True)], [Struck("flushall", at(2), at(2.1))])
    assert (found.given_back, found.taken_up, [round(s, 3) for s in found.redis]) == ([1.0], [1.5], [0.4])
