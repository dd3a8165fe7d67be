"""Check the ledger against its invariants (exactly-once.md section 9), alone or with receipts."""

from __future__ import annotations

from ops.audit.report import Report, Violation
from ops.audit.run import audit

__all__ = ["Report", "Violation", "audit"]
