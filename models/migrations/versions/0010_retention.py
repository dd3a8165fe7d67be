"""Orders are found by their age and by their other numbers."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes of `sql/0010_retention.sql`. They hold writers of orders up while they are made."""
    op.execute((Path(__file__).parent.parent / "sql" / "0010_retention.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: no migration of ours goes back."""
    raise NotImplementedError("migrations only go forward; restore a backup instead")
