"""Orders and carriers come from PlayAuto itself, all of them or none, and meet what files brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.emulator import Emulator, Rule
from ops.emulator.playauto import PlayAuto
from ops.emulator.playauto.orders import Order
from tests.support.cli import Answer, jeongsi
from tests.support.environment import clear_caches
from tests.support.ledger_world import World
from tests.support.tracking import account, job, order

DAY = 86_400.0


@pytest.fixture(autouse=True)
def playauto(ledger_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> PlayAuto:
    """The settings' account at the emulator."""
    for name, value in {
        "PLAYAUTO_API_URL": f"{emulator.url}/playauto", "PLAYAUTO_API_KEY": "key",
        "PLAYAUTO_AUTHENTICATION_KEY": "auth", "JEONGSI_PLAYAUTO_TIMEOUT_S": "5",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    clear_caches()
    return emulator.playauto()


def take(*flags: object, code: int = 0) -> Answer:
    answer = jeongsi("tracking", "import", "--from-playauto", *flags)
    assert answer.code == code, answer.said
    return answer


def add(playauto: PlayAuto, status: str = "출고대기", number: str = "", **more: Any) -> Order:
    """An order of an hour ago."""
    made = playauto.orders.add(playauto.now() - 3600, status, 0, **more)
    if number:
        playauto.orders.change(made, made.placed, carr_no="4", invoice_no=number)
    return made


def held(world: World, order_no: str) -> dict[str, Any]:
    return world.row("SELECT * FROM orders WHERE order_no = %s", order_no)


def file(folder: Path, *lines: str) -> Path:
    (folder / "orders.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "orders.csv"


def test_an_order_is_taken_with_its_numbers_and_without_its_buyer(world: World, playauto: PlayAuto) -> None:
    made = add(playauto)
    answer = take("--json")
    assert (answer.json["orders"], answer.json["new"], answer.json["saved"]) == (1, 1, True)
    found = held(world, made.shop_ord_no)
    wanted = {"playauto_uniq": made.uniq, "bundle_no": made.bundle_no, "shop_code": made.shop_cd,
              "shop_order_no": made.shop_ord_no, "shop_name": "옥션", "order_status": "출고대기",
              "tracking_number": None, "carrier_code": None, "playauto_uploaded": 0}  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert "받는이" not in str(found)
    assert "세종대로" not in str(found)


def test_what_has_a_number_in_playauto_is_marked_as_uploaded(world: World, playauto: PlayAuto) -> None:
    made = add(playauto, "운송장출력", "612345678901")
    assert take("--json").json["uploaded"] == 1
    found = held(world, made.shop_ord_no)
    assert (found["playauto_uploaded"], found["tracking_number"]) == (1, "612345678901")
    assert (found["carrier_code"], found["carrier_name"]) == ("4", "CJ대한통운")
    assert take("--json").json["unchanged"] == 1


def test_days_states_and_a_dry_run_narrow_what_is_taken(world: World, playauto: PlayAuto) -> None:
    playauto.orders.add(playauto.now() - 40 * DAY, "출고대기", 0)
    add(playauto, "배송중")
    add(playauto)
    assert take("--dry-run", "--json").json["orders"] == 2
    assert take("--dry-run", "--status", "배송중", "--json").json["orders"] == 1
    assert take("--dry-run", "--since", "2020-01-01", "--json").json["orders"] == 3
    assert take("--dry-run", "--until", "2020-01-01", "--json").json["orders"] == 0
    assert world.value("SELECT count(*) FROM orders") == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--since", "12/01"), "--since: '12/01' is no day"),
        (("--since", "2026-12-02", "--until", "2026-12-01"), "Swap the days"),
        (("--status", " "), "--status: it is empty"),
        (("orders.csv",), "takes no file"),
        (("--reupload",), "nothing that is for files"),
        (("--account", "brand"), "There is no account 'brand'"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(flags: tuple[str, ...], said: str) -> None:
    assert said in take(*flags, code=2).err
    assert jeongsi("tracking", "import").code == 2
    assert jeongsi("tracking", "import", "x.csv", "--since", "2026-12-01").code == 2


def test_a_file_finds_what_playauto_brought_by_any_of_its_numbers(
    world: World, playauto: PlayAuto, tmp_path: Path
) -> None:
    """The number comes in a file, the parcel from PlayAuto: one order, and it waits."""
    by_shop, by_uniq = add(playauto), add(playauto)
    take()
    jeongsi("tracking", "carriers", "--refresh")
    lines = [f"{by_shop.shop_ord_no},CJ대한통운,612345678901", f"{by_uniq.uniq},한진,512345678901"]
    answer = jeongsi("tracking", "import", file(tmp_path, "주문번호,택배사,송장번호", *lines), "--json")
    assert (answer.json["new"], answer.json["changed"]) == (0, 2), answer.said
    rows = world.rows("SELECT * FROM orders o WHERE order_pending(o) ORDER BY id")
    assert [one["bundle_no"] for one in rows] == [by_shop.bundle_no, by_uniq.bundle_no]
    assert [one["carrier_code"] for one in rows] == ["4", "5"]


def test_playauto_finds_what_a_file_brought_and_keeps_its_number(world: World, playauto: PlayAuto) -> None:
    made = add(playauto)
    order(world.db, made.shop_ord_no, tracking_number="1234-5678-9012")
    take()
    found = held(world, made.shop_ord_no)
    assert (found["bundle_no"], found["tracking_number"]) == (made.bundle_no, "1234-5678-9012")
    assert (found["playauto_uniq"], found["playauto_uploaded"]) == (made.uniq, 0)
    assert world.value("SELECT count(*) FROM orders") == 1


def test_a_number_that_waits_here_is_not_replaced_by_playautos(world: World, playauto: PlayAuto) -> None:
    made = add(playauto, "운송장출력", "600000000001")
    order(world.db, made.shop_ord_no, tracking_number="600000000002")
    answer = take()
    assert "ours stays, its upload will tell" in answer.err
    found = held(world, made.shop_ord_no)
    assert (found["tracking_number"], found["playauto_uploaded"]) == ("600000000002", 0)


def test_the_same_number_in_playauto_ends_the_wait_once_it_was_passed_on(
    world: World, playauto: PlayAuto
) -> None:
    """A run that was cut short between storing and passing on is gone on with by the next."""
    account(world.db)
    made = add(playauto, "운송장출력", "600000000001")
    order(world.db, made.shop_ord_no, tracking_number="6000-0000-0001")
    take()
    assert held(world, made.shop_ord_no)["playauto_uploaded"] == 0
    playauto.orders.change(made, made.placed, sent_at=playauto.now())
    take()
    assert held(world, made.shop_ord_no)["playauto_uploaded"] == 1


def test_an_account_that_passes_nothing_on_is_done_with_a_stored_number(
    world: World, playauto: PlayAuto
) -> None:
    account(world.db, send_to_shop=False)
    made = add(playauto, "운송장출력", "600000000001")
    order(world.db, made.shop_ord_no, tracking_number="600000000001")
    take()
    assert held(world, made.shop_ord_no)["playauto_uploaded"] == 1


def test_an_order_that_a_run_is_at_is_left_to_the_run(world: World, playauto: PlayAuto) -> None:
    made = add(playauto, "운송장출력", "600000000001")
    playauto.orders.change(made, made.placed, sent_at=playauto.now())
    number = order(world.db, made.shop_ord_no, tracking_number="600000000001")
    world.db.execute(
        "INSERT INTO tracking_upload_details (job_id, order_id) VALUES (%s, %s)",
        (job(world.db, account(world.db)), number),
    )
    take()
    assert held(world, made.shop_ord_no)["playauto_uploaded"] == 0


def test_another_number_than_was_uploaded_is_told_and_changes_nothing(
    world: World, playauto: PlayAuto
) -> None:
    made = add(playauto, "운송장출력", "600000000001")
    order(world.db, made.shop_ord_no, tracking_number="600000000002", playauto_uploaded=1)
    assert "PlayAuto has 'CJ대한통운 600000000001' now" in take().err
    assert held(world, made.shop_ord_no)["tracking_number"] == "600000000002"


def test_the_items_of_a_parcel_are_one_order_that_goes_out_though_one_is_cancelled(
    world: World, playauto: PlayAuto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Order, "shop_ord_no", "S-1")
    first = add(playauto, "취소완료")
    add(playauto, "출고대기", bundle_no=first.bundle_no)
    assert take("--json").json["new"] == 1
    assert held(world, "S-1")["order_status"] == "출고대기"
    assert take("--json").json["unchanged"] == 1


def test_an_order_of_several_parcels_is_several_orders_and_a_file_must_say_which(
    world: World, playauto: PlayAuto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Order, "shop_ord_no", "S-1")
    made = [add(playauto), add(playauto)]
    take()
    rows = world.rows("SELECT order_no, bundle_no FROM orders ORDER BY 1")
    assert [(one["order_no"], one["bundle_no"]) for one in rows] == [
        (one.uniq, one.bundle_no) for one in made
    ]
    vague = file(tmp_path, "주문번호,택배사,송장번호", "S-1,4,612345678901")
    answer = jeongsi("tracking", "import", vague)
    assert answer.code == 1
    assert "several orders have this number at their shop" in answer.err
    exact = file(tmp_path, "주문번호,묶음번호,택배사코드,송장번호", f"S-1,{made[1].bundle_no},4,612345678901")
    assert jeongsi("tracking", "import", exact).code == 0
    assert held(world, made[1].uniq)["tracking_number"] == "612345678901"


def test_an_item_that_was_split_off_later_is_an_order_of_its_own(
    world: World, playauto: PlayAuto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Order, "shop_ord_no", "S-1")
    first = add(playauto)
    take()
    second = add(playauto)
    assert take("--json").json["new"] == 1
    assert held(world, "S-1")["bundle_no"] == first.bundle_no
    assert held(world, second.uniq)["bundle_no"] == second.bundle_no


def test_pages_shrink_where_an_answer_would_be_too_long(world: World, playauto: PlayAuto) -> None:
    """e1017."""
    playauto.seed(500)
    playauto.rules.answer_max_bytes = 100_000
    assert take("--json").json["orders"] == 500
    assert world.value("SELECT count(DISTINCT playauto_uniq) > 400 FROM orders")
    assert len([one for one in playauto.requests if one["path"].endswith("/orders")]) > 5


def test_a_page_that_fails_once_is_asked_for_again(emulator: Emulator, playauto: PlayAuto) -> None:
    playauto.seed(20)
    emulator.faults.add(Rule("503", channel="playauto-read", count=1))
    assert take("--json").json["orders"] == 20


def test_nothing_is_taken_if_a_page_does_not_come(
    world: World, emulator: Emulator, playauto: PlayAuto
) -> None:
    playauto.seed(20)
    playauto.rules.api_key = "another"
    answer = take(code=1)
    assert "Nothing was saved." in answer.err
    assert world.value("SELECT count(*) FROM orders") == 0


# -- carriers ---------------------------------------------------------------------------------------


def test_carriers_are_asked_for_kept_and_shown_with_their_age(world: World) -> None:
    first = jeongsi("tracking", "carriers")
    assert "There is no list yet" in first.out
    order(world.db, "A-1", carrier_code=None, carrier_name="대한통운")
    order(world.db, "A-2", carrier_code=None, carrier_name="새택배")
    answer = jeongsi("tracking", "carriers", "--refresh")
    assert answer.code == 0, answer.said
    assert "CJ대한통운" in answer.out
    assert "1 orders got their carrier's code" in answer.out
    assert "Not in the list: 새택배, the carrier of 1 orders" in answer.err
    kept = jeongsi("tracking", "carriers", "--json").json
    assert {"code": "4", "name": "CJ대한통운"} in kept["carriers"]
    assert (kept["age_s"], kept["ready"], kept["unknown"]) == (0, None, {"새택배": 1})


def test_carriers_that_cannot_be_asked_for_leave_the_last_list(world: World, playauto: PlayAuto) -> None:
    account(world.db)
    assert jeongsi("tracking", "carriers", "--refresh").code == 0
    playauto.rules.api_key = "another"
    playauto.expire_tokens()
    answer = jeongsi("tracking", "carriers", "--refresh")
    assert answer.code == 1
    assert "account check default" in answer.err
    assert jeongsi("tracking", "carriers", "--json").json["carriers"]
    assert jeongsi("tracking", "carriers", "--account", "brand").code == 2
