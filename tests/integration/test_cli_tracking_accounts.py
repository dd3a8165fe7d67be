"""`jeongsi tracking account`: PlayAuto accounts made, changed, shown and tried, with no secret ever shown."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from models.ledger import notice_targets
from models.store.accounts import load_credentials
from ops.emulator import Emulator
from tests.support.cli import Answer, jeongsi
from tests.support.environment import clear_caches
from tests.support.ledger_world import World
from tests.support.noticing import Noticing
from tests.support.tracking import job, order

LOGIN = "api_key=key-hush\nemail=a@b.kr\npassword=pass-hush\n"
HOOK = "discord://11/hush-hush"


@pytest.fixture(autouse=True)
def there(ledger_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator stands in for PlayAuto, Discord and Slack."""
    monkeypatch.setenv("PLAYAUTO_API_URL", f"{emulator.url}/playauto")
    monkeypatch.setenv("JEONGSI_PLAYAUTO_TIMEOUT_S", "2")
    monkeypatch.setenv("JEONGSI_DISCORD_URL", f"{emulator.url}/discord")
    monkeypatch.setenv("JEONGSI_SLACK_URL", f"{emulator.url}/slack")
    clear_caches()
    return emulator


@pytest.fixture
def login(tmp_path: Path) -> Path:
    return file(tmp_path, "login.env", LOGIN)


def file(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def account(*words: object) -> Answer:
    answer = jeongsi("tracking", "account", *words)
    assert "hush" not in answer.said
    return answer


def shown(name: str = "brand") -> dict[str, Any]:
    found: dict[str, Any] = account("show", name, "--json").json
    return found


def test_an_account_is_added_off_and_runs_once_it_is_switched_on(world: World, login: Path) -> None:
    """C64, C65, C66: times and retries are set, and it runs only once it is told to."""
    answer = account("add", "brand", "--credentials", login, "--at", "09:30", "--retries", 5)
    assert answer.code == 0, answer.said
    assert "every day at 09:30 Asia/Seoul" in answer.out
    assert "It is off." in answer.out
    assert shown()["next_run_at"] is None
    assert load_credentials(world.db, "brand") is not None
    assert account("resume", "brand").code == 0
    row = shown()
    assert (row["enabled"], row["retry_count"], row["own_login"]) == (True, 5, True)
    assert row["next_run_at"].endswith("09:30:00+09:00")
    assert account("pause", "brand").code == 0
    assert shown()["next_run_at"] is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--at", "9:00"), "--at: '9:00' is no time of day"),
        (("--at", "24:00"), "HH:MM from 00:00 to 23:59"),
        (("--retries", "11"), "--retries: 11 is out of bounds"),
        (("--retries", "-1"), "0 to 10 retries after the first try"),
        (("--weekdays", "monday,someday"), "--weekdays: there is no day 'someday'"),
        (("--batch", "3001"), "1 to 3000 orders"),
        (("--grace", "5"), "60 to 86400 seconds"),
        (("--tz", "Asia/Busan"), "one like Asia/Seoul"),
        (("--numbers", "drop"), "warn uploads numbers that look wrong"),
        (("--organisation", "HQ-9"), "there is no organisation 'HQ-9'"),
        (("--discord", "nowhere.txt"), "--discord: nowhere.txt cannot be read"),
        (("--slack", "ask"), "there is no terminal to ask on"),
        (("--credentials", "nowhere.env"), "--credentials: nowhere.env cannot be read"),
    ],
)
def test_a_bad_value_is_refused_with_what_would_be_right(
    world: World, login: Path, flags: tuple[str, ...], said: str
) -> None:
    """C89, C90."""
    assert account("add", "brand", "--credentials", login).code == 0
    before = world.value("SELECT to_jsonb(t) FROM tracking_upload_scheduler t")
    for command in (("set", "brand"), ("add", "other")):
        answer = account(*command, *flags)
        assert answer.code == 2
        assert said in answer.err
    assert world.value("SELECT to_jsonb(t) FROM tracking_upload_scheduler t") == before


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """C89."""
    answer = account("add", "brand", "--at", "25:00", "--retries", 99)
    assert "2 problems" in answer.err
    assert account("add", "two words").err.startswith("NAME: 'two words' is no account's name")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no api_key"),
        ("api_key=key-hush", "nobody can log in with this"),
        ("api_key=key-hush\npasswort=pass-hush", "another name than api_key"),
        ('{"api_key": "key-hush"', "this is no JSON"),
    ],
)
def test_a_login_that_cannot_work_is_refused_without_repeating_it(
    tmp_path: Path, text: str, said: str
) -> None:
    answer = account("add", "brand", "--credentials", file(tmp_path, "x.env", text))
    assert answer.code == 2
    assert said in answer.err


def test_a_login_comes_as_lines_as_json_or_by_standard_input(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "# brand\nPLAYAUTO_API_KEY='key-hush'\nPLAYAUTO_AUTHENTICATION_KEY=auth-hush\n"
    assert account("add", "brand", "--credentials", file(tmp_path, "a.env", lines)).code == 0
    found = load_credentials(world.db, "brand")
    assert found is not None
    assert (found.api_key, found.authentication_key, found.email) == ("key-hush", "auth-hush", None)
    held = {"api_key": "key-hush", "email": "a@b.kr", "password": "pass=hush"}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(held)))
    assert account("set", "brand", "--credentials", "-").code == 0
    found = load_credentials(world.db, "brand")
    assert found is not None
    assert found.password == "pass=hush"
    assert account("set", "brand", "--credentials", "settings").code == 0
    assert load_credentials(world.db, "brand") is None


def test_a_secret_on_the_command_line_is_refused() -> None:
    answer = jeongsi(
        "tracking", "account", "add", "brand", "--discord", "https://discord.com/api/webhooks/1/x"
    )
    assert answer.code == 2
    assert "seen by everybody" in answer.err


def test_nobody_is_switched_on_who_could_not_log_in() -> None:
    assert account("add", "brand").code == 0
    answer = account("resume", "brand")
    assert answer.code == 2
    assert "has no login" in answer.err
    assert account("add", "other", "--enable").code == 2
    assert shown()["login"] == "none"


def test_the_list_says_what_waits_what_ran_and_what_comes(world: World, login: Path) -> None:
    """C61, C62, C63, C91."""
    account("add", "brand", "--credentials", login, "--enable")
    order(world.db, "A-1", account="brand")
    order(world.db, "A-2", account="brand", carrier_code=None, carrier_name="새택배")
    order(world.db, "A-3", account="lost")
    job(world.db, shown()["id"], status="completed", total_count=3, success_count=2, failed_count=1,
        completed_at=world.time.now)  # fmt: skip
    row = account("list", "--json").json[0]
    assert (row["waiting"], row["without_code"], row["last_job"]["succeeded"]) == (1, 1, 2)
    assert row["next_run_at"]
    table = account("list")
    assert "completed 2/3" in table.out
    assert "1 orders wait for account lost, which does not exist" in table.err
    assert "2 of 3 uploaded, 1 failed" in account("show", "brand").out


def test_an_account_is_checked_by_a_login_and_its_carriers(
    there: Emulator, world: World, login: Path
) -> None:
    """C92: whether PlayAuto lets it in is asked for real, and its carriers come by it."""
    account("add", "brand", "--credentials", login)
    assert shown()["login"] == "not tried"
    order(world.db, "A-1", account="brand", carrier_code=None, carrier_name="씨제이대한통운")
    answer = account("check", "brand")
    assert answer.code == 0, answer.said
    assert "brand: logged in" in answer.out
    assert "1 orders got their carrier's code" in answer.out
    assert shown()["login"] == "logged in"
    assert shown()["waiting"] == 1
    there.playauto().rules.password = "another"
    refused = account("check", "brand")
    assert refused.code == 1
    assert "brand: PlayAuto does not let it in: e1002, authentication failed" in refused.out


def test_a_check_says_in_words_what_is_missing(there: Emulator, login: Path) -> None:
    """C92."""
    account("add", "brand")
    answer = account("check", "--json")
    assert answer.code == 1
    assert "PlayAuto needs PLAYAUTO_API_KEY" in answer.json[0]["error"]
    account("set", "brand", "--credentials", login)
    there.playauto().rules.not_approved.add("a@b.kr")
    assert "e1006" in account("check", "brand").out


def test_a_webhook_is_kept_sealed_switched_and_tried(
    there: Emulator, world: World, login: Path, tmp_path: Path
) -> None:
    """C10-C13, C67, C90, C93."""
    hook = file(tmp_path, "hook.txt", HOOK)
    assert account("add", "brand", "--credentials", login).code == 0
    assert account("test-notice", "brand").code == 1
    assert account("set", "brand", "--discord", hook).code == 0
    assert "hush" not in world.value("SELECT to_jsonb(t)::text FROM tracking_upload_scheduler t")
    assert (shown()["notify_discord"], shown()["discord_webhook"]) == (True, True)
    tried = account("test-notice", "brand")
    assert tried.code == 0, tried.said
    assert tried.out.startswith("discord: taken  HTTP 200")
    assert "'brand'" in there.webhooks.notices[0].text
    there.webhooks.gone.add("11")
    dead = account("test-notice", "brand", "--json")
    assert dead.code == 1
    assert dead.json[0]["error"] == "HTTP 404: Unknown Webhook"
    assert account("set", "brand", "--discord", "off").code == 0
    assert (shown()["notify_discord"], shown()["discord_webhook"]) == (False, True)
    assert account("set", "brand", "--discord", "forget").code == 0
    assert shown()["discord_webhook"] is False


def test_a_webhook_that_is_held_for_dead_is_shown_so_until_a_test_reaches_it(
    world: World, login: Path, tmp_path: Path
) -> None:
    """C93."""
    account("add", "brand.2", "--credentials", login, "--discord", file(tmp_path, "hook.txt", HOOK))
    Noticing(world.db).target("tracking-brand_2-discord", HOOK)
    notice_targets.switch(world.db, "tracking-brand_2-discord", on=False, reason="HTTP 404: Unknown Webhook")
    assert "held for dead (HTTP 404" in account("show", "brand.2").out
    assert shown("brand.2")["silenced"] == {"discord": "HTTP 404: Unknown Webhook"}
    assert "switched on again" in account("test-notice", "brand.2").out
    assert "discord           is told" in account("show", "brand.2").out
    account("delete", "brand.2", "--yes")
    assert notice_targets.targets(world.db) == []


@pytest.mark.parametrize(
    ("service", "url", "said"),
    [
        ("discord", "slack://T/2/hush", "this is no webhook of Discord"),
        ("slack", "https://hooks.slack.com/nothing-hush", "no whole webhook URL"),
        ("slack", "ftp://hush", "Apprise cannot read"),
        ("discord", "", "the address is empty"),
    ],
)
def test_an_address_that_is_no_webhook_of_its_service_is_refused(
    tmp_path: Path, service: str, url: str, said: str
) -> None:
    """C90."""
    answer = account("add", "brand", f"--{service}", file(tmp_path, "hook.txt", url))
    assert answer.code == 2
    assert said in answer.err


def test_a_deleted_account_keeps_its_record_and_frees_its_name(world: World, login: Path) -> None:
    account("add", "brand", "--credentials", login, "--enable", "--as", "김")
    order(world.db, "A-1", account="brand")
    job(world.db, shown()["id"])
    assert account("delete", "brand").code == 2
    gone = account("delete", "brand", "--yes", "--as", "김")
    assert gone.code == 0, gone.said
    assert "Its run ends" in gone.out
    assert "1 orders wait on" in gone.out
    for command in ("show", "pause", "resume", "delete", "check", "test-notice", "set"):
        more = ("--yes",) if command == "delete" else ("--at", "10:00") if command == "set" else ()
        assert account(command, "brand", *more).code == 2, command
    assert account("add", "brand").code == 0
    history = "SELECT who FROM kb_schedule_history WHERE schedule_id = 1"
    assert world.value("SELECT count(*) FROM kb_schedule_history WHERE op = 'delete'") == 1
    assert {one["who"] for one in world.rows(history)} == {"김"}


def test_an_account_with_orders_keeps_its_organisation(world: World) -> None:
    """An order number stands once in an organisation: else the next import would double all of them."""
    world.db.execute("INSERT INTO organisations (type, code, name) VALUES ('branch', 'B-1', '강남')")
    account("add", "brand")
    order(world.db, "A-1", account="brand")
    answer = account("set", "brand", "--organisation", "B-1")
    assert answer.code == 1
    assert "has orders of another organisation" in answer.err
    assert account("add", "busan", "--organisation", "B-1").code == 0
    assert shown("busan")["organisation"] == "B-1"
