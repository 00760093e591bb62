"""Logins, so that every server knows who is logged in and a logout holds everywhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "logins",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("proof", sa.String(64), nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
    )
