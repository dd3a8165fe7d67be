"""Kakao: tokens at rest, addresses of rooms, receivers who refused."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run `sql/0003_kakao.sql`: a table, and columns that cost nothing to add."""
    op.execute((Path(__file__).parent.parent / "sql" / "0003_kakao.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse, as every migration of the ledger does."""
    raise NotImplementedError("the ledger is never dropped by a migration; restore a backup instead")
