"""What a person hands in as a schedule, checked whole and turned into columns (pure, no IO).

CLI, API, console and import all come through `check`, so every refusal reads the same everywhere.
"""

from __future__ import annotations

from beat.schedule_form.check import check
from beat.schedule_form.columns import rules_from_columns
from beat.schedule_form.values import (
    Checked,
    ImageFacts,
    Planned,
    Problem,
    RoomFacts,
    ScheduleForm,
)

__all__ = [
    "Checked",
    "ImageFacts",
    "Planned",
    "Problem",
    "RoomFacts",
    "ScheduleForm",
    "check",
    "rules_from_columns",
]
