"""Where bars come from: the user's files, Yahoo, the bundled samples, and made-up ones."""

from engine.feeds.loader import Feeds
from engine.feeds.request import INTERVALS, check_interval, check_period, check_symbol, normalise_period, parse_date

__all__ = [
    "INTERVALS",
    "Feeds",
    "check_interval",
    "check_period",
    "check_symbol",
    "normalise_period",
    "parse_date",
]
