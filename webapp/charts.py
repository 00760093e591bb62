"""The chart: its panes and series, built with lightweight-charts-python and served as script files.

The library's Python side builds the set-up script once for each *shape* of chart; player/chart.js feeds it afterwards.
A shape says how many series each pane has and how each is drawn (`"ll.h"`: two lines over the price, one pane with a
histogram below). Names, colours and prices never enter the script, so nothing a user wrote is ever run as code, and
the same shape is the same file for everyone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightweight_charts
from flask import Blueprint, Response, abort, request, send_from_directory
from lightweight_charts import abstract

bp = Blueprint("charts", __name__, url_prefix="/charts")

PACKAGE_FILES = ("lightweight-charts.js", "bundle.js", "styles.css")
PACKAGE_FOLDER = Path(lightweight_charts.__file__).parent / "js"
STYLE_LETTERS = {"line": "l", "scatter": "s", "histogram": "h"}
SHAPE = re.compile(r"[lsh]{0,60}(\.[lsh]{1,60}){0,12}")
_CACHE_SECONDS = 86_400  # the files change only with the installed package


def shape(indicators: list[Any] | tuple[Any, ...]) -> str:
    """Return the shape of a chart that shows `indicators` (anything with `.pane` and `.style`), price pane first."""
    panes: dict[str, str] = {"price": ""}
    for indicator in indicators:
        pane = indicator.pane or "price"
        panes[pane] = panes.get(pane, "") + STYLE_LETTERS.get(indicator.style, "l")
    return ".".join(panes.values())


@lru_cache(maxsize=128)
def script(chart_shape: str) -> str:
    """Return the set-up script for a shape; it leaves what it made in `window.tapedeckChart`."""
    parts: list[str] = []
    window = abstract.Window(script_func=parts.append)
    price, *own = chart_shape.split(".")
    panes = [_pane(window, price, kind="price")]
    panes += [_pane(window, styles, kind="indicator") for styles in own]
    panes.append(_equity_pane(window))
    window.run_script(f"window.tapedeckChart = {{panes: [{', '.join(panes)}]}};", run_last=True)
    window.on_js_load()
    return "\n".join(parts)


def _pane(window: abstract.Window, styles: str, kind: str) -> str:
    """Add one pane with a series for each letter of `styles`; return it as a JavaScript object."""
    chart = _chart(window)
    if kind == "price":
        chart.volume_config(scale_margin_top=0.84, scale_margin_bottom=0.0)
        chart.price_scale(scale_margin_top=0.1, scale_margin_bottom=0.2)
    else:
        chart.price_scale(scale_margin_top=0.14, scale_margin_bottom=0.1)
    return _described(chart, kind, [_series(chart, style) for style in styles])


def _equity_pane(window: abstract.Window) -> str:
    """Add the pane of equity, buy & hold, and drawdown on a scale of its own along the bottom."""
    chart = _chart(window)
    drawdown = chart.create_histogram(
        "", price_line=False, price_label=False, scale_margin_top=0.72, scale_margin_bottom=0.0
    )
    held = chart.create_line("", style="dashed", width=1, price_line=False, price_label=False)
    equity = chart.create_line("", width=2, price_line=False, price_label=True)
    chart.price_scale(scale_margin_top=0.24, scale_margin_bottom=0.34)
    return _described(chart, "equity", [equity, held, drawdown])


def _chart(window: abstract.Window) -> abstract.AbstractChart:
    # autosize would size the chart to the browser's window; chart.js sizes it to its element
    chart = abstract.AbstractChart(window, width=1.0, height=1.0, autosize=False)
    chart.legend(visible=False)  # ours is text, the library's is HTML
    chart.time_scale(right_offset=6, min_bar_spacing=0.3, time_visible=True, border_visible=False)
    chart.crosshair(mode="normal")
    return chart


def _series(chart: abstract.AbstractChart, style: str) -> abstract.SeriesCommon:
    if style == "h":
        bars = chart.create_histogram("", price_line=False, price_label=False, scale_margin_top=0.1)
        # on the pane's own scale, so that a MACD histogram and its lines share one zero
        chart.run_script(f"{bars.id}.series.applyOptions({{priceScaleId: 'right', priceFormat: {{type: 'price'}}}});")
        return bars
    line = chart.create_line("", width=2, price_line=False, price_label=False)
    if style == "s":
        chart.run_script(f"{line.id}.series.applyOptions({{lineVisible: false, pointMarkersVisible: true}});")
    return line


def _described(chart: abstract.AbstractChart, kind: str, series: list[abstract.SeriesCommon]) -> str:
    return f"{{kind: '{kind}', handler: {chart.id}, series: [{', '.join(one.id for one in series)}]}}"


@bp.get("/setup.js")
def setup() -> Response:
    """Return the script that builds the chart of the given shape."""
    wanted = request.args.get("shape", "")
    if not SHAPE.fullmatch(wanted):
        abort(404)
    response = Response(script(wanted), mimetype="text/javascript")
    return _cached(response)


@bp.get("/<path:name>")
def package_file(name: str) -> Response:
    """Return one of the chart library's own files, from the installed package."""
    if name not in PACKAGE_FILES:
        abort(404)
    return _cached(send_from_directory(PACKAGE_FOLDER, name))


def _cached(response: Response) -> Response:
    response.cache_control.public = True
    response.cache_control.max_age = _CACHE_SECONDS
    response.cache_control.no_cache = None
    return response
