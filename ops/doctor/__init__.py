"""Is this installation healthy, and if not, what to do about it."""

from __future__ import annotations

from ops.doctor.finding import Finding, Level
from ops.doctor.look import examine, health_of, shown_settings

__all__ = ["Finding", "Level", "examine", "health_of", "shown_settings"]
