"""Why: what a strategy saw and decided, found out by running a bar again under a microscope.

A run is deterministic, so any bar of it can be made again. `explain` plays the plain strategy up to the bar and gives
its functions rewritten code for that one call of next(); `survey` does so for all bars; `trade_reasons` and
`list_reasons` for the bars on which a trade's orders were placed. Nothing of this touches a normal run.
"""

from engine.why.answer import Condition, Counted, Explanation, ListReasons, Survey, TradeReasons
from engine.why.explain import explain
from engine.why.reasons import list_reasons, trade_reasons
from engine.why.survey import survey

__all__ = [
    "Condition",
    "Counted",
    "Explanation",
    "ListReasons",
    "Survey",
    "TradeReasons",
    "explain",
    "list_reasons",
    "survey",
    "trade_reasons",
]
