"""A busy process's log lines: written together, none lost at an end, errors at once."""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Iterator

import pytest

from runtime import log_lines
from runtime.log_lines import InBatches
from tests.support.waiting import eventually


class CountedWrites(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += text != "\n"
        return super().write(text)


@pytest.fixture
def out() -> CountedWrites:
    return CountedWrites()


@pytest.fixture
def log(out: CountedWrites) -> Iterator[logging.Logger]:
    to = logging.StreamHandler(out)
    to.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("batches")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(InBatches(to))
    yield logger
    _end(logger)


def _end(logger: logging.Logger) -> None:
    handler = logger.handlers[0]
    logger.removeHandler(handler)
    handler.close()


def test_lines_leave_together_and_in_order(log: logging.Logger, out: CountedWrites) -> None:
    for number in range(100):
        log.info("line %d", number)
    eventually(lambda: out.getvalue().count("\n") == 100)
    assert out.getvalue().splitlines() == [f"INFO line {number}" for number in range(100)]
    assert out.writes < 20


def test_an_error_is_written_before_the_caller_goes_on(log: logging.Logger, out: CountedWrites) -> None:
    log.info("before")
    log.error("broken")
    assert out.getvalue() == "INFO before\nERROR broken\n"


def test_the_end_of_the_process_writes_what_waits(log: logging.Logger, out: CountedWrites) -> None:
    log.info("last words")
    log.handlers[0].flush()
    assert out.getvalue() == "INFO last words\n"


def test_a_line_says_what_was_true_when_it_was_said(log: logging.Logger, out: CountedWrites) -> None:
    names = ["one"]
    log.info("names: %s", names)
    names.append("two")
    log.handlers[0].flush()
    assert out.getvalue() == "INFO names: ['one']\n"


def test_a_slow_reader_holds_back_who_says_too_much(
    log: logging.Logger, out: CountedWrites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "MOST_WAITING", 10)
    monkeypatch.setattr(log_lines, "GATHER_S", 60.0)
    log.info("wakes the thread")
    for number in range(25):
        log.info("%d", number)
    assert out.getvalue().count("\n") >= 20


def test_many_threads_lose_no_line(log: logging.Logger, out: CountedWrites) -> None:
    def say(who: int) -> None:
        for number in range(200):
            log.info("%d-%d", who, number)

    threads = [threading.Thread(target=say, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.handlers[0].flush()
    assert len(set(out.getvalue().splitlines())) == 1600


def test_a_forked_child_writes_its_lines_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    logger = logging.getLogger("forked")
    logger.setLevel(logging.INFO)
    logger.addHandler(InBatches(logging.FileHandler(path)))
    logger.info("parent")
    logger.handlers[0].flush()
    child = os.fork()
    if child == 0:
        logger.info("child")
        threading.Event().wait(log_lines.GATHER_S * 20)
        os._exit(0)
    os.waitpid(child, 0)
    assert path.read_text().splitlines() == ["parent", "child"]
    _end(logger)
