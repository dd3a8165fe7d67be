"""Scripted faults: by rule (this room, this key, the next N requests) and by seeded rate."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FAULTS: dict[str, str] = {
    "429": "429 with Retry-After, no effect",
    "503": "503 with Retry-After in the bridge's error form, no effect",
    "4xx": "400 in the bridge's error form, no effect",
    "html_404": "404 in HTML, as an intermediary says it, no effect",
    "500_before": "500 without effect",
    "500_after": "the effect, then 500",
    "drop": "the connection closed without effect or answer",
    "accept_then_drop": "the effect, then the connection closed without an answer",
    "slow_before": "waits past the client's deadline, then the effect, then the answer",
    "slow_after": "the effect, then waits past the client's deadline before the answer",
    "drip": "the effect, then the headers one byte at a time",
    "reset_before": "a TCP reset without effect",
    "reset_after": "the effect, then a TCP reset",
    "redirect": "307 to the same path, no effect",
    "cut_body": "the effect, then a 200 whose body breaks off",
    "lost": "200, but never an effect; a look-up finds nothing",
    "undelivered": "200, but never an effect; a look-up says failed",
    "lookup_lag": "a look-up says not found although there is one",
    "lookup_down": "a look-up is answered by 503 in HTML",
}
# Iris answers before it sends; these happen on the device afterwards, and only there (`lost` too).
IRIS_FAULTS: dict[str, str] = {
    "pending": "the message waits in KakaoTalk for delay_s, then appears",
    "stuck": "the message waits in KakaoTalk and never appears",
}
ALIASES = {"slow": "slow_after", "reset": "reset_after"}
LOOKUP_FAULTS = frozenset({"lookup_lag", "lookup_down"})
SEND_FAULTS = tuple(name for name in FAULTS if name not in LOOKUP_FAULTS)
# A share of all requests when only one rate is given; `lost` and `undelivered` are asked for by name.
EVERYDAY = (
    "429", "503", "500_before", "500_after", "drop", "accept_then_drop", "slow_before", "slow_after",
    "drip", "reset_before", "reset_after", "redirect", "cut_body", "html_404",
)  # fmt: skip


@dataclass
class Rule:
    """One fault for the requests that match all given fields; `count` None means until cleared.

    `path` matches anywhere in the path. `delay_s` is the wait of the slow faults, or the time of the
    whole drip."""

    fault: str
    channel: str | None = None
    room: str | None = None
    key: str | None = None
    path: str | None = None
    count: int | None = 1
    delay_s: float | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        self.fault = known(self.fault)

    @property
    def for_lookup(self) -> bool:
        return self.fault in LOOKUP_FAULTS

    def matches(self, channel: str, room: str | None, key: str | None, path: str) -> bool:
        """Whether it still has hits left and every given field agrees."""
        return (
            (self.count is None or self.hits < self.count)
            and self.channel in {None, channel}
            and self.room in {None, room}
            and self.key in {None, key}
            and (self.path is None or self.path in path)
        )


class Faults:
    """Rules come first, in their order; then the rates. Thread-safe.

    The n-th send of a run meets the same fault for the same seed and rates; look-ups are counted apart."""

    def __init__(self, seed: int = 0, rates: Mapping[str, float] | None = None) -> None:
        self.seed = seed
        self._guard = threading.Lock()
        self._rules: list[Rule] = []
        self._rates = checked_rates(rates or {})
        self._counts = {"send": 0, "lookup": 0}

    def add(self, rule: Rule) -> Rule:
        """Add a rule; its `hits` tells later how often it struck."""
        with self._guard:
            self._rules.append(rule)
        return rule

    def set_rates(self, rates: Mapping[str, float]) -> None:
        """Replace all rates. Raises ValueError on an unknown name or a sum above 1."""
        rates = checked_rates(rates)
        with self._guard:
            self._rates = rates

    def clear(self) -> None:
        """No rules, no rates, counting from the start."""
        with self._guard:
            self._rules.clear()
            self._rates = {}
            self._counts = {"send": 0, "lookup": 0}

    def state(self) -> dict[str, Any]:
        """Rules with their hits, rates, seed and counts, as JSON."""
        with self._guard:
            return {
                "seed": self.seed,
                "rules": [asdict(rule) for rule in self._rules],
                "rates": dict(self._rates),
                "counts": dict(self._counts),
            }

    def choose(
        self, channel: str, room: str | None, key: str | None, path: str, *, lookup: bool
    ) -> Rule | None:
        """The fault that this request meets, or None."""
        with self._guard:
            way = "lookup" if lookup else "send"
            self._counts[way] += 1
            for rule in self._rules:
                if rule.for_lookup == lookup and rule.matches(channel, room, key, path):
                    rule.hits += 1
                    return rule
            point = random.Random(f"{self.seed}:{way}:{self._counts[way]}").random()
            for name, rate in self._rates.items():
                if (name in LOOKUP_FAULTS) != lookup:
                    continue
                if point < rate:
                    return Rule(name)
                point -= rate
        return None


def everyday_rates(total: float) -> dict[str, float]:
    """`total` (0..1) spread evenly over the faults of an ordinary bad day."""
    return dict.fromkeys(EVERYDAY, total / len(EVERYDAY)) if total else {}


def known(name: str) -> str:
    """The fault's own name; raises ValueError with all names for an unknown one."""
    name = ALIASES.get(name, name)
    if name not in FAULTS and name not in IRIS_FAULTS:
        raise ValueError(f"there is no fault {name!r}; known are {', '.join([*FAULTS, *IRIS_FAULTS])}")
    return name


def checked_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """By their own names; raises ValueError if one is unknown or out of 0..1, or the sum is above 1."""
    checked = {known(name): float(rate) for name, rate in rates.items()}
    sends = sum(rate for name, rate in checked.items() if name not in LOOKUP_FAULTS)
    if any(not 0 <= rate <= 1 for rate in checked.values()) or sends > 1:
        raise ValueError("fault rates lie between 0 and 1, and so does their sum")
    return checked
