"""The backtest form: a configuration as texts under flat names, with what the page needs around it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.catalog import Entry
from engine.config import BacktestConfig
from engine.errors import ConfigError, EngineError
from engine.feeds import INTERVALS, check_interval
from engine.parameters import Parameter
from webapp.estimate import estimate
from webapp.filters import plain
from webapp.forms import DEFAULTS, SPEEDS, default_period, periods, read_speed, validate

if TYPE_CHECKING:
    from webapp import Services

SWITCHES = ("trade_on_close", "hedging", "exclusive_orders")
ADVANCED = ("spread", "margin", *SWITCHES, "indicators")
NAMES = (
    *("symbol", "interval", "period", "start_date", "end_date", "initial_balance", "strategy"),
    *("commission", "slippage", *ADVANCED, "speed"),
)
DATES = ""  # the choice in the list of periods that stands for a start and an end date


def read(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the form's fields by name, from a form or an address; of a name given twice the last counts.

    (A hidden "false" stands before each tick box, because an empty box sends nothing.)
    Parameters that were shown for another strategy than the one now chosen are left out.
    """
    values = dict(pairs)
    setup = {name: value for name, value in values.items() if name in NAMES or name.startswith("params.")}
    if values.get("parameters_for", values.get("strategy")) != values.get("strategy"):
        setup = {name: value for name, value in setup.items() if not name.startswith("params.")}
    return setup


def nested(setup: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields as `forms.validate` takes them: parameters in an object, dates only without a period."""
    values: dict[str, Any] = {name: value for name, value in setup.items() if not name.startswith("params.")}
    values["params"] = {
        name.removeprefix("params."): value for name, value in setup.items() if name.startswith("params.")
    }
    if values.get("period", DATES) != DATES:
        values.pop("start_date", None)
        values.pop("end_date", None)
    return values


def flat(config: BacktestConfig) -> dict[str, str]:
    """Return the fields that make `config` again; those at their default are left out, but for the main ones."""
    main = ("symbol", "interval", "initial_balance", "strategy")
    values = config.to_dict()
    setup = {name: plain(values[name]) for name in main}
    if config.period is None:
        setup |= {"period": DATES, "start_date": config.start_date or "", "end_date": config.end_date or ""}
    else:
        setup["period"] = config.period
    for name in ("commission", "slippage", "spread", "margin", *SWITCHES, "speed"):
        if values[name] != getattr(DEFAULTS, name):
            setup[name] = plain(values[name])
    if config.indicators:
        setup["indicators"] = json.dumps(config.indicators)
    return setup | {f"params.{name}": plain(value) for name, value in config.params.items() if value is not None}


class Form:
    """The form as a page shows it: what was entered, what is wrong with it, and what there is to choose from."""

    def __init__(
        self, services: Services, setup: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
    ):
        self.services = services
        self.setup = dict(setup or {})
        self.errors = dict(errors or {})
        self.key = secrets.token_urlsafe(12)
        self.entries = services.catalog.all()
        self.entry = self._find_entry()

    def value(self, name: str) -> str:
        """Return the text in the field `name`: what was entered, else the default."""
        if name in self.setup:
            return self.setup[name]
        if name.startswith("params."):
            default = next((p.default for p in self.parameters if p.name == name.removeprefix("params.")), None)
            return "" if default is None else plain(default)
        return default_period(self.interval) if name == "period" else _default(name)

    def ticked(self, name: str) -> bool:
        """Say whether the tick box `name` is on."""
        return self.value(name).strip().lower() in ("true", "on", "yes", "1")

    def error(self, name: str) -> str | None:
        """Return what is wrong with the field `name`."""
        return self.errors.get(name)

    @property
    def elsewhere(self) -> dict[str, str]:
        """Return the errors of what has no field on the page, such as a parameter that the strategy does not have."""
        shown = {*NAMES, *(f"params.{parameter.name}" for parameter in self.parameters)}
        return {name: message for name, message in self.errors.items() if name not in shown}

    @property
    def interval(self) -> str:
        """Return the chosen interval, or the default while the chosen one is unknown."""
        try:
            return check_interval(self.setup.get("interval", DEFAULTS.interval))
        except ConfigError:
            return DEFAULTS.interval

    @property
    def interval_choices(self) -> list[tuple[str, str]]:
        """Return the intervals to choose from, as (value, label)."""
        offered = dict.fromkeys((*INTERVALS, self.interval))
        offered.pop("60m" if self.interval != "60m" else "1h")  # the same, twice
        return [(interval, in_words(interval)) for interval in offered]

    @property
    def period_choices(self) -> list[tuple[str, str]]:
        """Return the periods that bars of the chosen interval come in, and the choice of dates."""
        offered = list(periods(self.interval))
        entered = self.setup.get("period", DATES)
        if entered != DATES and entered not in offered:
            offered.insert(0, entered)  # such as 7y from an address, or one with its error below
        return [*((period, in_words(period)) for period in offered), (DATES, "Start and end dates")]

    @property
    def period(self) -> str:
        """Return the chosen period, or the first to offer where the chosen one does not fit the interval."""
        wanted = self.value("period")
        return wanted if wanted in dict(self.period_choices) else default_period(self.interval)

    @property
    def speed(self) -> str:
        """Return the chosen speed as the list spells it; one that cannot be is kept as it was entered."""
        try:
            return plain(read_speed(self.value("speed")))
        except ConfigError:
            return self.value("speed")

    @property
    def speed_choices(self) -> list[tuple[str, str]]:
        """Return the speeds to choose from, and the one entered, as (value, label)."""
        offered = dict.fromkeys((*map(plain, SPEEDS), self.speed))
        return [(speed, "Instant" if speed == "instant" else f"{speed}x") for speed in offered]

    @property
    def strategy_choices(self) -> list[tuple[str, str]]:
        """Return the strategies that can run, as (value, label)."""
        return [(entry.name, entry.title) for entry in self.entries if entry.error is None]

    @staticmethod
    def parameter_choices(parameter: Parameter) -> list[tuple[str, str]]:
        """Return what a parameter with fixed values can be set to, as (value, label)."""
        choices = [(plain(choice), plain(choice)) for choice in parameter.choices]
        return [("", "none"), *choices] if parameter.optional else choices

    @property
    def outlook(self) -> str:
        """Return what will happen on Run, empty while the form is at fault."""
        try:
            return estimate(validate(nested(self.setup), self.services), self.services)
        except EngineError:
            return ""

    @property
    def symbols(self) -> list[str]:
        """Return the symbols that need no network: samples, the user's files, the synthetic one."""
        return self.services.feeds.symbols()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters of the chosen strategy."""
        return self.entry.parameters if self.entry else ()

    @property
    def advanced_open(self) -> bool:
        """Say whether a field under Advanced was changed, or is at fault."""
        return any(name in self.errors or self.value(name) != _default(name) for name in ADVANCED)

    def _find_entry(self) -> Entry | None:
        """Return the chosen strategy; of a name that cannot run say why, and show the default's parameters."""
        for name in (self.setup.get("strategy", DEFAULTS.strategy), DEFAULTS.strategy):
            try:
                return self.services.catalog.find(name)
            except ConfigError as error:
                self.errors.setdefault("strategy", error.message)
        return None


def in_words(length: str) -> str:
    """Write an interval or period out: "6mo" is "6 months"."""
    if length in ("max", "ytd"):
        return {"max": "All there is", "ytd": "This year so far"}[length]
    count = length.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = {"m": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "y": "year"}.get(length[len(count) :])
    return f"{count} {unit}{'' if count == '1' else 's'}" if unit else length


def _default(name: str) -> str:
    default = getattr(DEFAULTS, name)
    return "" if default is None or default == {} else plain(default)
