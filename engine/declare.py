"""Declarations: the indicators of a run, as `Strategy.I` makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from engine.bars import Bars
from engine.series import Clock, Readable, Rows, Series, Values, plain
from engine.tape import Indicator


class Declarations:
    """Makes indicators into series on the shared clock and remembers them for the tape."""

    def __init__(self, bars: Bars, clock: Clock):
        self.bars = bars
        self.clock = clock
        self.indicators: list[Indicator] = []
        self.series: list[Series] = []

    def declare(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        name: Any,
        plot: bool,
        overlay: bool | None,
        color: Any,
        scatter: bool,
        pane: str | None,
    ) -> Series | Rows:
        """Return the indicator `func(*args, **kwargs)`; see `Strategy.I`."""
        label = _label(func, args, kwargs) if name is None else name
        value = func(*map(plain, args), **{key: plain(argument) for key, argument in kwargs.items()})
        rows, single = self._rows(value, label)
        names = _row_names(label, len(rows), single)
        group = label if isinstance(label, str) else ", ".join(label)
        pane = pane or (getattr(func, "pane", None) if overlay is None else None) or self._pane(rows, overlay, group)
        styles = [line.style for line in getattr(func, "lines", ())]  # of engine.indicators' functions
        made = []
        for position, (row, row_name) in enumerate(zip(rows, names, strict=True)):
            shade = color[position] if isinstance(color, (list, tuple)) else color
            style = "scatter" if scatter else styles[position] if len(styles) == len(rows) else "line"
            drawn = row.astype(np.float64, copy=False) if row.dtype.kind in "fiub" else np.full(len(row), np.nan)
            self.indicators.append(Indicator(row_name, drawn, pane, shade, style, group, plot))
            made.append(Series(row, self.clock, row_name, self.bars.index, is_indicator=True, scatter=scatter))
        self.series += made
        return made[0] if single else Rows(made, group)

    def _rows(self, value: Any, label: Any) -> tuple[list[np.ndarray], bool]:
        if isinstance(value, pd.DataFrame):
            value = value.to_numpy().T
        try:
            array = np.array(plain(value), order="C")
        except ValueError:
            array = np.empty(0)
        length = len(self.bars)
        if array.ndim == 2 and array.shape[0] == length != array.shape[1]:
            array = array.T
        if array.ndim not in (1, 2) or array.shape[-1] != length:
            raise ValueError(
                f"The indicator {label!r} must return arrays as long as the data ({length} bars); it returned shape "
                f"{array.shape}."
            )
        array = np.ascontiguousarray(array)
        array.flags.writeable = False
        return ([array] if array.ndim == 1 else list(array)), array.ndim == 1

    def _pane(self, rows: list[np.ndarray], overlay: bool | None, group: str) -> str:
        if overlay is None:
            # Values that stay near the price are read against it; anything else needs a scale of its own.
            close = self.bars.close
            with np.errstate(invalid="ignore"):
                near = [np.mean((row > close * 0.6) & (row < close * 1.4)) for row in rows if row.dtype.kind in "fiu"]
            overlay = bool(near and min(near) > 0.6)
        return "price" if overlay else group


def _row_names(label: Any, count: int, single: bool) -> list[str]:
    if not isinstance(label, str):
        names = list(label)
        if len(names) != count:
            raise ValueError(f"{len(names)} names are given for {count} rows: {names}.")
        return names
    return [label] if single else [f"{label}[{position}]" for position in range(count)]


def _label(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    shown = [_shown(argument) for argument in args] + [f"{key}={_shown(value)}" for key, value in kwargs.items()]
    return f"{_shown(func)}({','.join(part for part in shown if part)})"


_SHORT = {"Open": "O", "High": "H", "Low": "L", "Close": "C", "Volume": "V"}


def _shown(value: Any) -> str:
    if isinstance(value, (int, float, str, np.number)):
        return str(value)
    if isinstance(value, (Readable, Values, pd.Series)):
        name = str(getattr(value, "name", "") or "")
        column, bracket, rule = name.partition("[")
        return _SHORT.get(column, column) + bracket + rule
    if isinstance(value, pd.DataFrame):
        return "df"
    name = getattr(value, "__name__", "")
    return "λ" if name == "<lambda>" else name
