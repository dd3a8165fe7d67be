"""`jeongsi simulate`: what the schedules in the ledger would send, counted and told."""

from __future__ import annotations

from ops.simulate.load import Loaded, load
from ops.simulate.report import Report, reported

__all__ = ["Loaded", "Report", "load", "reported"]
