"""Forms: the one place where a configuration is validated, for the HTML form and the socket alike."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from engine import indicators
from engine.catalog import Entry
from engine.config import BacktestConfig
from engine.errors import ConfigError, EngineError
from engine.feeds import INTERVALS, check_interval, check_symbol, normalise_period
from engine.parameters import Parameter, check_together, unknown
from webapp import fields
from webapp.fields import shown

if TYPE_CHECKING:
    from webapp import Services

SPEEDS: tuple[float | str, ...] = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, "instant")
DEFAULTS = BacktestConfig()
MAX_INDICATORS = 12
MAX_PARAMETERS = 100
MAX_TEXT = 200  # characters in a parameter that is text


class Invalid(ConfigError):
    """A configuration that cannot run. `errors` maps each field at fault to its message, in the form's order."""

    def __init__(self, errors: Mapping[str, str]):
        self.errors = dict(errors)
        field, message = next(iter(self.errors.items()))
        super().__init__(message, field=field)


def validate(values: Any, services: Services) -> BacktestConfig:
    """Return the configuration that `values` describe; what is left out, or null, has its default.

    Args:
        values: names and values as they come, from JSON or from a form (`nested`); unknown names are ignored.
    Raises:
        Invalid: with every field that is at fault.
    """
    if not isinstance(values, Mapping):
        raise Invalid({"config": f"The configuration must be an object of names and values, not {shown(values)}."})
    given = {name: value for name, value in values.items() if value is not None}
    errors: dict[str, str] = {}
    config: dict[str, Any] = {}
    for check in (_market, _money, _switches, _strategy, _indicators, _speed):
        check(given, config, errors, services)
    if errors:
        raise Invalid(errors)
    return BacktestConfig(**config)


def default_period(interval: str) -> str:
    """Return the period that is offered first for bars of `interval`."""
    allowed = periods(interval)
    return next((period for period in ("6mo", "1mo", "5d") if period in allowed), allowed[-1])


def periods(interval: str) -> tuple[str, ...]:
    """Return the periods to offer for bars of `interval`; one that only a user's file has gets those of days."""
    return INTERVALS.get(interval, INTERVALS["1d"])


_Values = dict[str, Any]


def _attempt(errors: dict[str, str], name: str, check: Callable[[], Any]) -> Any:
    """Return what `check` returns; keep its refusal, under the field it names or `name`, and return None."""
    try:
        return check()
    except EngineError as error:
        errors.setdefault(error.field or name, error.message)
    return None


def _market(given: _Values, config: _Values, errors: dict[str, str], services: Services) -> None:
    symbol, interval = given.get("symbol", DEFAULTS.symbol), given.get("interval", DEFAULTS.interval)
    config["symbol"] = _attempt(errors, "symbol", lambda: check_symbol(fields.text("symbol", "Symbol", symbol)))
    config["interval"] = _attempt(
        errors, "interval", lambda: check_interval(fields.text("interval", "Interval", interval))
    )
    if given.get("start_date") or given.get("end_date"):
        config["period"] = None
        _dates(given, config, errors)
    else:
        config["period"] = _attempt(errors, "period", lambda: _period(given.get("period"), config["interval"]))


def _period(wanted: Any, interval: str | None) -> str | None:
    if wanted is None:
        return default_period(interval) if interval else None
    if wanted == "":
        raise ConfigError("Choose a start date, or a period instead of dates.", field="start_date")
    # Whether there are bars so far back depends on the source, so that is for the feeds to say.
    return normalise_period(fields.text("period", "Period", wanted))


def _dates(given: _Values, config: _Values, errors: dict[str, str]) -> None:
    if given.get("period"):
        errors["period"] = "Both a period and dates were given. Leave out one of them."
        return
    if not given.get("start_date"):
        errors["start_date"] = "There is an end date only. Choose a start date too."
        return
    start: date | None = _attempt(
        errors, "start_date", lambda: fields.iso_date("start_date", "Start date", given["start_date"])
    )
    end: date | None = None
    if given.get("end_date"):
        end = _attempt(errors, "end_date", lambda: fields.iso_date("end_date", "End date", given["end_date"]))
    if start and start > date.today():
        errors["start_date"] = f"Start date {start} lies in the future. Choose an earlier day."
    elif start and end and end <= start:
        errors["end_date"] = f"End date {end} is not after the start date {start}. Choose a later one; it is exclusive."
    config["start_date"] = start and start.isoformat()
    config["end_date"] = end and end.isoformat()


def _money(given: _Values, config: _Values, errors: dict[str, str], services: Services) -> None:
    rules: dict[str, Callable[[Any], float]] = {
        "initial_balance": _balance,
        "commission": lambda value: _cost("commission", value, low=-0.1),
        "slippage": lambda value: _cost("slippage", value),
        "spread": lambda value: _cost("spread", value),
        "margin": _margin,
    }
    for name, rule in rules.items():
        value = given.get(name, getattr(DEFAULTS, name))
        config[name] = _attempt(errors, name, partial(rule, value))


def _balance(value: Any) -> float:
    amount = fields.number("initial_balance", "Initial balance", value, example="10000")
    if amount <= 0:
        raise ConfigError(
            f"Initial balance must be above 0, not {amount:g}. Write an amount such as 10000.", field="initial_balance"
        )
    if not 0.01 <= amount <= 1e12:
        raise ConfigError(
            f"Initial balance {amount:g} is out of range. Write an amount from 0.01 to 1,000,000,000,000.",
            field="initial_balance",
        )
    return amount


def _cost(name: str, value: Any, low: float = 0.0) -> float:
    label = name.capitalize()
    rate = fields.number(name, label, value, example="0.001, which is 0.1 %")
    if 0.1 <= rate < 10:
        slip = f"{label} {rate:g} would be {rate * 100:g} % of the price. For {rate:g} % write {rate / 100:g}."
        raise ConfigError(slip, field=name)
    if not low <= rate < 0.1:
        raise ConfigError(f"{label} must be from {low:g} to below 0.1, not {rate:g}; 0.001 is 0.1 %.", field=name)
    return rate


def _margin(value: Any) -> float:
    margin = fields.number("margin", "Margin", value, example="1, or 0.5 to trade with twice the cash")
    if not 0.001 <= margin <= 1:
        hint = f"For a leverage of {margin:g} write {1 / margin:.3g}." if 1 < margin <= 1000 else "1 is no leverage."
        raise ConfigError(f"Margin must be from 0.001 to 1, not {margin:g}. {hint}", field="margin")
    return margin


def _switches(given: _Values, config: _Values, errors: dict[str, str], services: Services) -> None:
    labels = {"trade_on_close": "Trade on close", "hedging": "Hedging", "exclusive_orders": "Exclusive orders"}
    for name, label in labels.items():
        config[name] = _attempt(errors, name, partial(fields.flag, name, label, given.get(name, False)))


def _strategy(given: _Values, config: _Values, errors: dict[str, str], services: Services) -> None:
    name = given.get("strategy", DEFAULTS.strategy)
    entry: Entry | None = _attempt(
        errors, "strategy", lambda: services.catalog.find(fields.text("strategy", "Strategy", name))
    )
    params = given.get("params", {})
    if not isinstance(params, Mapping):
        errors["params"] = f"The parameters must be an object of names and values, not {shown(params)}."
    elif len(params) > MAX_PARAMETERS:
        errors["params"] = f"{len(params)} parameters are too many. Give at most {MAX_PARAMETERS}."
    elif entry is not None:
        config["strategy"] = entry.name
        config["params"] = _parameters(entry, params, errors, services)


def _parameters(entry: Entry, given: Mapping[str, Any], errors: dict[str, str], services: Services) -> _Values:
    """Parse each parameter, then let the strategy check them together when each is good by itself."""
    known = {parameter.name: parameter for parameter in entry.parameters}
    before = len(errors)
    for name in given:
        if name not in known:
            name = shown(name).strip("'")
            errors[f"params.{name}"] = unknown("parameter", name, known, field="params").message
    parsed = {
        name: _attempt(errors, f"params.{name}", partial(_parse, parameter, given[name]))
        if name in given
        else parameter.default
        for name, parameter in known.items()
    }
    if len(errors) == before:
        _attempt(errors, "strategy", lambda: _check_together(entry, parsed, services))
    return parsed


def _parse(parameter: Parameter, value: Any) -> Any:
    """Refuse what no parameter can be, then ask the parameter's own type."""
    name, field = parameter.title, f"params.{parameter.name}"
    if not isinstance(value, str | int | float | bool | None):
        raise ConfigError(f"{name} must be a single value, not {shown(value)}.", field=field)
    if isinstance(value, str) and (len(value) > MAX_TEXT or not value.isprintable()):
        raise ConfigError(f"{name} must be at most {MAX_TEXT} printable characters, not {shown(value)}.", field=field)
    if isinstance(value, int) and abs(value) >= 2**53:
        raise ConfigError(f"{name} is too large a number. Write a smaller one.", field=field)
    return parameter.parse(value)


def _check_together(entry: Entry, params: _Values, services: Services) -> None:
    """Let the strategy look at its parameters: a user's own where users' code runs."""
    if entry.strategy is not None:
        check_together(entry.strategy, params, entry.title)
    elif entry.checks and services.pool is not None:
        services.pool.check(entry, params)


def _indicators(given: _Values, config: _Values, errors: dict[str, str], services: Services) -> None:
    config["indicators"] = _attempt(errors, "indicators", lambda: _read_indicators(given.get("indicators", {})))


def _read_indicators(value: Any) -> dict[str, dict[str, Any]]:
    example = 'Write them as in {"RSI": {"window": 14}}.'
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            raise ConfigError(f"Indicators are not valid JSON. {example}", field="indicators") from None
    if not isinstance(value, Mapping):
        raise ConfigError(f"Indicators must be an object, not {shown(value)}. {example}", field="indicators")
    if len(value) > MAX_INDICATORS:
        raise ConfigError(f"{len(value)} indicators are too many. Take at most {MAX_INDICATORS}.", field="indicators")
    return {name: _read_options(name, options, example) for name, options in value.items()}


def _read_options(name: str, options: Any, example: str) -> dict[str, Any]:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_ ]{0,39}", name):
        raise ConfigError(f"{shown(name)} is not the name of an indicator. {example}", field="indicators")
    options = {} if options is None else options
    if not isinstance(options, Mapping) or len(options) > 16:
        problem = f"The options of {name} must be an object, not {shown(options)}."
        raise ConfigError(f"{problem} {example}", field="indicators")
    for option, value in options.items():
        if not _is_option(value):
            problem = f"The option {shown(option)} of {name} cannot be {shown(value)}."
            raise ConfigError(f"{problem} {example}", field="indicators")
    indicators.check(name, options)
    return dict(options)


def _is_option(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= MAX_INDICATORS and not any(isinstance(one, list) or not _is_option(one) for one in value)
    if isinstance(value, str):
        return value.isprintable() and len(value) <= 40
    return isinstance(value, bool | int | float) and abs(value) < 1e9  # NaN compares false


def _speed(given: _Values, config: _Values, errors: dict[str, str], services: Services) -> None:
    config["speed"] = _attempt(errors, "speed", lambda: read_speed(given.get("speed", DEFAULTS.speed)))


def read_speed(value: Any) -> float | str:
    """Return a playback speed: "instant", or a factor from 0.25 to 100.

    Raises:
        ConfigError: with the field `speed`.
    """
    if isinstance(value, str) and value.strip().lower() == "instant":
        return "instant"
    if isinstance(value, str):
        value = value.strip().removesuffix("x")
    factor = fields.number("speed", "Speed", value, example="1")
    if not 0.25 <= factor <= 100:
        raise ConfigError(f'Speed must be from 0.25 to 100, or "instant", not {factor:g}.', field="speed")
    return factor
