"""The configuration form: what it shows, what it keeps, and what htmx swaps in it."""

from __future__ import annotations

import pytest

from tests.webapp.pages import FRAGMENT, Page, get, send
from webapp.filters import plain

CHOICES = """
from typing import Literal
from engine import Strategy

class Choices(Strategy):
    '''Choices

    <b>Bold</b> & "quoted"'''
    word: Literal["a", "b"] = "b"
    maybe: float | None = None

    def init(self): pass
    def next(self): pass
"""


def test_the_empty_form_has_the_defaults(client):
    sent = get(client, "/").sent()
    expected = {
        "symbol": "AAPL",
        "interval": "1d",
        "period": "6mo",
        "initial_balance": "10000",
        "commission": "0.001",
        "slippage": "0",
        "strategy": "sma_cross",
        "params.fast": "10",
        "params.slow": "30",
        "params.short": "true",
        "spread": "0",
        "margin": "1",
        "trade_on_close": "false",
        "hedging": "false",
        "exclusive_orders": "false",
        "speed": "1",
    }
    assert {name: sent[name] for name in expected} == expected


def test_an_address_fills_in_the_form(client):
    address = "/?symbol=goog&interval=1wk&period=2y&strategy=rsi_reversion&params.window=9&speed=instant&hedging=true"
    sent = get(client, address).sent()
    assert (sent["symbol"], sent["interval"], sent["period"]) == ("goog", "1wk", "2y")
    assert (sent["strategy"], sent["params.window"], sent["params.oversold"]) == ("rsi_reversion", "9", "30")
    assert (sent["speed"], sent["hedging"], sent["initial_balance"]) == ("instant", "true", "10000")


def test_an_address_can_name_what_no_list_offers(client):
    sent = get(client, "/?period=7y&speed=3x&interval=4h").sent()
    assert (sent["period"], sent["speed"], sent["interval"]) == ("7y", "3", "4h")


def test_an_address_with_dates_chooses_dates(client):
    sent = get(client, "/?period=&start_date=2012-01-01&end_date=2012-06-01").sent()
    assert (sent["period"], sent["start_date"], sent["end_date"]) == ("", "2012-01-01", "2012-06-01")


def test_an_address_with_an_unknown_strategy_says_so_and_shows_the_default(client):
    page = get(client, "/?strategy=sma_crss")
    assert page.status == 200
    assert "Did you mean sma_cross?" in page.errors()["strategy"]
    assert page.sent()["strategy"] == "sma_cross"


def test_the_last_setup_that_ran_is_remembered(client):
    assert send(client, {"symbol": "GOOG", "params.fast": "5"}).status_code == 303
    sent = get(client, "/").sent()
    assert (sent["symbol"], sent["params.fast"]) == ("GOOG", "5")
    assert get(client, "/?strategy=sma_cross").sent()["symbol"] == "AAPL"


def test_a_setup_that_did_not_run_is_not_remembered(client):
    assert send(client, {"symbol": "?"}).status_code == 422
    assert get(client, "/").sent()["symbol"] == "AAPL"


def test_every_control_has_a_label_and_every_id_is_there_once(client):
    page = get(client, "/")
    ids = [element["id"] for element in page.all("[id]")]
    assert len(ids) == len(set(ids))
    for control in page.all("input:not([type=hidden]), select"):
        labels = page.all(f"label[for='{control['id']}']")
        assert labels or control.find_parent("label"), control
        for id in control.get("aria-describedby", "").split():
            assert id in ids


def test_no_page_has_inline_script_or_style(client):
    for address in ("/", "/strategies", "/runs", "/nope"):
        page = get(client, address)
        assert not page.all("style") and not page.all("[style]")
        assert all(script.get("src") and not script.text.strip() for script in page.all("script"))
        assert not [name for element in page.all("*") for name in element.attrs if name.startswith(("on", "hx-on"))]


def test_htmx_comes_with_its_integrity_hash_and_holds_nothing_back(client):
    script = get(client, "/").one("script[src^='https:']")
    assert script["src"] == "https://cdn.jsdelivr.net/npm/htmx.org@4.0.1/dist/htmx.min.js"
    assert script["integrity"].startswith("sha384-") and script["crossorigin"] == "anonymous"
    assert script.has_attr("async")


def test_the_samples_and_the_users_files_are_offered(folders, client):
    (folders["data"] / "MINE-1d.csv").write_text("Date,Open,High,Low,Close\n2024-01-01,1,1,1,1\n")
    offered = [option["value"] for option in get(client, "/").all("#symbols option")]
    assert {"AAPL", "^GSPC", "MINE", "SYNTH"} <= set(offered)


def test_the_theme_that_was_chosen_is_there_from_the_first_byte(client):
    assert not get(client, "/").one("html").has_attr("data-theme")
    client.set_cookie("theme", "dark")
    assert get(client, "/").one("html")["data-theme"] == "dark"
    client.set_cookie("theme", '"><script>')
    assert not get(client, "/").one("html").has_attr("data-theme")


def test_the_recent_runs_stand_beside_the_form(client):
    assert "None yet" in get(client, "/").text(".recent")
    send(client)
    assert "SMA cross on AAPL" in get(client, "/").text(".recent")


def test_the_parameters_of_the_chosen_strategy_are_swapped_in(client):
    page = get(client, "/fragments/parameters?strategy=rsi_reversion", headers=FRAGMENT)
    assert page.one("#parameters [name=parameters_for]")["value"] == "rsi_reversion"
    assert page.one("[name='params.window']")["value"] == "14"
    assert not page.all("html")


def test_parameters_shown_for_another_strategy_are_left_out(client):
    old = "strategy=macd_trend&parameters_for=sma_cross&params.fast=99"
    assert get(client, f"/fragments/parameters?{old}").one("[name='params.fast']")["value"] == "12"
    assert send(client, {"strategy": "buy_and_hold"}).status_code == 303  # without scripts nothing swapped them


def test_the_periods_of_the_chosen_interval_are_swapped_in(client):
    page = get(client, "/fragments/periods?interval=1m&period=6mo")
    assert [option["value"] for option in page.all("[name=period] option")] == ["1d", "5d", ""]
    assert page.one("[name=period] option[selected]")["value"] == "5d"
    kept = get(client, "/fragments/periods?interval=1wk&period=2y")
    assert kept.one("[name=period] option[selected]")["value"] == "2y"


def test_choices_and_empty_values_reach_the_form(folders, client):
    (folders["strategies"] / "choices.py").write_text(CHOICES)
    page = get(client, "/?strategy=choices")
    assert [option["value"] for option in page.all("[name='params.word'] option")] == ["a", "b"]
    sent = page.sent()
    assert (sent["params.word"], sent["params.maybe"]) == ("b", "")
    assert "<b>Bold</b>" in page.one("#parameters").get_text()  # as text


@pytest.mark.parametrize("hostile", ['"><script>alert(1)</script>', "<img src=x onerror=alert(1)>", "'; DROP"])
def test_what_was_entered_comes_back_as_text(client, hostile):
    address_page = get(client, "/", query_string={"symbol": hostile, "params.fast": hostile, "period": hostile})
    sent_page = Page(send(client, {"symbol": hostile, "params.fast": hostile, f"params.{hostile}": "1"}))
    for page in (address_page, sent_page):
        assert page.sent()["symbol"] == hostile
        assert not page.all("img, script:not([src])")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "122 bars, about 6 s at 1x"),
        ("speed=2", "122 bars, about 3 s at 2x"),
        ("speed=instant", "122 bars, as fast as the machine can"),
        ("symbol=SYNTH:1000000", "1,000,000 bars, about 13.9 h at 1x"),
        ("symbol=SYNTH:12000", "12,000 bars, about 10 min at 1x"),
        ("symbol=NOPE", "Not ready to run: No bars for 'NOPE'"),
        ("initial_balance=0", "Not ready to run: Initial balance must be above 0"),
        ("period=&start_date=2013-01-01", "41 bars, about 2 s at 1x"),
    ],
)
def test_what_will_happen_is_told_beside_the_button(client, query, told):
    response = client.get(f"/fragments/estimate?{query}")
    assert response.status_code == 200
    assert told in Page(response).soup.get_text()


def test_the_page_tells_it_without_scripts(client):
    assert get(client, "/").text("#estimate") == "122 bars, about 6 s at 1x"


def test_values_are_written_as_the_form_takes_them():
    assert [plain(value) for value in (10_000.0, 0.001, 1e-5, 5, True, False, "x")] == [
        *("10000", "0.001", "1e-05", "5", "true", "false", "x")
    ]
