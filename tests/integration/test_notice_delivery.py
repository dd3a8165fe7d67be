"""Notices on their way: what the services answer is honoured, and nothing that fails touches another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from models.ledger import notice_targets
from ops.emulator import Emulator, Rule
from runtime import events
from runtime.settings import get_settings
from tasks.notice_delivery import AT_ONCE, Deliveries, keep_settings_targets, urls
from tests.support import databases
from tests.support.environment import clear_caches
from tests.support.noticing import Noticing
from tests.support.waiting import eventually


class Delivering(Noticing):
    """Targets at the emulator, and one process's deliveries."""

    def __init__(self, db: Any, emulator: Emulator) -> None:
        super().__init__(db)
        self.emulator = emulator
        self.deliveries = Deliveries(get_settings())

    def until(self, condition: Callable[[], object], timeout: float = 10) -> None:
        """Send what may be sent until the condition holds."""
        eventually(lambda: (self.deliveries.once(), condition())[1], timeout)

    def texts(self, hook: str = "1") -> list[str]:
        return [one.text for one in self.emulator.webhooks.notices if one.hook == hook]


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """What a test does to the log of this process is undone."""
    root = logging.getLogger()
    level = root.level
    yield
    logging.captureWarnings(False)
    for handler in [one for one in root.handlers if getattr(one, "of_jeongsi", False)]:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def delivering(
    scaled_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Delivering]:
    monkeypatch.setenv("JEONGSI_DISCORD_URL", f"{emulator.url}/discord")
    monkeypatch.setenv("JEONGSI_SLACK_URL", f"{emulator.url}/slack")
    monkeypatch.setenv("JEONGSI_NOTICE_DEADLINE_S", "0.6")
    clear_caches()
    with databases.connect(scaled_env["DATABASE_URL"]) as db:
        one = Delivering(db, emulator)
        yield one
        one.deliveries.wait(2)


def test_discord_and_slack_get_it_and_discord_s_id_is_kept(delivering: Delivering) -> None:
    """E06."""
    delivering.target("d", "discord://1/token")
    delivering.target("s", "slack://T/2/token")
    posted = delivering.post(
        "비트가 멈췄습니다", text="jeongsi doctor", link="https://console/1", severity="critical"
    )
    delivering.until(lambda: delivering.states("d") == delivering.states("s") == ["sent"])
    assert delivering.texts("1") == ["**🚨 비트가 멈췄습니다**\njeongsi doctor\nhttps://console/1"]
    assert delivering.texts("2") == ["*🚨 비트가 멈췄습니다*\njeongsi doctor\nhttps://console/1"]
    (row,) = delivering.rows(
        "SELECT q.provider_msg_id FROM notice_deliveries q JOIN notice_targets g ON g.id = q.target_id"
        " WHERE g.name = 'd' AND q.notice_id = %s", posted.id,
    )  # fmt: skip
    assert row["provider_msg_id"].startswith("discord-")


def test_a_429_is_honoured_to_the_fraction(delivering: Delivering) -> None:
    """No request before its Retry-After."""
    delivering.emulator.webhooks.faults.add(Rule("429", delay_s=1.337))
    delivering.target()
    delivering.post()
    delivering.until(lambda: delivering.states("ops") == ["sent"])
    first, second = delivering.emulator.webhooks.requests
    assert second["at"] - first["at"] >= 1.337
    assert delivering.row_of("ops").failures == 0


def test_a_dead_webhook_is_switched_off_and_the_others_are_told(delivering: Delivering) -> None:
    delivering.emulator.webhooks.gone.add("1")
    delivering.target("dead", "discord://1/token")
    delivering.target("alive", "slack://T/2/token")
    delivering.post("하나")
    delivering.until(lambda: len(delivering.texts("2")) == 2)
    row = delivering.row_of("dead")
    assert (row.enabled, row.disabled_reason) == (False, "HTTP 404: Unknown Webhook")
    told = delivering.texts("2")[1]
    assert "dead" in told
    assert "🚨" in told
    assert "jeongsi notice enable dead" in told
    delivering.post("둘")
    delivering.until(lambda: len(delivering.texts("2")) == 3)
    assert [one["hook"] for one in delivering.emulator.webhooks.requests].count("1") == 1


def test_a_page_of_an_intermediary_is_no_death_and_is_tried_again(
    delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.notice_delivery.FIRST_WAIT_S", 0.05)
    for fault in ("html_404", "500_before", "drop", "reset_before"):
        delivering.emulator.webhooks.faults.add(Rule(fault))
    delivering.target()
    delivering.post()
    delivering.until(lambda: delivering.states("ops") == ["sent"])
    row = delivering.row_of("ops")
    assert (row.enabled, row.failures, row.last_error) == (True, 0, None)
    assert len(delivering.emulator.webhooks.requests) == 5


def test_a_target_that_hangs_holds_nobody_else_up(delivering: Delivering) -> None:
    delivering.emulator.webhooks.faults.add(Rule("slow_before", room="1", delay_s=30, count=None))
    delivering.target("hangs", "discord://1/token")
    delivering.target("works", "slack://T/2/token")
    for number in range(3):
        delivering.post(f"일 {number}")
    delivering.until(lambda: delivering.states("works") == ["sent"] * 3)
    assert len(delivering.deliveries._busy) < AT_ONCE
    assert delivering.texts("1") == []


def test_any_other_address_goes_by_apprise(delivering: Delivering) -> None:
    """C84: json with a password is Apprise's; it says no more than yes or no."""
    base = delivering.emulator.url.removeprefix("http://")
    delivering.target("ok", f"json://user:pass@{base}/_control/webhooks")  # answers 200 to any object
    delivering.target("no", f"json://user:pass@{base}/nowhere")
    delivering.post("하나")
    delivering.until(lambda: delivering.row_of("no").failures == 1 and delivering.states("ok") == ["sent"])
    assert delivering.row_of("no").last_error == "apprise: not sent"
    assert delivering.row_of("no").enabled


def test_targets_of_the_settings_come_and_go_with_them(
    delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.notice_delivery._told_unreadable", set())
    monkeypatch.setenv("JEONGSI_NOTICE_URLS", "discord://1/token slack://T/2/token, nonsense")
    clear_caches()
    settings = get_settings()
    assert len(urls(settings)) == 3
    with events.captured() as heard:
        keep_settings_targets(delivering.db, settings)
        keep_settings_targets(delivering.db, settings)
    assert [event for event, _ in heard] == [events.Event.NOTICE_TARGET_OFF]
    rows = notice_targets.targets(delivering.db)
    assert [(row.service, row.from_settings) for row in rows] == [("discord", True), ("slack", True)]
    delivering.deliveries = Deliveries(settings)
    delivering.post("하나")
    delivering.until(lambda: len(delivering.emulator.webhooks.notices) == 2)
    monkeypatch.setenv("JEONGSI_NOTICE_URLS", "slack://T/2/token")
    clear_caches()
    keep_settings_targets(delivering.db, get_settings())
    assert len(notice_targets.targets(delivering.db)) == 2  # another worker may still name it
    delivering.deliveries = Deliveries(get_settings())
    delivering.post("둘")
    delivering.until(lambda: delivering.row_of(rows[0].name).failures == 1)
    assert delivering.row_of(rows[0].name).enabled
    delivering.db.execute("UPDATE notice_targets SET kept_at = now() - interval '11 minutes'")
    keep_settings_targets(delivering.db, get_settings())
    assert [row.service for row in notice_targets.targets(delivering.db)] == ["slack"]


def test_an_address_sealed_with_a_lost_key_switches_its_target_off(
    delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivering.target()
    monkeypatch.setenv("JEONGSI_SECRET_KEY", "A" * 43 + "=")
    clear_caches()
    delivering.deliveries = Deliveries(get_settings())
    delivering.post()
    delivering.until(lambda: not delivering.row_of("ops").enabled)
    assert "another key" in str(delivering.row_of("ops").disabled_reason)


def test_no_address_is_ever_logged(
    delivering: Delivering, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the finest level, through success, death and Apprise's own troubles."""
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("JEONGSI_LOG_FORMAT", "json")
    clear_caches()
    events.configure_logging()
    base = delivering.emulator.url.removeprefix("http://")
    delivering.target("good", "discord://1/hush-hush")
    delivering.target("dead", "discord://3/hush-hush")
    delivering.target("apprise", f"json://user:hush-hush@{base}/hush-hush")
    delivering.emulator.webhooks.gone.add("3")
    delivering.post()
    delivering.until(lambda: delivering.states("good")[0] == "sent" and not delivering.row_of("dead").enabled)
    delivering.until(lambda: delivering.row_of("apprise").failures)
    logging.getLogger("urllib3").debug("POST /discord/api/webhooks/1/hush-hush?wait=true")
    logging.getLogger("urllib3").warning("POST /discord/api/webhooks/1/hush-hush?wait=true")
    logging.getLogger("urllib3").warning("POST /slack/services/T0/B0/hush-hush")
    logged = capsys.readouterr().err
    assert "notice.sent" in logged
    assert "/webhooks/1/***?wait=true" in logged
    assert "hush-hush" not in logged
    assert "hush-hush" not in str(delivering.rows("SELECT row_to_json(q) FROM notice_deliveries q"))
    assert "hush-hush" not in str(notice_targets.targets(delivering.db))


def test_a_follow_up_says_how_often_and_what_was_held_back(delivering: Delivering) -> None:
    delivering.target(burst=1, per_hour=3600)
    for title in ("하나", "둘", "셋"):
        delivering.post(title)
    delivering.until(lambda: len(delivering.texts()) == 2)
    assert "보류된 알림 1건: 셋" in delivering.texts()[1]
