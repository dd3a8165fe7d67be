"""Orders of one parcel travel together through an upload."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Mark the orders whose parcel holds another one of the run; no row is rewritten."""
    op.execute((Path(__file__).parent.parent / "sql" / "0011_shared_parcels.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: going back would forget which numbers were sent on."""
    raise NotImplementedError("what was uploaded is never dropped by a migration; restore a backup instead")
