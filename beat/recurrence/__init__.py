"""When a schedule is due: pure functions from rules and a zone to instants (design: Time).

Preview, simulation, planner and audit all call these, so they cannot disagree. No IO, no clock: the
instant to count from is an argument.
"""

from __future__ import annotations

from beat.recurrence.errors import RuleError
from beat.recurrence.instants import (
    ALWAYS,
    Window,
    between,
    daily_instants,
    max_per_day,
    next_after,
    next_instants,
    wall_times_on,
)
from beat.recurrence.rules import KINDS, WEEKDAYS, Rule, Rules, parse_rules, parse_rules_text
from beat.recurrence.words import describe
from beat.recurrence.zones import zone_names, zone_of

__all__ = [
    "ALWAYS",
    "KINDS",
    "WEEKDAYS",
    "Rule",
    "RuleError",
    "Rules",
    "Window",
    "between",
    "daily_instants",
    "describe",
    "max_per_day",
    "next_after",
    "next_instants",
    "parse_rules",
    "parse_rules_text",
    "wall_times_on",
    "zone_names",
    "zone_of",
]
