"""What is logged: stable names, a sentence each, no secrets, rotated, with a level per module."""

from __future__ import annotations

import json
import logging
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.events import SENTENCES, Event, captured, configure_logging, emit, subscribe
from runtime.logs import masked
from runtime.settings import get_settings

OF_A_MESSAGE = (
    Event.SCHEDULED, Event.SEND_STARTED, Event.SEND_SUCCEEDED,
    Event.CONFIRMED, Event.RETRY, Event.FINAL_FAILURE,
)  # fmt: skip


class Log:
    """The log of this process while a test runs: call it for the lines so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._so_far = ""

    def start(self, **environment: str) -> None:
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        configure_logging()

    def __call__(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def text(self) -> str:
        self._so_far += self._capsys.readouterr().err
        return self._so_far


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    monkeypatch.setenv("JEONGSI_ENV_FILE", "")
    for name in ("LOG_LEVEL", "JEONGSI_LOG_LEVELS", "JEONGSI_LOG_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    level = root.level
    yield Log(monkeypatch, capsys)
    logging.captureWarnings(False)
    for handler in [one for one in root.handlers if getattr(one, "of_jeongsi", False)]:
        root.removeHandler(handler)
        handler.close()
    for module in ("gateways", "beat", __name__):
        logging.getLogger(module).setLevel(logging.NOTSET)
    root.setLevel(level)
    get_settings.cache_clear()


def test_every_event_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Event)


@pytest.mark.parametrize("event", OF_A_MESSAGE)
def test_the_six_lines_of_a_message_are_info_and_carry_its_id(log: Log, event: Event) -> None:
    log.start()
    emit(event, message_id="812-1795222800000")
    (line,) = log()
    assert line["level"] == "info"
    assert line["message_id"] == "812-1795222800000"
    assert line["action"] == event.value
    assert "812-1795222800000" in str(line["event"])


def test_sentences_name_a_message_by_its_id_only() -> None:
    for event in Event:
        fields = {name for _, name, _, _ in string.Formatter().parse(SENTENCES[event].text) if name}
        assert event.value.startswith("message.") <= ("message_id" in fields)


def test_secrets_are_hidden_wherever_they_stand(log: Log) -> None:
    log.start()
    emit(
        Event.CHANNEL_DOWN,
        channel="bridge",
        reason="could not reach postgresql://user:s3cret@host/db",
        access_token="s3cret",
        answer={"headers": [{"Authorization": "s3cret"}], "api_key": "s3cret"},
    )
    logging.getLogger("library").warning("sent %s", "Authorization: Bearer s3cret")
    try:
        raise ConnectionError("redis://:s3cret@host:1 refused")
    except ConnectionError:
        logging.getLogger("library").exception("failed")
    assert len(log()) == 3
    assert "s3cret" not in log.text()
    assert "idempotency" in str(masked({"idempotency_key": "idempotency"})), (
        "no secret: it finds a message again"
    )


def test_a_text_is_logged_to_fifty_characters_at_most() -> None:
    assert masked({"text": "가" * 51})["text"] == "가" * 50 + "…"
    assert masked({"part": {"text": "가" * 50}})["part"]["text"] == "가" * 50


def test_each_module_has_its_own_level(log: Log) -> None:
    log.start(JEONGSI_LOG_LEVELS="gateways=DEBUG,beat=WARNING")
    logging.getLogger("gateways.http").debug("shown")
    logging.getLogger("beat.tick").info("hidden")
    logging.getLogger("tasks").debug("hidden")
    assert [line["event"] for line in log()] == ["shown"]


def test_the_log_file_is_rotated_and_five_old_ones_are_kept(log: Log, tmp_path: Path) -> None:
    log.start(JEONGSI_LOG_FILE=str(tmp_path / "logs" / "jeongsi.log"), JEONGSI_LOG_FILE_BYTES="1000")
    for number in range(100):
        emit(Event.SCHEDULED, message_id=f"1-{number}", at="9:00")
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == ["jeongsi.log", *(f"jeongsi.log.{n}" for n in range(1, 6))]
    assert all(path.stat().st_size <= 1000 for path in (tmp_path / "logs").iterdir())


def test_the_default_rotation_is_five_old_files_of_one_mebibyte() -> None:
    settings = get_settings()
    assert (settings.log_file_bytes, settings.log_file_backups) == (1024 * 1024, 5)


def test_a_missing_field_or_a_broken_subscriber_stops_nobody(log: Log) -> None:
    log.start()

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    stop = subscribe(broken)
    emit(Event.RETRY, message_id="1-1")
    stop()
    told = log()
    assert told[0]["event"] == "Message 1-1 is tried again in ? s: ?"
    assert told[1]["event"] == "A subscriber of events failed"


def test_events_of_a_block_can_be_heard() -> None:
    with captured() as heard:
        emit(Event.PLANNED, count=3)
    emit(Event.PLANNED, count=4)
    assert heard == [(Event.PLANNED, {"count": 3})]
