"""Waiting for a condition. Tests never sleep for a time they hope is long enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runtime.clock import SystemClock

T = TypeVar("T")
_CLOCK = SystemClock()  # not clock(): a test may have set another one


def eventually(
    fn: Callable[[], T],
    timeout: float = 10.0,
    every: float = 0.02,
    message: str | Callable[[], str] | None = None,
) -> T:
    """Call `fn` until it returns something true, and return that.

    An AssertionError inside `fn` counts as not yet. After `timeout` seconds: AssertionError with
    `message` (text, or a function asked only then), the last value or the last assertion.
    """
    end = _CLOCK.monotonic() + timeout
    while True:
        last: object
        try:
            value = fn()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if _CLOCK.monotonic() >= end:
            said = message() if callable(message) else message or "the condition did not come true"
            raise AssertionError(f"{said} (waited {timeout:g} s; last: {last!r})")
        _CLOCK.wait(every)
