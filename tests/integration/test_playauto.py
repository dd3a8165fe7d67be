"""The client over real HTTP to the emulator, with real Redis: what is stored, and what is known of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gateways.errors import PlayAutoNotConfigured, PlayAutoUnavailable
from gateways.playauto.accounts import client_for
from gateways.playauto.answers import SEOUL, read_back
from gateways.playauto.client import Client
from gateways.playauto.values import Account, InDoubt, InvoiceRow, OrderQuery, Refused, Stored
from ops.emulator import Emulator, Rule
from ops.emulator.playauto import PlayAuto
from ops.emulator.playauto.orders import NEW, PRINTED, SHIPPED, SHIPPING, TO_SHIP
from runtime.clock import clock
from tests.support.environment import clear_caches
from tests.support.playauto_env import rows_of
from tests.support.raw_server import RawServer, answering, response
from tests.support.waiting import eventually


def kinds(outcomes: dict[str, object]) -> set[str]:
    return {str(getattr(one, "kind", None)) for one in outcomes.values()}


def test_three_thousand_numbers_are_stored_in_one_call_and_read_back(
    client: Client,
    playauto: PlayAuto,
) -> None:
    """C41, C85, C86: a number with its carrier, for each bundle."""
    playauto.seed(3000, states={TO_SHIP: 1.0}, bundled=0.0)
    rows = rows_of(playauto)
    assert set(client.set_invoices(rows).values()) == {Stored()}
    found = client.orders_by_bundle([one.bundle_no for one in rows])
    assert {read_back(one, found[one.bundle_no]).number for one in rows} == {"ours"}
    assert playauto.changes.summary()["stored"] == 3000
    writes = [one for one in playauto.requests if one["method"] == "PUT"]
    assert [one["rows"] for one in writes] == [3000]


def test_a_chunk_of_many_sorts_has_an_outcome_for_each_bundle(client: Client, playauto: PlayAuto) -> None:
    """C46, C82: what failed is known for each order, with its reason."""
    playauto.seed(400, states={TO_SHIP: 0.7, NEW: 0.1, "취소완료": 0.1, SHIPPING: 0.1}, bundled=0.2,
                  refuse={"e2043": 0.1})  # fmt: skip
    rows = [*rows_of(playauto), InvoiceRow("1", "4", "1"), InvoiceRow("2", "CJ", "1")]
    outcomes = client.set_invoices(rows)
    assert len(outcomes) == len(rows)
    codes = {one.code for one in outcomes.values() if isinstance(one, Refused)}
    assert codes == {"e2001", "e2003", "e2005", "e2040", "e2043"}
    assert kinds(dict(outcomes)) == {"stored", "refused", "already_set"}
    stored = sum(one.kind == "stored" for one in outcomes.values())
    assert playauto.changes.summary()["stored"] == stored


def test_a_passing_refusal_passes(client: Client, playauto: PlayAuto) -> None:
    """C81: e2043 is tried again and then succeeds."""
    playauto.seed(1, states={TO_SHIP: 1.0}, refuse={"e2043": 1.0})
    rows = rows_of(playauto)
    first, second = (next(iter(client.set_invoices(rows).values())) for _ in range(2))
    assert isinstance(first, Refused)
    assert (first.code, first.retryable) == ("e2043", True)
    assert second == Stored()


def test_a_repeat_overwrites_nothing_and_a_look_says_whose_number_it_is(
    client: Client,
    playauto: PlayAuto,
) -> None:
    playauto.seed(2, states={TO_SHIP: 1.0}, bundled=0.0)
    rows = rows_of(playauto)
    client.set_invoices(rows)
    other = [InvoiceRow(rows[0].bundle_no, "4", "999999999999"), rows[1]]
    assert kinds(dict(client.set_invoices(other))) == {"already_set"}
    found = client.orders_by_bundle([one.bundle_no for one in rows])
    assert [read_back(one, found[one.bundle_no]).number for one in other] == ["other", "ours"]
    assert playauto.changes.summary()["stored_again"] == 0


def test_overwriting_and_completing_happen_only_when_asked_for(client: Client, playauto: PlayAuto) -> None:
    playauto.seed(2, states={TO_SHIP: 1.0}, bundled=0.0)
    first, second = rows_of(playauto)
    client.set_invoices([first])
    client.set_invoices([InvoiceRow(first.bundle_no, "5", "1")], overwrite=True)
    client.set_invoices([second], change_complete=True)
    states = {one["bundle_no"]: one["ord_status"] for one in playauto.bundles()}
    assert states == {first.bundle_no: PRINTED, second.bundle_no: SHIPPED}
    assert playauto.changes.summary()["overwritten"] == 1


@pytest.mark.parametrize(
    ("fault", "kind", "stored"),
    [
        ("429", "in_doubt", 0), ("503", "in_doubt", 0), ("4xx", "refused", 0), ("html_404", "in_doubt", 0),
        ("500_before", "in_doubt", 0), ("500_after", "in_doubt", 1), ("drop", "in_doubt", 0),
        ("accept_then_drop", "in_doubt", 1), ("reset_before", "in_doubt", 0), ("reset_after", "in_doubt", 1),
        ("slow_before", "in_doubt", 1), ("slow_after", "in_doubt", 1), ("drip", "in_doubt", 1),
        ("cut_body", "in_doubt", 1), ("redirect", "in_doubt", 0), ("lost", "stored", 0),
    ],
)  # fmt: skip
def test_a_broken_call_leaves_the_whole_chunk_in_doubt_and_a_look_settles_it(
    client: Client,
    emulator: Emulator,
    playauto: PlayAuto,
    fault: str,
    kind: str,
    stored: int,
) -> None:
    playauto.seed(3, states={TO_SHIP: 1.0}, bundled=0.0)
    rows = rows_of(playauto)
    client.carriers()  # log in first
    emulator.faults.add(Rule(fault, path="setInvoice", delay_s=1.5))
    outcomes = client.set_invoices(rows)
    assert kinds(dict(outcomes)) == {kind}
    assert len(outcomes) == 3
    eventually(lambda: len(playauto.changes.all()) == 3 * stored)
    found = client.orders_by_bundle([one.bundle_no for one in rows])
    seen = {read_back(one, found[one.bundle_no]).number for one in rows}
    assert seen == {"ours" if stored else "none"}
    again = client.set_invoices(rows)
    assert kinds(dict(again)) == {"already_set" if stored else "stored"}
    assert playauto.changes.summary()["stored_again"] == 0


@pytest.mark.parametrize("fault", ["500_after", "accept_then_drop", "429", "reset_before"])
def test_the_other_writes_are_in_doubt_too_when_their_answer_is_lost(
    client: Client, emulator: Emulator, playauto: PlayAuto, fault: str
) -> None:
    playauto.seed(1, states={NEW: 1.0})
    orders = list(client.orders())
    emulator.faults.add(Rule(fault, path="instruction"))
    emulator.faults.add(Rule(fault, path="addWorkSelect"))
    for outcome in (client.instruct([orders[0].bundle_no]), client.send_invoices(orders)):
        assert isinstance(outcome, InDoubt)
        assert outcome.retry_after_s == (1.0 if fault == "429" else None)


def test_three_workers_through_a_bad_day_store_every_number_exactly_once(
    client: Client, emulator: Emulator, playauto: PlayAuto
) -> None:
    """C81, C94: what passes is absorbed, and a repeat never doubles or overwrites anything."""
    playauto.seed(600, states={TO_SHIP: 1.0}, refuse={"e2043": 0.1})
    rows = rows_of(playauto)
    emulator.faults.set_rates(
        {"429": 0.05, "500_before": 0.1, "500_after": 0.1, "drop": 0.05, "accept_then_drop": 0.1,
         "reset_after": 0.05, "cut_body": 0.05}
    )  # fmt: skip
    with ThreadPoolExecutor(3) as pool:
        left = list(pool.map(lambda _: carried_through(client, rows), range(3)))
    assert left == [0, 0, 0]
    emulator.faults.clear()
    found = client.orders_by_bundle([one.bundle_no for one in rows])
    assert {read_back(one, found[one.bundle_no]).number for one in rows} == {"ours"}
    summary = playauto.changes.summary()
    assert (summary["bundles"], summary["stored_again"]) == (len(rows), 0)


def carried_through(client: Client, rows: list[InvoiceRow]) -> int:
    """Store, read back, store again, in chunks; how many are not ours in the end."""
    waiting = rows
    for _ in range(60):
        for start in range(0, len(waiting), 100):
            client.set_invoices(waiting[start : start + 100])
        try:
            found = client.orders_by_bundle([one.bundle_no for one in waiting])
        except PlayAutoUnavailable:
            continue
        waiting = [one for one in waiting if read_back(one, found[one.bundle_no]).number != "ours"]
        if not waiting:
            break
    return len(waiting)


def test_what_never_left_is_known_never_to_have_left(
    client: Client,
    emulator: Emulator,
    playauto: PlayAuto,
) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    client.carriers()
    late = client.set_invoices(rows_of(playauto), write_by=clock().monotonic() - 1)
    assert [(one.kind, getattr(one, "reason", "")) for one in late.values()] == [("not_sent", "guard_missed")]
    emulator.stop()
    gone = client.set_invoices(rows_of(playauto))
    assert kinds(dict(gone)) == {"not_sent"}
    assert not playauto.changes.all()


def test_more_than_playauto_takes_is_refused_before_and_by_it(client: Client, playauto: PlayAuto) -> None:
    row = InvoiceRow("1", "4", "1")
    for call in (client.set_invoices, lambda rows: client.instruct([one.bundle_no for one in rows])):
        with pytest.raises(ValueError, match="cut them into chunks"):
            call([row] * 3001)
    playauto.seed(3, states={TO_SHIP: 1.0}, bundled=0.0)
    playauto.rules.rows_max = 2
    outcomes = client.set_invoices(rows_of(playauto))
    assert {one.code for one in outcomes.values() if isinstance(one, Refused)} == {"e2044"}
    assert all(one.whole for one in outcomes.values() if isinstance(one, Refused))


def test_an_instruction_moves_exactly_the_bundles_that_it_names(client: Client, playauto: PlayAuto) -> None:
    playauto.seed(10, states={NEW: 1.0}, bundled=0.0)
    bundles = [one.bundle_no for one in rows_of(playauto, NEW)]
    with pytest.raises(ValueError, match="every new order"):
        client.instruct([])
    assert client.instruct(bundles[:3]).kind == "instructed"
    assert [one["bundle_no"] for one in playauto.bundles(TO_SHIP)] == bundles[:3]
    refused = client.instruct(bundles[2:4])
    assert isinstance(refused, Refused)
    assert (refused.code, refused.bundle_nos) == ("e2009", (bundles[2],))
    assert len(playauto.bundles(NEW)) == 7


def test_orders_are_read_page_by_page_each_once_and_by_filter(client: Client, playauto: PlayAuto) -> None:
    """C42: what waits is found by its state and day."""
    playauto.seed(2500, states={NEW: 0.5, TO_SHIP: 0.5}, days=10)
    read = list(client.orders(page=700))
    assert len(read) == len({one.uniq for one in read}) == 2500
    waiting = list(client.orders(OrderQuery(states=(TO_SHIP,)), page=300))
    assert {one.status for one in waiting} == {TO_SHIP}
    assert len(waiting) == sum(one.status == TO_SHIP for one in read)
    today = clock().now().astimezone(SEOUL).date()
    last = list(client.orders(OrderQuery(today - timedelta(days=2), today)))
    days = [one.collected_at.astimezone(SEOUL).date() for one in read if one.collected_at]
    assert 0 < len(last) == sum(day >= today - timedelta(days=2) for day in days)
    shop = list(client.orders(OrderQuery(shop_cd=read[0].shop_cd, search=("uniq", read[0].uniq))))
    assert [one.uniq for one in shop] == [read[0].uniq]


def test_an_answer_that_is_too_long_is_asked_for_in_smaller_pieces(
    client: Client, playauto: PlayAuto
) -> None:
    playauto.seed(300, bundled=0.0)
    playauto.rules.change({"pad_bytes": 2000, "answer_max_bytes": 200_000})
    assert len({one.uniq for one in client.orders(page=300)}) == 300


def test_ten_megabytes_are_read_whole(client: Client, playauto: PlayAuto) -> None:
    playauto.seed(1000, bundled=0.0)
    playauto.rules.pad_bytes = 9000
    assert len(list(client.orders(page=1000))) == 1000
    assert [one["path"] for one in playauto.requests].count("/playauto/orders") == 2  # the last is empty


def test_a_look_up_by_bundle_takes_its_chunks_and_knows_what_is_not_there(
    client: Client,
    playauto: PlayAuto,
) -> None:
    playauto.seed(1300, bundled=0.2)
    bundles = [one["bundle_no"] for one in playauto.bundles()]
    found = client.orders_by_bundle([*bundles, "1"])
    assert found.pop("1") == []
    assert sum(map(len, found.values())) == 1300
    assert all(found.values())


@pytest.mark.parametrize("fault", ["lookup_down", "500_before", "drop", "html_404", "429", "cut_body"])
def test_a_question_without_an_answer_is_never_an_empty_answer(
    client: Client,
    emulator: Emulator,
    playauto: PlayAuto,
    fault: str,
) -> None:
    playauto.seed(1)
    client.carriers()
    emulator.faults.add(Rule(fault, path="orders"))
    with pytest.raises(PlayAutoUnavailable) as caught:
        client.orders_by_bundle(["1"])
    assert caught.value.retryable
    assert client.orders_by_bundle(["1"]) == {"1": []}


def test_a_filter_that_is_ignored_is_noticed(
    playauto_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = b'{"token": "t", "results": [{"uniq": "1", "bundle_no": "9"}], "recordsFiltered": 200000}'
    with RawServer(answering(response("200 OK", said))) as server:
        monkeypatch.setenv("PLAYAUTO_API_URL", f"http://127.0.0.1:{server.port}")
        clear_caches()
        with pytest.raises(PlayAutoUnavailable, match="other orders than asked for"):
            client_for().orders_by_bundle(["1"])


def test_a_lagging_read_shows_what_was_before(client: Client, playauto: PlayAuto) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    row = rows_of(playauto)[0]
    playauto.rules.read_lag_s = 0.5
    client.set_invoices([row])

    def look() -> str:
        return read_back(row, client.orders_by_bundle([row.bundle_no])[row.bundle_no]).number

    assert look() == "none"
    eventually(lambda: look() == "ours")


def test_two_accounts_are_two_worlds(
    client: Client,
    emulator: Emulator,
    playauto_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = emulator.playauto("playauto-2")
    other.seed(1, states={TO_SHIP: 1.0})
    assert list(client.orders()) == []
    monkeypatch.setenv("PLAYAUTO_API_URL", f"{emulator.url}/playauto-2")
    clear_caches()
    assert len(list(client_for(Account("key-2", authentication_key="auth-2")).orders())) == 1


def test_without_an_account_the_message_says_what_to_set(
    playauto_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """C92: wrong PlayAuto settings are named."""
    monkeypatch.delenv("PLAYAUTO_PASSWORD")
    clear_caches()
    with pytest.raises(PlayAutoNotConfigured, match="PLAYAUTO_AUTHENTICATION_KEY"):
        client_for()
