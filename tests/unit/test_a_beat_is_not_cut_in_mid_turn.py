"""SIGTERM and SIGINT wait until a turn is over."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from beat.uninterrupted import uninterrupted


@pytest.fixture
def ending() -> Iterator[None]:
    """A handler as Celery's beat has it."""

    def raise_exit(*_: object) -> None:
        raise SystemExit

    before = {number: signal.signal(number, raise_exit) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_a_turn_ends_the_beat_after_it(ending: None, number: signal.Signals) -> None:
    done = []
    with pytest.raises(SystemExit), uninterrupted():
        signal.raise_signal(number)
        done.append("the rest of the turn")
    assert done == ["the rest of the turn"]


def test_without_a_signal_everything_is_as_before(ending: None) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with uninterrupted():
        pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_turn_in_another_thread_runs_too(ending: None) -> None:
    done = []

    def turn() -> None:
        with uninterrupted():
            done.append("the turn")

    thread = threading.Thread(target=turn)
    thread.start()
    thread.join()
    assert done == ["the turn"]
