"""When a part is tried again, as pure functions.

Two ladders (design.md section 6, Numbers): tries that reached the provider wait 60/120/300/600 s
after the end of the try before, five in all; what provably never left waits 1/2/5/10 s and does
not count as a try.
"""

from __future__ import annotations

from collections.abc import Sequence


def retry_delay_s(delays_s: Sequence[float], tries: int, since_done_s: float = 0.0) -> float:
    """Seconds to wait now before try ``tries + 1``, counted from the end of the last one."""
    return max(0.0, _step(delays_s, tries) - since_done_s)


def key_retry_s(delays_s: Sequence[float]) -> float:
    """Seconds after a lost first answer until a provider that honours keys is tried again, once."""
    return min(1.0, delays_s[0])


def fast_delay_s(delays_s: Sequence[float], misses: int) -> float:
    """Seconds to wait after the ``misses``-th try in a row that never left this machine."""
    return _step(delays_s, misses)


def lookup_delay_s(first_s: float, settle_s: float, age_s: float, *, looks_s: Sequence[float] = ()) -> float:
    """Seconds until the next look-up of a message sent ``age_s`` ago: at first, 2 × first, then at settle.

    ``settle_s``: when absence is believed. ``looks_s``: the provider's own times before that, seconds since
    the send. Past settle it is asked again every ``first_s``.
    """
    for at in (*(looks_s or (first_s, 2 * first_s)), settle_s):
        if at > age_s:
            return at - age_s
    return first_s


def _step(delays_s: Sequence[float], number: int) -> float:
    return delays_s[min(max(number, 1), len(delays_s)) - 1]
