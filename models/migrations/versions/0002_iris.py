"""Devices that carry one message at a time: what was there before a send, and which row is whose."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and a table; nothing that stands is rewritten."""
    op.execute((Path(__file__).parent.parent / "sql" / "0002_iris.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: going back would forget which message on a device is whose."""
    raise NotImplementedError("what was sent is never dropped by a migration; restore a backup instead")
