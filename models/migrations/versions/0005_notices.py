"""Notices to operators: targets, notices, deliveries, and the index by which trouble is found."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of `sql/0005_notices.sql`. The index on slots holds writers up while it is made."""
    op.execute((Path(__file__).parent.parent / "sql" / "0005_notices.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse, as every migration of the ledger does."""
    raise NotImplementedError("the ledger is never dropped by a migration; restore a backup instead")
