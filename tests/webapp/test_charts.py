"""Charts: the set-up script, and the library's files from the installed package."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from webapp import charts


def indicator(pane: str = "price", style: str = "line") -> SimpleNamespace:
    return SimpleNamespace(pane=pane, style=style)


@pytest.mark.parametrize(
    ("indicators", "shape"),
    [
        pytest.param([], "", id="none"),
        pytest.param([indicator(), indicator()], "ll", id="two over the price"),
        pytest.param(
            [indicator("RSI"), indicator(), indicator("MACD", "histogram"), indicator("RSI")], "l.ll.h", id="panes"
        ),
        pytest.param([indicator(style="scatter")], "s", id="points"),
    ],
)
def test_the_shape_of_a_chart_counts_series_by_pane(indicators, shape):
    assert charts.shape(indicators) == shape


def test_the_script_makes_a_pane_for_price_each_indicator_pane_and_equity():
    script = charts.script("ll.h")
    assert len(re.findall(r"new Lib\.Handler", script)) == 3
    assert len(re.findall(r"createLineSeries", script)) == 4  # two indicators, equity, buy & hold
    assert len(re.findall(r"createHistogramSeries", script)) == 2  # an indicator, drawdown
    assert script.count("window.tapedeckChart =") == 1


def test_the_script_is_served_to_be_kept(client):
    answer = client.get("/charts/setup.js?shape=l.lh")
    assert answer.status_code == 200
    assert answer.mimetype == "text/javascript"
    assert "max-age=86400" in answer.headers["Cache-Control"]
    assert answer.text == client.get("/charts/setup.js?shape=l.lh").text


@pytest.mark.parametrize("shape", ["x", "l.", ".", "alert(1)", "l" * 61, "</script>"])
def test_nothing_but_a_shape_becomes_a_script(client, shape):
    assert client.get("/charts/setup.js", query_string={"shape": shape}).status_code == 404


@pytest.mark.parametrize("name", charts.PACKAGE_FILES)
def test_the_library_is_served_from_the_installed_package(client, name):
    with client.get(f"/charts/{name}") as answer:
        assert answer.status_code == 200
        assert answer.data == (charts.PACKAGE_FOLDER / name).read_bytes()


@pytest.mark.parametrize("name", ["index.html", "../abstract.py", "..%2fabstract.py", "nothing.js"])
def test_no_other_file_of_the_package_is_served(client, name):
    assert client.get(f"/charts/{name}").status_code == 404
