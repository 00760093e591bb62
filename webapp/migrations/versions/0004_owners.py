"""Which process plays a run, so that one whose server has died can be told apart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the processes, and a run's."""
    op.create_table(
        "owners",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("seen", sa.Float, nullable=False),
    )
    op.add_column("runs", sa.Column("owner", sa.String(80)))
