"""The pending rule, told by a table (C42, C60, C61, C78, C85-C88)."""

from __future__ import annotations

from typing import Any

import pytest

from models.queries import orders
from tests.support.ledger_world import World
from tests.support.tracking import order

#: What an order is like, and the first thing that keeps it from being uploaded.
RULE: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"tracking_number": None}, "no_number"),
    ({"tracking_number": ""}, "no_number"),
    ({"tracking_number": " \t"}, "no_number"),
    ({"carrier_code": None}, "no_carrier"),
    ({"carrier_code": " "}, "no_carrier"),
    ({"carrier_code": None, "carrier_name": "CJ대한통운"}, "no_carrier"),
    ({"playauto_uploaded": 1}, "uploaded"),
    ({"playauto_uploaded": 1, "tracking_number": None}, "uploaded"),
    ({"bundle_no": None, "order_status": None}, None),
]
#: Every status that the rule has to tell apart, by the claim it stands for (C88).
WORDS: dict[str | None, str] = {
    None: """
        결제완료,신규주문,출고대기,출고보류,운송장출력,출고완료,배송중,배송완료,구매결정,주문재확인,주문보류,배송준비중,
        상품준비중,paid,PAYED,DELIVERING,ready_to_ship,
        취소철회,취소거부,반품철회,반품거절,교환철회,교환거부,CANCEL_REJECT,RETURN_REJECT,return withdrawn""",
    "cancel": """
        취소,취소요청,취소완료,취소 요청,미입금취소,취소처리중,취소승인,판매자 직권취소,환불완료,출고중지,
        출고 중지 요청,cancel,Cancelled,CANCEL_REQUEST,CANCEL_DONE,ADMIN_CANCELING,refunded""",
    "return": """
        반품,반품요청,반품진행,반품회수완료,반품완료,반품 접수,회수지시,수거완료,return,Returned,
        RETURN_REQUEST""",
    "exchange": """
        교환,교환요청,교환진행,교환회수완료,교환완료,맞교환요청,맞교환완료,교환 재배송,exchange,
        EXCHANGE_REQUEST""",
}
STATUSES: dict[str | None, str | None] = {None: None, "": None}
STATUSES.update(
    (word.strip(), claim) for claim, words in WORDS.items() for word in words.split(",") if word.strip()
)


@pytest.mark.parametrize(("columns", "why"), RULE, ids=str)
def test_an_order_waits_unless_something_keeps_it(
    world: World, columns: dict[str, Any], why: str | None
) -> None:
    number = order(world.db, "A-1", **columns)
    assert orders.hindrance(world.db, number) == why
    assert orders.pending_count(world.db) == (why is None)


@pytest.mark.parametrize("status", STATUSES)
def test_a_claim_in_any_of_its_states_keeps_an_order(world: World, status: str | None) -> None:
    claim = STATUSES[status]
    number = order(world.db, "A-1", order_status=status)
    assert orders.hindrance(world.db, number) == claim
    assert orders.pending_count(world.db) == (claim is None)


def test_the_rule_and_its_words_never_differ(world: World) -> None:
    """order_pending and order_hindrance are one rule, over every combination."""
    for number, (columns, _) in enumerate(RULE):
        for place, status in enumerate(STATUSES):
            order(world.db, f"{number}-{place}", **{**columns, "order_status": status})
    assert world.value("SELECT count(*) FROM orders") == len(RULE) * len(STATUSES)
    assert world.rows("SELECT * FROM orders o WHERE order_pending(o) <> (order_hindrance(o) IS NULL)") == []
    assert world.rows("SELECT * FROM orders o WHERE order_pending(o) IS NULL") == []


def test_counts_go_by_account_and_carrier_and_say_what_is_held_back(world: World) -> None:
    world.db.execute("INSERT INTO carriers (account, code, name) VALUES ('default', '4', 'CJ대한통운')")
    order(world.db, "1")
    order(world.db, "2", carrier_name="씨제이")
    order(world.db, "3", carrier_code="5", carrier_name="한진택배")
    order(world.db, "4", account="brand")
    order(world.db, "5", carrier_code=None)
    order(world.db, "6", order_status="취소요청")
    order(world.db, "7", tracking_number=None)
    groups = [(g.account, g.carrier_code, g.carrier_name, g.orders) for g in orders.pending_groups(world.db)]
    assert groups == [
        ("brand", "4", None, 1),
        ("default", "4", "CJ대한통운", 2),
        ("default", "5", "한진택배", 1),
    ]
    assert orders.pending_count(world.db, "brand") == 1
    assert orders.held_back(world.db) == {"cancel": 1, "no_carrier": 1}


def test_waiting_orders_are_read_page_by_page_in_their_order(world: World) -> None:
    made = [order(world.db, str(n)) for n in range(7)]
    assert [one.id for one in orders.each_pending(world.db, "default", size=3)] == made
    page = orders.pending_page(world.db, "default", after=made[2], limit=2)
    assert [one.order_no for one in page] == ["3", "4"]


def test_the_waiting_few_are_found_by_an_index_among_the_uploaded_many(world: World) -> None:
    world.db.execute(
        "INSERT INTO orders (order_no, carrier_code, tracking_number, playauto_uploaded, order_status)"
        " SELECT n, '4', '123456789012', (n > 50)::int, '배송중' FROM generate_series(1, 20000) n"
    )
    world.db.execute("ANALYZE orders")
    plan = world.rows(
        f"EXPLAIN SELECT id FROM orders o WHERE {orders.PENDING} AND account = 'default' ORDER BY id LIMIT 9"
    )
    assert "orders_waiting_idx" in " ".join(row["QUERY PLAN"] for row in plan)


@pytest.mark.parametrize("given", [2, -1])
def test_uploaded_is_zero_or_one(world: World, given: int) -> None:
    with pytest.raises(Exception, match="orders_uploaded_check"):
        order(world.db, "1", playauto_uploaded=given)


def test_an_order_number_stands_once_in_an_organisation_also_in_none(world: World) -> None:
    order(world.db, "1")
    with pytest.raises(Exception, match="orders_order_no_key"):
        order(world.db, "1")
    branch = world.value(
        "INSERT INTO organisations (type, code, name) VALUES ('branch', 'b', '강남') RETURNING id"
    )
    order(world.db, "1", organisation_id=branch)
