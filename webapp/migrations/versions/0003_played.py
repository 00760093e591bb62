"""How far a run was ever played: what lies beyond is not told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; so far only where the playhead stood is known."""
    op.add_column("runs", sa.Column("played", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE runs SET played = playhead")
