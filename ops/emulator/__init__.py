"""The bridge contract as a real HTTP server, in three kinds, with a receipt log and scripted faults.

    with Emulator(tmp_path / "receipts.jsonl", seed=7) as emulator:
        emulator.faults.add(Rule("500_after", key=key, count=1))
        ...
        emulator.receipts.all()

As a process: `python -m ops.emulator --port 0 --receipts FILE --seed 7 --fault-rate 0.02`.
"""

from __future__ import annotations

from ops.emulator.faults import FAULTS, Faults, Rule
from ops.emulator.receipts import Receipt, Receipts
from ops.emulator.server import KINDS, Emulator

__all__ = ["FAULTS", "KINDS", "Emulator", "Faults", "Receipt", "Receipts", "Rule"]
