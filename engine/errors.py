"""What the engine can refuse to do.

EngineError
├── DataError        bars could not be had, or used: NoBars, BadBars, FeedUnavailable
├── ConfigError      a symbol, date, amount or parameter is out of range
└── StrategyError    the strategy's own code failed; knows file, line and bar
"""

from __future__ import annotations


class EngineError(Exception):
    """A refusal that a user may read: what is wrong, with its value, then the way out.

    `code` is stable and machine-readable; `field` names the input at fault, as the form and the wire spell it.
    """

    code = "engine_error"

    def __init__(self, message: str, *, field: str | None = None):
        super().__init__(message)
        self.message = message
        self.field = field


class DataError(EngineError):
    """Bars could not be had, or used."""

    code = "data_error"


class NoBars(DataError):
    """A source has no bars for what was asked."""

    code = "no_bars"

    def __init__(
        self, symbol: str, source: str, hint: str = "Check the symbol and the dates.", *, field: str | None = "symbol"
    ):
        super().__init__(f"No bars for {symbol!r} from {source}. {hint}", field=field)


class BadBars(DataError):
    """Bars break a rule that the engine relies on; the message names the row, and `row` is its position from 0."""

    code = "bad_bars"

    def __init__(self, message: str, *, row: int | None = None, field: str | None = None):
        super().__init__(message, field=field)
        self.row = row


class FeedUnavailable(DataError):
    """A source could not be reached, or refused to answer for now."""

    code = "feed_unavailable"


class ConfigError(EngineError, ValueError):
    """A symbol, date, amount or parameter is out of range."""

    code = "bad_config"


class StrategyError(EngineError):
    """The strategy's own code failed.

    `bar` is the 0-based bar being decided, None when it failed before the first. `hung`: it was ended for taking too
    long.
    """

    code = "strategy_error"

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        bar: int | None = None,
        hung: bool = False,
    ):
        super().__init__(message, field="strategy")
        self.file = file
        self.line = line
        self.bar = bar
        self.hung = hung
