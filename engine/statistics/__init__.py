"""Statistics: what a run came to, and what it has come to so far."""

from engine.statistics.columns import Trades
from engine.statistics.excursions import excursions
from engine.statistics.figures import FIGURES, HEADLINE, Figure
from engine.statistics.final import Statistics, compute, final, trades_frame
from engine.statistics.live import Live

__all__ = [
    "FIGURES",
    "HEADLINE",
    "Figure",
    "Live",
    "Statistics",
    "Trades",
    "compute",
    "excursions",
    "final",
    "trades_frame",
]
