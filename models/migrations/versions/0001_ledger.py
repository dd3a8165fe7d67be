"""The ledger, the schedule store and rooms."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table. The statements stand in ``sql/0001_ledger.sql`` and never change afterwards."""
    op.execute((Path(__file__).parent.parent / "sql" / "0001_ledger.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: going back would drop the record of what was sent."""
    raise NotImplementedError("the ledger is never dropped by a migration; restore a backup instead")
