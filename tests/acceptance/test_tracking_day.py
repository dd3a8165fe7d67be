"""A seller's day by the command line alone: an account, PlayAuto's orders, the carrier's file, the upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.emulator import Emulator
from runtime.settings import get_settings
from tasks.tracking.crew import Crew
from tests.support import databases
from tests.support.cli import Answer, jeongsi
from tests.support.environment import clear_caches
from tests.support.uploading import SCALED, Uploading

ORDERS = 30


@pytest.fixture
def up(
    scaled_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Uploading]:
    """No login in the settings: the account has one of its own."""
    variables = {name: value for name, value in SCALED.items() if not name.startswith("PLAYAUTO_")}
    for name, value in {**variables, "PLAYAUTO_API_URL": f"{emulator.url}/playauto"}.items():
        monkeypatch.setenv(name, value)
    clear_caches()
    with databases.connect(scaled_env["DATABASE_URL"]) as db:
        yield Uploading(db, emulator.playauto())


def test_orders_come_from_playauto_numbers_from_a_file_and_both_reach_the_shop(
    up: Uploading, tmp_path: Path
) -> None:
    """C42, C47, C56, C61, C62, C78, C80, C85-C88: from the command line to PlayAuto's own receipts."""
    up.playauto.rules.authentication_key = "auth"
    up.playauto.seed(ORDERS, states={"신규주문": 0.5, "출고대기": 0.5}, bundled=0.2)
    login = tmp_path / "login.env"
    login.write_text("api_key=key\nauthentication_key=auth\n", encoding="utf-8")
    tracking("account", "add", "brand", "--credentials", login, "--batch", 10)
    tracking("account", "check", "brand")
    tracking("import", "--from-playauto", "--account", "brand", "--since", "2020-01-01")
    tracking("import", numbers(up, tmp_path), "--account", "brand")
    assert tracking("account", "show", "brand", "--json").json["waiting"] == ORDERS
    crew = Crew(get_settings())
    crew.start()
    try:
        job = up.until_over(up.start(account="brand"))
    finally:
        crew.stop(5)
    assert (job.status, job.success, job.failed) == ("completed", ORDERS, 0)
    up.assert_each_once(len(up.playauto.bundles()))
    shown = tracking("account", "show", "brand", "--json").json
    assert (shown["waiting"], shown["last_job"]["succeeded"], shown["login"]) == (0, ORDERS, "logged in")
    again = tracking(
        "import", "--from-playauto", "--account", "brand", "--since", "2020-01-01", "--json"
    ).json
    assert (again["new"], again["kept"], again["warnings"], again["uploaded"]) == (0, 0, 0, ORDERS), again
    assert up.value("SELECT count(*) FROM orders WHERE playauto_uploaded = 1") == ORDERS


def numbers(up: Uploading, folder: Path) -> Path:
    """The carrier's file: the shop's order number, the carrier by its name, a number for each parcel."""
    lines = ["주문번호,택배사,송장번호"]
    for n, bundle in enumerate(up.playauto.orders.bundles()):
        number = f"6{n:03}-0000-0000"
        lines += [f"{one.shop_ord_no},대한통운,{number}" for one in up.playauto.orders.bundle(bundle)]
    path = folder / "numbers.csv"
    path.write_text("\n".join(lines), encoding="cp949")
    return path


def tracking(*words: object) -> Answer:
    answer = jeongsi("tracking", *words)
    assert answer.code == 0, answer.said
    return answer
