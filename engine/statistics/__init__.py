"""Statistics: what a run came to, and what it has come to so far."""

from .columns import Trades
from .final import Statistics, compute, final, trades_frame

__all__ = ["Statistics", "Trades", "compute", "final", "trades_frame"]
