"""What the run of an upload keeps beside the customer's tables."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables of `sql/0009_tracking_run.sql`; no row is rewritten."""
    op.execute((Path(__file__).parent.parent / "sql" / "0009_tracking_run.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: going back would forget which numbers were sent on."""
    raise NotImplementedError("what was uploaded is never dropped by a migration; restore a backup instead")
