"""Runs, the bars and strategy sources they were made with, and their results."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "bars",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("parquet", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("key", sa.String(64), unique=True),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("bars_digest", sa.String(64), sa.ForeignKey("bars.digest"), nullable=False),
        sa.Column("strategy_digest", sa.String(64), sa.ForeignKey("sources.digest"), nullable=False),
        sa.Column("total_bars", sa.Integer, nullable=False),
        sa.Column("first_time", sa.BigInteger, nullable=False),
        sa.Column("last_time", sa.BigInteger, nullable=False),
        sa.Column("timezone", sa.String(64)),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("playhead", sa.Integer, nullable=False),
        sa.Column("error", sa.JSON),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "results",
        sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("completed", sa.Float, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
    )
