"""The database's tables, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Float, ForeignKey, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself only for INTEGER

bars = Table(
    "bars",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the content, so equal bars are kept once
    Column("parquet", LargeBinary, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the strategy file
    Column("text", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),  # the order of creation
    Column("id", String(32), nullable=False, unique=True),
    Column("key", String(64), unique=True),  # one submitted form, one run
    Column("created", Float, nullable=False),  # epoch seconds, for display only
    Column("status", String(16), nullable=False),  # ready, running, completed, failed
    Column("config", JSON, nullable=False),
    Column("bars_digest", ForeignKey("bars.digest"), nullable=False),
    Column("strategy_digest", ForeignKey("sources.digest"), nullable=False),
    Column("total_bars", Integer, nullable=False),
    Column("first_time", BigInteger, nullable=False),  # epoch seconds of the first bar
    Column("last_time", BigInteger, nullable=False),
    Column("timezone", String(64)),  # where the bars were traded, an IANA name
    Column("source", Text, nullable=False),  # where the bars came from, in words
    Column("title", Text, nullable=False),  # the strategy's title when the run was made
    Column("playhead", Integer, nullable=False),  # bars played when last seen
    Column("played", Integer, nullable=False, server_default="0"),  # bars ever played: what lies beyond is not told
    Column("error", JSON),  # what ended a failed run: code, message, file, line, bar, hung
    Column("owner", String(80)),  # the process that plays a running one: see lease.py
)

results = Table(
    "results",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("completed", Float, nullable=False),  # epoch seconds
    Column("content", JSON, nullable=False),  # statistics, trades, a reduced equity curve
)

owners = Table(
    "owners",
    metadata,
    Column("id", String(80), primary_key=True),  # a process that plays runs
    Column("seen", Float, nullable=False),  # epoch seconds by the database's clock
)

logins = Table(
    "logins",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the token in the visitor's cookie, or of a used link
    Column("proof", String(64), nullable=False),  # of the password that it was made with, keyed with the secret
    Column("expires", Float, nullable=False),  # epoch seconds
)
