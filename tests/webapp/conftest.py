"""What the tests of streams share: the usual run, played by itself."""

from __future__ import annotations

import pytest

from engine import Simulation
from engine.strategies.sma_cross import SmaCross
from tests.webapp.streaming import BARS


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
