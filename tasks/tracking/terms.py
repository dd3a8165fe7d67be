"""How an account uploads, as it was when its run began, and the waits between two looks or tries."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JITTER = 0.2
LONGEST_WAIT_S = 60.0
#: Questions in a row without an answer, where a request of ours may have had its effect: some five minutes.
MISSES_IN_DOUBT = 10
#: Instructions in a row without an answer, at least. They store nothing, so the order fails.
UNCONFIRMED_MOST = 3
FIRST_LOOK_S = 1.0
BUSY_S = 2.0  # after a 429 that names no time


@dataclass(frozen=True, slots=True)
class Terms:
    """The options of one run. ``confirm_s``: how long a sending may stay unconfirmed."""

    account: str
    instruct: bool
    send_to_shop: bool
    change_complete: bool
    hold_odd_numbers: bool
    retry_count: int
    confirm_s: float
    dry_run: bool

    @classmethod
    def of(cls, options: Mapping[str, Any], *, dry_run: bool, confirm_s: float) -> Terms:
        """From the job's options (models/sql: tracking_options)."""
        return cls(
            account=str(options["account"]),
            instruct=bool(options["instruct"]),
            send_to_shop=bool(options["send_to_shop"]),
            change_complete=bool(options["change_complete"]),
            hold_odd_numbers=options["number_policy"] == "hold",
            retry_count=int(options["retry_count"]),
            confirm_s=confirm_s,
            dry_run=dry_run,
        )


def backoff_s(tries: int) -> float:
    """2, 4, 8 … seconds after the first, second, third try, give or take a fifth (C44); 60 at most."""
    return _spread(min(2.0 ** max(tries, 0), LONGEST_WAIT_S))


def look_again_s(looks: int) -> float:
    """1, 2, 4 … 30 seconds: what PlayAuto's job does takes its time, and every look is a request."""
    return _spread(min(FIRST_LOOK_S * 2.0 ** min(looks, 10), 30.0))


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)
