"""Lookahead: proves, by deciding bars again without their future, that a strategy does not know it."""

from engine.lookahead.proof import check, prove
from engine.lookahead.report import (
    CHANCE,
    ENDING,
    LOOKS_AHEAD,
    OUTSIDE,
    REPAINTS,
    WARM_UP,
    Finding,
    Report,
)

__all__ = [
    "CHANCE",
    "ENDING",
    "LOOKS_AHEAD",
    "OUTSIDE",
    "REPAINTS",
    "WARM_UP",
    "Finding",
    "Report",
    "check",
    "prove",
]
