"""Orders, carriers, and the uploads of tracking numbers."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of `sql/0008_orders.sql`. The index on slots holds writers up while it is made."""
    op.execute((Path(__file__).parent.parent / "sql" / "0008_orders.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: going back would forget which numbers were uploaded."""
    raise NotImplementedError("what was uploaded is never dropped by a migration; restore a backup instead")
