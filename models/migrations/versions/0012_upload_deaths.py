"""Count the deaths of workers apart from questions without an answer."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the count; no row is rewritten."""
    op.execute((Path(__file__).parent.parent / "sql" / "0012_upload_deaths.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: going back would forget which numbers were sent on."""
    raise NotImplementedError("what was uploaded is never dropped by a migration; restore a backup instead")
