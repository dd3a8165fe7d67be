"""Orders come in as files: nothing of a number is lost, every bad line is named, nothing is half taken."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from models.store import Changed, InUse
from models.store.carriers import save_carriers
from models.store.orders import OrderImport, OrderLine
from tests.support.cli import Answer, jeongsi
from tests.support.databases import connect
from tests.support.ledger_world import World
from tests.support.tracking import account, order

KOREAN = "쇼핑몰,주문번호,묶음번호,택배사,송장번호,주문상태,수령자명"
ROWS = [
    "스마트스토어,A-1,3772225519903274,CJ대한통운,0123-4567-8901,출고대기,홍길동",
    "쿠팡,A-2,3772225519903275,한진택배,012345678901,신규주문,김철수",
]


@pytest.fixture(autouse=True)
def _carriers(world: World, ledger_env: dict[str, str]) -> None:
    save_carriers(world.db, "default", [("4", "CJ대한통운"), ("5", "한진택배"), ("8", "롯데택배")])


def take(file: Path, *flags: object, code: int = 0) -> Answer:
    answer = jeongsi("tracking", "import", file, *flags)
    assert answer.code == code, answer.said
    return answer


def text(folder: Path, *lines: str, encoding: str = "utf-8", name: str = "orders.csv") -> Path:
    path = folder / name
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def workbook(
    folder: Path, rows: Sequence[Sequence[Any]], change: Callable[[Any], None] | None = None
) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    if change is not None:
        change(book)
    path = folder / "orders.xlsx"
    book.save(path)
    return path


def held(world: World, order_no: str) -> dict[str, Any]:
    return world.row("SELECT * FROM orders WHERE order_no = %s", order_no)


def count(world: World) -> int:
    return int(world.value("SELECT count(*) FROM orders"))


# -- what a file may look like ----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_a_korean_file_is_read_in_any_encoding_with_any_delimiter(
    world: World, tmp_path: Path, encoding: str, sign: str
) -> None:
    lines = [line.replace(",", sign) for line in (KOREAN, *ROWS)]
    take(text(tmp_path, *lines, encoding=encoding))
    found = held(world, "A-1")
    wanted = {"shop_name": "스마트스토어", "bundle_no": "3772225519903274", "carrier_code": "4",
              "carrier_name": "CJ대한통운", "tracking_number": "0123-4567-8901", "order_status": "출고대기",
              "playauto_uploaded": 0, "account": "default", "organisation_id": None}  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert count(world) == 2


def test_an_english_file_and_playautos_own_names_are_read_too(world: World, tmp_path: Path) -> None:
    take(
        text(tmp_path, "order_no,carrier_code,tracking_number,ORDER STATUS", "A-1,4,123456789012,DELIVERING")
    )
    take(text(tmp_path, "uniq,bundle_no,carr_no,invoice_no,shop_ord_no", "U-1,77,5,123456789012,S-1"))
    found = held(world, "U-1")
    assert (found["playauto_uniq"], found["carrier_code"], found["shop_order_no"]) == ("U-1", "5", "S-1")
    assert held(world, "A-1")["carrier_name"] == "CJ대한통운"


def test_titles_above_the_heading_and_empty_lines_are_passed_over(world: World, tmp_path: Path) -> None:
    answer = take(text(tmp_path, "11월 21일 출고 내역", "", KOREAN, ROWS[0], ",,,,,,", ROWS[1]), "--json")
    assert answer.json["lines"] == 2


def test_no_person_is_kept_and_what_is_left_aside_is_said(world: World, tmp_path: Path) -> None:
    answer = take(text(tmp_path, KOREAN, *ROWS), "--json")
    assert answer.json["left_aside"] == ["수령자명"]
    assert "홍길동" not in json.dumps(held(world, "A-1"), default=str, ensure_ascii=False)


def test_what_exporters_put_around_a_number_goes_and_its_zeros_stay(world: World, tmp_path: Path) -> None:
    take(
        text(
            tmp_path, "주문번호,송장번호", 'A-1,"=""0012345678"""', "A-2,'0012345678", "A-3,\u200b0012345678"
        )
    )
    assert {row["tracking_number"] for row in world.rows("SELECT * FROM orders")} == {"0012345678"}


def test_a_workbook_keeps_its_zeros_and_says_what_excel_has_lost(world: World, tmp_path: Path) -> None:
    def formats(book: Any) -> None:
        book.active["B3"].number_format = "000000000000"

    rows: list[list[Any]] = [
        ["주문번호", "송장번호", "묶음번호", "택배사"],
        ["A-1", "0123-4567-8901", "3772225519903274", "CJ대한통운"],
        ["A-2", 12345678901, None, 4],
        [1001, 123456789012, 77, "한진"],
    ]
    take(workbook(tmp_path, rows, formats))
    assert held(world, "A-1")["bundle_no"] == "3772225519903274"
    assert held(world, "A-2")["tracking_number"] == "012345678901"
    assert held(world, "1001")["tracking_number"] == "123456789012"
    lossy = [rows[0], ["A-4", "123456789012", 3772225519903274, "CJ"]]
    said = take(workbook(tmp_path, lossy), code=1).err
    assert "line 2 (A-4): bundle_no: Excel keeps 15 digits" in said


def test_a_workbooks_orders_are_found_on_the_sheet_that_has_them(world: World, tmp_path: Path) -> None:
    def second(book: Any) -> None:
        sheet = book.create_sheet("송장")
        for row in (["출고"], ["주문번호", "송장번호"], ["A-1", "123456789012"]):
            sheet.append(row)

    answer = take(workbook(tmp_path, [["안내"], ["이 파일은 다음 시트를 보세요"]], second), "--json")
    assert answer.json["format"] == "Excel, sheet 송장"
    assert held(world, "A-1")["tracking_number"] == "123456789012"


def test_a_workbook_whose_program_wrote_a_wrong_size_is_read_whole(world: World, tmp_path: Path) -> None:
    import zipfile

    path = workbook(tmp_path, [["주문번호", "송장번호"], *([f"A-{n}", "123456789012"] for n in range(30))])
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'<dimension ref="A1:B31"', b'<dimension ref="A1"')
    with zipfile.ZipFile(path, "w") as book:
        for name, data in parts.items():
            book.writestr(name, data)
    assert take(path, "--json").json["new"] == 30


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel"),
        (b"<html><table>", "web page"),
        (b"PK\x03\x04nonsense", "no workbook"),
        ("이름,주소\n홍길동,서울".encode(), "names no order number"),
        ("주문번호\nA-1".encode(), "nothing but the order number"),
        ("주문번호,송장번호,운송장번호\nA-1,1,2".encode(), "twice"),
        ('주문번호,송장번호\nA-1,"123\nA-2,456'.encode(), "line 2 cannot be read"),
        ("주문번호,송장번호\nA-1,1".encode("utf-16"), "UTF-16"),
        (b"order_no,tracking_number\nA-1,\xff\xff", "neither UTF-8"),
    ],
)
def test_a_file_that_holds_no_orders_is_refused_with_what_to_do(
    world: World, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    answer = take(path, code=2)
    assert said in answer.err
    assert count(world) == 0


# -- good and bad lines -----------------------------------------------------------------------------

BAD = [
    ("A-3,CJ,1.23E+11", "tracking_number: a spreadsheet has shortened"),
    ("1.23E+11,CJ,123456789012", "order_no: a spreadsheet has shortened"),
    (",CJ,123456789012", "order_no: it is empty"),
    ("A-3,CJ,없음", "tracking_number: it holds signs"),
    ("A-3,CJ", "line: it ends after 2 cells"),
    (f"A-3,CJ,{'1' * 21}2", "tracking_number: it has 22 letters"),
    (f"{'A' * 101},CJ,123456789012", "order_no: it has 101 letters"),
    ('"A\n3",CJ,123456789012', "order_no: it holds a line break"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_one_bad_line_is_named_and_nothing_is_taken(
    world: World, tmp_path: Path, line: str, said: str
) -> None:
    path = text(tmp_path, "주문번호,택배사,송장번호", "A-1,CJ,123456789012", line, "A-9,CJ,123456789012")
    answer = take(path, code=1)
    assert f"Bad: line 3{'' if line.startswith(',') else ' ('}" in answer.err
    assert said in answer.err
    assert count(world) == 0


def test_skip_bad_takes_the_good_lines_and_writes_the_bad_ones_to_a_file(
    world: World, tmp_path: Path
) -> None:
    path = text(tmp_path, KOREAN, ROWS[0], "쿠팡,A-3,1,CJ,1.23E+11,신규주문,이영희", ROWS[1])
    answer = take(path, "--skip-bad", "--json", code=1)
    assert (answer.json["new"], answer.json["bad"], answer.json["saved"]) == (2, 1, True)
    bad = tmp_path / "orders.bad.csv"
    assert answer.json["bad_file"] == str(bad)
    with bad.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [*KOREAN.split(","), "오류"]
    assert rows[1][:5] == ["쿠팡", "A-3", "1", "CJ", "1.23E+11"]
    assert bad.stat().st_mode & 0o777 == 0o600
    mended = bad.read_text(encoding="utf-8-sig").replace("1.23E+11", "123456789012")
    bad.write_text(mended, encoding="utf-8")
    assert take(bad, "--json").json["new"] == 1


def test_a_file_of_bad_lines_that_is_there_is_never_written_over(world: World, tmp_path: Path) -> None:
    path = text(tmp_path, "주문번호,송장번호", "A-1,123456789012", "A-2,없음")
    (tmp_path / "orders.bad.csv").write_text("somebody is mending this", encoding="utf-8")
    answer = take(path, "--skip-bad", code=2)
    assert "there already" in answer.err
    assert count(world) == 0
    take(path, "--skip-bad", "--bad-file", tmp_path / "others.csv", code=1)
    assert count(world) == 1


def test_a_save_that_fails_leaves_neither_orders_nor_a_file_of_bad_lines(
    world: World, ledger_url: str, tmp_path: Path
) -> None:
    path = text(tmp_path, "주문번호,송장번호", "A-1,123456789012", "A-2,없음")
    with connect(ledger_url) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(hashtext('jeongsi.orders_import'))")
        answer = take(path, "--skip-bad", code=1)
    assert "another import" in answer.err.lower()
    assert not (tmp_path / "orders.bad.csv").exists()
    assert count(world) == 0


def test_a_number_or_carrier_that_looks_wrong_is_warned_of_and_taken(world: World, tmp_path: Path) -> None:
    lines = (
        "A-1,CJ대한통운,12345",
        "A-2,퀵서비스,123456789012",
        "A-3,한진,000000000000",
        "A-4,99,123456789012",
    )
    answer = take(text(tmp_path, "주문번호,택배사,송장번호", *lines), "--json")
    said = {one["order_no"]: one["said"] for one in answer.json["remarks"]}
    assert "10 or 12 digits" in said["A-1"]
    assert "lists no carrier" in said["A-2"]
    assert "placeholder" in said["A-3"]
    assert "lists no carrier '99'" in said["A-4"]
    assert [held(world, f"A-{n}")["carrier_code"] for n in (1, 2, 3, 4)] == ["4", None, "5", None]


def test_a_name_and_a_code_that_disagree_are_an_error(world: World, tmp_path: Path) -> None:
    head = "주문번호,택배사,택배사코드,송장번호"
    answer = take(text(tmp_path, head, "A-1,한진,4,123456789012"), code=1)
    assert "not the same carrier" in answer.err


def test_a_dry_run_says_what_would_be_done_and_does_nothing(world: World, tmp_path: Path) -> None:
    order(world.db, "A-2", order_status="결제완료")
    answer = take(text(tmp_path, KOREAN, *ROWS), "--dry-run", "--json")
    assert (answer.json["new"], answer.json["changed"], answer.json["saved"]) == (1, 1, False)
    assert held(world, "A-2")["order_status"] == "결제완료"


# -- importing again --------------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing_and_locks_nothing(world: World, tmp_path: Path) -> None:
    path = text(tmp_path, KOREAN, *ROWS)
    take(path)
    before = world.rows("SELECT xmin::text, * FROM orders ORDER BY id")
    answer = take(path, "--json")
    assert (answer.json["new"], answer.json["changed"], answer.json["unchanged"]) == (0, 0, 2)
    assert world.rows("SELECT xmin::text, * FROM orders ORDER BY id") == before


def test_what_changed_is_changed_and_an_empty_cell_changes_nothing(world: World, tmp_path: Path) -> None:
    take(text(tmp_path, KOREAN, *ROWS))
    take(text(tmp_path, "주문번호,택배사,송장번호,주문상태", "A-1,,,취소요청", "A-2,롯데,123456789013,"))
    first, second = held(world, "A-1"), held(world, "A-2")
    assert (first["order_status"], first["tracking_number"]) == ("취소요청", "0123-4567-8901")
    assert (second["carrier_code"], second["carrier_name"]) == ("8", "롯데")
    assert (second["tracking_number"], second["order_status"]) == ("123456789013", "신규주문")


def test_an_uploaded_order_stays_uploaded_with_its_number_and_is_told_of(
    world: World, tmp_path: Path
) -> None:
    order(world.db, "A-1", playauto_uploaded=1, carrier_name="CJ대한통운")
    head = "주문번호,택배사,송장번호,주문상태,playauto_uploaded"
    answer = take(text(tmp_path, head, "A-1,한진,999912345678,배송중,0"), "--json")
    found = held(world, "A-1")
    assert (found["playauto_uploaded"], found["tracking_number"]) == (1, "123456789012")
    assert (found["carrier_code"], found["order_status"]) == ("4", "배송중")
    assert answer.json["kept"] == 1
    said = answer.json["remarks"][0]["said"]
    assert "uploaded as 'CJ대한통운 123456789012'" in said
    assert "'한진 999912345678'" in said


def test_reupload_takes_the_new_number_and_marks_the_order_as_waiting(world: World, tmp_path: Path) -> None:
    order(world.db, "A-1", playauto_uploaded=1, uploaded_at=world.time.now)
    order(world.db, "A-2", playauto_uploaded=1)
    head = "주문번호,송장번호"
    take(text(tmp_path, head, "A-1,999912345678", "A-2,1234-5678-9012"), "--reupload")
    found = held(world, "A-1")
    assert (found["playauto_uploaded"], found["uploaded_at"]) == (0, None)
    assert found["tracking_number"] == "999912345678"
    assert held(world, "A-2")["playauto_uploaded"] == 1  # the same number, written otherwise


def test_a_file_may_say_that_an_order_was_uploaded_elsewhere(world: World, tmp_path: Path) -> None:
    order(world.db, "A-1")
    take(text(tmp_path, "주문번호,업로드여부", "A-1,Y"))
    assert held(world, "A-1")["playauto_uploaded"] == 1


def test_a_mark_that_comes_between_the_look_and_the_merge_stays(world: World, ledger_url: str) -> None:
    number = order(world.db, "A-1")
    with connect(ledger_url) as db:
        importing = OrderImport(db)
        importing.stage([OrderLine(2, "A-1", tracking_number="999912345678", order_status="배송중")])
        assert importing.compare().changed == 1
        world.db.execute("UPDATE orders SET playauto_uploaded = 1 WHERE id = %s", (number,))
        importing.merge()
    found = held(world, "A-1")
    assert (found["playauto_uploaded"], found["tracking_number"]) == (1, "123456789012")
    assert found["order_status"] == "배송중"


def test_an_order_that_somebody_added_meanwhile_stops_the_merge_whole(world: World, ledger_url: str) -> None:
    with connect(ledger_url) as db:
        importing = OrderImport(db)
        importing.stage([OrderLine(2, "A-1"), OrderLine(3, "A-2")])
        assert importing.compare().new == 2
        order(world.db, "A-2")
        with pytest.raises(Changed):
            importing.merge()
    assert count(world) == 1


def test_two_imports_are_not_merged_at_once(world: World, ledger_url: str) -> None:
    with connect(ledger_url) as db, connect(ledger_url) as other:
        importing = OrderImport(db)
        importing.stage([OrderLine(2, "A-1")])
        importing.compare()
        with other.transaction():
            other.execute("SELECT pg_advisory_xact_lock(hashtext('jeongsi.orders_import'))")
            with pytest.raises(InUse):
                importing.merge()
        importing.merge()
    assert count(world) == 1


# -- orders on several lines, other accounts and shops ------------------------------------------------


def test_the_items_of_an_order_are_one_order(world: World, tmp_path: Path) -> None:
    head = "주문번호,주문고유번호,택배사,송장번호"
    path = text(tmp_path, head, "A-1,U-1,CJ,123456789012", "A-1,U-2,,", "A-1,U-3,CJ,123456789012")
    answer = take(path, "--json")
    assert (answer.json["lines"], answer.json["new"]) == (3, 1)
    assert held(world, "A-1")["playauto_uniq"] == "U-1"


def test_an_order_with_two_numbers_is_named_on_both_lines(world: World, tmp_path: Path) -> None:
    path = text(tmp_path, "주문번호,송장번호", "A-1,123456789012", "A-2,123456789012", "A-1,999912345678")
    answer = take(path, "--skip-bad", "--json", code=1)
    assert [one["line"] for one in answer.json["problems"]] == [2, 4]
    assert "different tracking_number" in answer.json["problems"][0]["said"]
    assert answer.json["new"] == 1


def test_an_order_of_another_account_or_shop_is_not_overwritten(world: World, tmp_path: Path) -> None:
    account(world.db, "brand")
    order(world.db, "A-1", account="brand")
    order(world.db, "A-2", shop_name="쿠팡")
    path = text(tmp_path, "주문번호,쇼핑몰,송장번호", "A-1,쿠팡,999912345678", "A-2,11번가,999912345678")
    said = take(path, code=1).err
    assert "line 2 (A-1): order_no: this order is one of account 'brand'" in said
    assert "line 3 (A-2): order_no: this order number is one of '쿠팡' already" in said
    assert held(world, "A-2")["tracking_number"] == "123456789012"


def test_an_account_brings_its_organisation_and_an_unknown_one_is_refused(
    world: World, tmp_path: Path
) -> None:
    branch = world.value(
        "INSERT INTO organisations (type, code, name) VALUES ('branch', 'b', '강남') RETURNING id"
    )
    account(world.db, "brand", organisation_id=branch)
    path = text(tmp_path, "주문번호,송장번호", "A-1,123456789012")
    assert "known are brand, default" in take(path, "--account", "brnd", code=2).err
    take(path, "--account", "brand")
    take(path)
    assert [
        (row["account"], row["organisation_id"]) for row in world.rows("SELECT * FROM orders ORDER BY id")
    ] == [
        ("brand", branch),
        ("default", None),
    ]


def test_a_carrier_that_the_list_brings_later_makes_imported_orders_wait(
    world: World, tmp_path: Path
) -> None:
    take(text(tmp_path, "주문번호,택배사,송장번호", "A-1,로젠택배,12345678901"))
    assert jeongsi("tracking", "pending", "--json").json["pending"] == 0
    save_carriers(world.db, "default", [("6", "로젠")])
    assert jeongsi("tracking", "pending", "--json").json["pending"] == 1


# -- what waits -------------------------------------------------------------------------------------


def test_pending_counts_by_account_and_carrier_and_lists_odd_numbers_first(world: World) -> None:
    order(world.db, "A-1", carrier_code="5")
    order(world.db, "A-2", tracking_number="12-34")
    order(world.db, "A-3", carrier_code=None, carrier_name="퀵")
    order(world.db, "A-4", order_status="반품요청")
    answer = jeongsi("tracking", "pending", "--json")
    assert answer.json["pending"] == 2
    assert answer.json["held_back"] == {"no_carrier": 1, "return": 1}
    assert [(one["carrier_name"], one["orders"], one["odd"]) for one in answer.json["groups"]] == [
        ("CJ대한통운", 1, 1),
        ("한진택배", 1, 0),
    ]
    assert [one["order_no"] for one in answer.json["orders"]] == ["A-2", "A-1"]
    shown = jeongsi("tracking", "pending", "--limit", "1")
    assert "10 or 12 digits" in shown.out
    assert "1 of 2 orders" in shown.err
    assert "Held back: 1 with a number, being returned." in shown.out


def test_nothing_pending_is_said_and_an_unknown_account_is_refused(world: World) -> None:
    assert "No order waits" in jeongsi("tracking", "pending").out
    answer = jeongsi("tracking", "pending", "--account", "brnd")
    assert answer.code == 2
    assert "no account 'brnd'" in answer.err
