"""Finished one-offs by their day, for the clean-up."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run `sql/0006_calls.sql`. The index holds writers up while it is made."""
    op.execute((Path(__file__).parent.parent / "sql" / "0006_calls.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse, as every migration of the ledger does."""
    raise NotImplementedError("the ledger is never dropped by a migration; restore a backup instead")
