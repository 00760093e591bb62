"""Charted: indicators that a configuration asks for by name, beside those of the strategy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count, product
from math import prod
from typing import Any

import numpy as np
import talib
from talib.abstract import Function  # type: ignore[attr-defined]

from engine.bars import Bars
from engine.calendar import Calendar
from engine.errors import ConfigError
from engine.indicators import functions
from engine.indicators.functions import Line, Study
from engine.indicators.palette import color
from engine.parameters import Parameter, unknown
from engine.tape import Indicator

_FIELD = "indicators"
_MOST = 12  # studies of one name: more lines than anybody can tell apart
_PERIOD_WORDS = ("period", "periods", "timeperiod", "timeperiods", "window", "windows")
_OWN: dict[str, tuple[Study, tuple[str, ...]]] = {
    "VWAP": (functions.VWAP, ("high", "low", "close", "volume")),
    "DONCHIAN": (functions.DONCHIAN, ("high", "low")),
    "SUPERTREND": (functions.SUPERTREND, ("high", "low", "close")),
    "ICHIMOKU": (functions.ICHIMOKU, ("high", "low")),
}
_OFF_SCALE = {"AVGDEV"}  # flagged as "same scale as input", but it is a distance
_SHORT = {
    "upperband": "upper",
    "middleband": "middle",
    "lowerband": "lower",
    "macdsignal": "signal",
    "macdhist": "hist",
}


@dataclass(frozen=True, slots=True)
class _Spec:
    """What can be charted under one name."""

    name: str
    inputs: tuple[str, ...]
    parameters: dict[str, Parameter]
    lines: tuple[Line, ...]
    pane: str
    compute: Callable[..., Any]
    fits: Callable[[dict[str, Any]], bool]


def names() -> list[str]:
    """Return every name that `build` knows, in alphabetical order."""
    return sorted((set(talib.get_functions()) | set(_OWN)) - {"MAVP"})  # MAVP needs a period for each bar


def build(name: str, options: Mapping[str, Any] | None, bars: Bars, first_color: int = 0) -> list[Indicator]:
    """Return the lines of the indicator `name` on `bars`, ready to be drawn.

    Any TA-Lib function, by its own parameter names, and VWAP, DONCHIAN, SUPERTREND and ICHIMOKU of this package.
    `period`, `timeperiod` and `window` mean the same; a list (also as `periods`) gives one study for each value.

    Args:
        first_color: the number of the palette's colour that the first line gets.
    Raises:
        ConfigError: with the field `indicators`, for an unknown name or parameter, a value out of its range, or
            bars without the volume that it needs.
    """
    spec, sets = _plan(name, options)
    if "volume" in spec.inputs and not np.isfinite(bars.volume).any():
        raise ConfigError(f"{spec.name} needs volume, and these bars have none.", field=_FIELD)
    built: list[Indicator] = []
    for parameters in sets:
        columns = [getattr(bars, column) for column in spec.inputs]
        if spec.name == "VWAP":
            columns.append(_session(bars))
        outputs = spec.compute(*columns, **parameters)
        group = " ".join([spec.name, *_told(spec, parameters)])
        for line, values in zip(spec.lines, outputs if isinstance(outputs, (tuple, list)) else [outputs], strict=True):
            label = f"{group} {line.name}".strip()
            shade = color(first_color + len(built))
            built.append(Indicator(label, _finite(values), spec.pane, shade, line.style, group))
    return built


def build_all(wanted: Mapping[str, Mapping[str, Any]], bars: Bars, beside: Sequence[Indicator] = ()) -> list[Indicator]:
    """Return the lines of every indicator in `wanted` (name: options), in colours and names of their own.

    `beside` are the strategy's: a line that would have the name of one of those is told apart by a number.
    """
    built: list[Indicator] = []
    taken = {indicator.name for indicator in beside}
    for name, options in wanted.items():
        for line in build(name, options, bars, first_color=len(beside) + len(built)):
            label = next(text for text in _numbered(line.name) if text not in taken)
            taken.add(label)
            built.append(replace(line, name=label))
    return built


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} ({number})" for number in count(2))


def check(name: str, options: Mapping[str, Any] | None) -> None:
    """Raise the ConfigError that `build` would raise for this name and these options on any bars."""
    _plan(name, options)


def _plan(name: str, options: Mapping[str, Any] | None) -> tuple[_Spec, list[dict[str, Any]]]:
    """Return the spec and, for each study asked for, its parameters, defaults included."""
    upper = str(name).strip().upper()
    if upper not in names():
        raise unknown("indicator", str(name), names(), field=_FIELD)
    spec = _spec(upper)
    options = {} if options is None else options
    if not isinstance(options, Mapping):
        raise ConfigError(f'{upper} is given {options!r}. Give its parameters as {{"name": value}}.', field=_FIELD)
    given = {_parameter(spec, str(key)): value for key, value in options.items()}
    values = {
        key: [_parse(spec, parameter, one) for one in _listed(spec, given.get(key, parameter.default))]
        for key, parameter in spec.parameters.items()
    }
    studies = prod(map(len, values.values()))
    if studies > _MOST:
        raise ConfigError(f"{upper} is asked for {studies:,} times; at most {_MOST} fit on a chart.", field=_FIELD)
    sets = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
    for parameters in sets:
        if not spec.fits(parameters):
            raise _out_of_range(spec, parameters)
    return spec, sets


def _parameter(spec: _Spec, key: str) -> str:
    if key in spec.parameters:
        return key
    lowered = key.strip().lower()
    if lowered in spec.parameters:
        return lowered
    own = next((name for name in ("timeperiod", "window") if name in spec.parameters), None)
    if own is not None and lowered in _PERIOD_WORDS:
        return own
    if not spec.parameters:
        raise ConfigError(f"{spec.name} has no parameters, so {key!r} cannot be set.", field=_FIELD)
    raise unknown(f"parameter of {spec.name} called", key, spec.parameters, field=_FIELD)


def _listed(spec: _Spec, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        return [value]
    if not value:
        raise ConfigError(f"{spec.name} is given an empty list. Give at least one value.", field=_FIELD)
    if len(value) > _MOST:
        raise ConfigError(f"{spec.name} is given {len(value)} values; at most {_MOST} fit on a chart.", field=_FIELD)
    return list(dict.fromkeys(map(_hashable, value)))


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else repr(value)


def _parse(spec: _Spec, parameter: Parameter, value: Any) -> Any:
    try:
        return parameter.parse(value)
    except ConfigError as error:
        raise ConfigError(f"{spec.name}: {error}", field=_FIELD) from None


def _out_of_range(spec: _Spec, parameters: dict[str, Any]) -> ConfigError:
    """Return the refusal; TA-Lib tells only that something is out of range, so find what by trying them singly."""
    defaults = {key: parameter.default for key, parameter in spec.parameters.items()}
    wrong = [key for key, value in parameters.items() if not spec.fits({**defaults, key: value})] or list(parameters)
    told = ", ".join(f"{key} {parameters[key]}" for key in wrong)
    usual = ", ".join(f"{key} {defaults[key]}" for key in wrong)
    return ConfigError(f"{spec.name} does not take {told}. Usual: {usual}.", field=_FIELD)


@cache
def _spec(name: str) -> _Spec:
    if name in _OWN:
        study, inputs = _OWN[name]
        parameters = {
            key: Parameter(
                key, type(found.default), found.default, 1 if isinstance(found.default, int) else 0.01, 100_000
            )
            for key, found in inspect.signature(study).parameters.items()
            if isinstance(found.default, (int, float))
        }
        return _Spec(name, inputs, parameters, study.lines, study.pane, study, lambda values: True)
    info = Function(name).info
    parameters = {key: Parameter(key, type(value), value) for key, value in info["parameters"].items()}
    inputs = tuple(
        column for found in info["input_names"].values() for column in (found if isinstance(found, list) else [found])
    )
    flags = info["function_flags"] or []
    on_price = "Output scale same as input" in flags and name not in _OFF_SCALE and inputs != ("volume",)
    lines = tuple(
        Line("" if len(info["output_flags"]) == 1 else _SHORT.get(output, output), _style(name, output, drawn))
        for output, drawn in info["output_flags"].items()
    )
    pane = "price" if on_price or name == "FRACTAL" else name
    return _Spec(name, inputs, parameters, lines, pane, getattr(talib, name), lambda values: _accepted(name, values))


def _style(name: str, output: str, drawn: list[str]) -> str:
    if name in ("SAR", "SAREXT", "FRACTAL"):
        return "scatter"
    return "histogram" if "Histogram" in drawn or name.startswith("CDL") else "line"


def _accepted(name: str, parameters: dict[str, Any]) -> bool:
    """Return whether TA-Lib takes the parameters; its lookback is below 0 when it does not."""
    function = Function(name)
    try:
        function.set_parameters(parameters)
        return bool(function.lookback >= 0)
    except Exception:  # an integer that does not fit C's int, among others
        return False


def _told(spec: _Spec, parameters: dict[str, Any]) -> list[str]:
    """Return what names the study apart: its whole numbers, and whatever is not at its default."""
    return [
        f"{value:g}"
        for key, value in parameters.items()
        if value != spec.parameters[key].default or (spec.parameters[key].type is int and not key.endswith("matype"))
    ]


def _finite(values: Any) -> np.ndarray:
    """Return float64 with NaN for the infinities that a chart cannot draw and JSON cannot say."""
    column = np.array(values, dtype=np.float64)
    column[~np.isfinite(column)] = np.nan
    return column


def _session(bars: Bars) -> np.ndarray | None:
    """Return a number for each bar's trading day, or None when bars are days or longer."""
    if not bars.dated or len(bars) < 2 or np.median(np.diff(bars.time)) >= 86_400:
        return None
    return Calendar.of(bars.index).local_days
