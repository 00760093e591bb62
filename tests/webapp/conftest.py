"""What the tests of streams share: the usual run, played by itself."""

from __future__ import annotations

import pytest

from engine import Simulation
from engine.strategies.sma_cross import SmaCross
from tests.webapp.streaming import BARS
from webapp import settings


@pytest.fixture
def path(tmp_path):
    """The file of an SQLite database."""
    return tmp_path / "runs" / "tapedeck.sqlite3"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, path):
    """The URL of an empty database: every test that uses it runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{path}"
    made = request.getfixturevalue("postgres").make_database()
    return settings.database_url(settings.DEFAULTS | {"DATABASE_URL": made})


@pytest.fixture
def bars(services):
    """The bars of the usual run."""
    return services.feeds.load("AAPL", "1d", period="6mo")


@pytest.fixture
def simulation(bars):
    """The usual run, played by itself."""
    simulation = Simulation(bars, SmaCross, {}, cash=10000, commission=0)
    simulation.advance(BARS)
    return simulation
