"""What other services ask for: idempotency keys, hashes of content, metadata on a message."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables. The statements stand in ``sql/0004_enqueue.sql`` and never change afterwards."""
    op.execute((Path(__file__).parent.parent / "sql" / "0004_enqueue.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: without the keys a repeated request would be sent twice."""
    raise NotImplementedError("idempotency keys are never dropped by a migration; restore a backup instead")
