"""Configuration and log of the customer's document, a test for each number."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from api.config import get_config
from ops.emulator import Rule
from runtime.events import SENTENCES, Event, captured
from runtime.logs import configure_logging
from runtime.settings import SettingsError, get_settings
from tests.support.cli import jeongsi
from tests.support.environment import clear_caches
from tests.support.sending import Sending
from tests.support.sending_fixtures import make_sending, sending  # noqa: F401 - fixtures


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's folder with nothing in it, and no variables of ours around."""
    for name in ("ENVIRONMENT", "LOG_LEVEL", "KAKAO_ACCESS_TOKEN", "JEONGSI_ENV_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    clear_caches()
    return tmp_path


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    clear_caches()


def test_a34_a50_token_environment_and_log_level_come_from_env(folder: Path) -> None:
    write(folder, ".env", "KAKAO_ACCESS_TOKEN=word-of-mine", "ENVIRONMENT=production", "LOG_LEVEL=warning")
    settings = get_settings()
    assert settings.kakao_access_token is not None
    assert settings.kakao_access_token.get_secret_value() == "word-of-mine"
    assert (settings.environment, settings.log_level) == ("production", "WARNING")
    assert "word-of-mine" not in repr(settings)


@pytest.mark.parametrize("name", ["production", "development", "testing"])
def test_a35_the_environment_is_one_of_three(folder: Path, name: str) -> None:
    write(folder, ".env", f"ENVIRONMENT={name}")
    assert get_settings().environment == name


def test_a35_another_environment_is_refused(folder: Path) -> None:
    write(folder, ".env", "ENVIRONMENT=staging")
    with pytest.raises(SettingsError, match="ENVIRONMENT='staging'"):
        get_settings()


def test_a36_each_environment_has_its_own_file_over_the_common_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A36: `.env`, then `.env.production`, then variables; the later wins."""
    write(folder, ".env", "ENVIRONMENT=testing", "JEONGSI_PEAK_HOURS=9", "JEONGSI_FIRST_LOOKUP_S=20")
    write(folder, ".env.production", "JEONGSI_PEAK_HOURS=8,9,10", "JEONGSI_FIRST_LOOKUP_S=15")
    assert get_config()["schedule"]["peak_hours"] == [9]
    assert get_config("production")["schedule"]["peak_hours"] == [8, 9, 10]
    assert get_config("production")["schedule"]["confirmation_delay"] == 15
    monkeypatch.setenv("JEONGSI_PEAK_HOURS", "20")
    assert get_config("production")["schedule"]["peak_hours"] == [20]
    with pytest.raises(SettingsError, match="ENVIRONMENT"):
        get_config("staging")


def test_a37_a38_a39_a59_a61_the_schedules_numbers_are_settable(folder: Path) -> None:
    defaults = get_config()
    assert defaults["schedule"]["peak_hours"] == list(range(8, 20))
    assert defaults["schedule"]["retry_delays"] == [60, 120, 300, 600]
    assert defaults["schedule"]["confirmation_delay"] == 15
    assert defaults["schedule"]["max_recent_hashes"] == 100
    assert defaults["api"]["timeout"] == 5
    write(
        folder, ".env", "JEONGSI_PEAK_HOURS=7,8", "JEONGSI_RETRY_DELAYS_S=1,2,3,4",
        "JEONGSI_FIRST_LOOKUP_S=30", "JEONGSI_HASH_LIMIT=50", "JEONGSI_KAKAO_TIMEOUT_S=7",
    )  # fmt: skip
    changed = get_config()
    assert changed["schedule"]["peak_hours"] == [7, 8]
    assert changed["schedule"]["retry_delays"] == [1, 2, 3, 4]
    assert changed["schedule"]["confirmation_delay"] == 30
    assert changed["schedule"]["max_recent_hashes"] == 50
    assert changed["api"]["timeout"] == 7


def test_a37_an_hour_that_is_none_is_refused(folder: Path) -> None:
    write(folder, ".env", "JEONGSI_PEAK_HOURS=8,24")
    with pytest.raises(SettingsError, match="JEONGSI_PEAK_HOURS"):
        get_settings()


def test_a43_to_a48_each_step_of_a_message_is_one_info_line_with_its_id(sending: Sending) -> None:  # noqa: F811
    """A44 to A48: the way of two messages to their ends; A43 is the beat's (test_customer_calls.py)."""
    with captured() as heard:
        good = sending.promise("좋은 방", "emulator-lookup")
        sending.until_ended(good)
        sending.emulator.faults.add(Rule("429", room="나쁜 방", count=None))
        bad = sending.promise("나쁜 방", "emulator-lookup")
        sending.until_ended(bad, timeout=15)
    lines = [(event, fields["message_id"]) for event, fields in heard if "message_id" in fields]
    for event in (Event.SEND_STARTED, Event.SEND_SUCCEEDED, Event.CONFIRMED):
        assert (event, str(good)) in lines
    assert (Event.RETRY, str(bad)) in lines
    assert (Event.FINAL_FAILURE, str(bad)) in lines
    six = (
        Event.SCHEDULED, Event.SEND_STARTED, Event.SEND_SUCCEEDED, Event.CONFIRMED, Event.RETRY,
        Event.FINAL_FAILURE,
    )  # fmt: skip
    for event in six:
        assert SENTENCES[event].level == logging.INFO
        assert "{message_id}" in SENTENCES[event].text


def test_a53_the_doctor_answers_as_a_health_page(sending: Sending) -> None:  # noqa: F811
    told = jeongsi("doctor", "--json").json
    assert told["status"] == "unhealthy", "no beat runs"
    assert told["scheduled_count"] == 0
    assert told["success_rate"] == 0.0
    sending.db.execute(
        "INSERT INTO beat_pulse (node, started_at, last_tick_at) VALUES ('b', ledger_now(), ledger_now())"
    )
    assert jeongsi("doctor", "--json").json["status"] == "healthy"


def test_a63_a64_levels_are_set_by_module_and_the_file_is_rotated(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (get_settings().log_file_bytes, get_settings().log_file_backups) == (1024 * 1024, 5)
    write(
        folder, ".env", "JEONGSI_LOG_LEVELS=gateways=ERROR,beat=DEBUG",
        f"JEONGSI_LOG_FILE={folder / 'our.log'}",
        "JEONGSI_LOG_FILE_BYTES=2000", "JEONGSI_LOG_FILE_BACKUPS=2",
    )  # fmt: skip
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        configure_logging()
        assert not logging.getLogger("gateways.http").isEnabledFor(logging.WARNING)
        assert logging.getLogger("beat.turn").isEnabledFor(logging.DEBUG)
        for number in range(200):
            logging.getLogger("tasks").warning("line %s of a log that must not grow for ever", number)
        files = sorted(path.name for path in folder.glob("our.log*"))
        assert files == ["our.log", "our.log.1", "our.log.2"]
        assert all((folder / name).stat().st_size <= 2100 for name in files)
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
        for name in ("gateways", "beat"):
            logging.getLogger(name).setLevel(logging.NOTSET)
