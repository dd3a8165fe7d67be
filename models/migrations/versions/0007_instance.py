"""Which database this is, and whether anything may leave it."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of `sql/0007_instance.sql` and its one row: a database of before is adopted."""
    op.execute((Path(__file__).parent.parent / "sql" / "0007_instance.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse, as every migration of the ledger does."""
    raise NotImplementedError("the ledger is never dropped by a migration; restore a backup instead")
