"""The configuration form in a browser: what swaps in place, and that nothing needs it to."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

REFUSED = "422 (UNPROCESSABLE ENTITY)"  # the browser logs each answer of that kind
RUN = re.compile(r"/runs/[\w-]{22}$")


@pytest.fixture
def form(page: Page) -> Page:
    """The form, with htmx at work."""
    page.goto("/")
    page.wait_for_function("document.querySelector('#backtest-form').hasAttribute('data-htmx-powered')")
    return page


def test_from_a_strategy_to_its_run(page):
    page.goto("/strategies")
    page.get_by_role("link", name="Test RSI reversion").click()
    expect(page.get_by_label("Symbol")).to_have_value("AAPL")
    expect(page.get_by_label("Initial balance")).to_have_value("10000")
    expect(page.locator("#estimate")).to_have_text("122 bars, about 6 s at 1x")
    page.get_by_role("button", name="Run").click()
    expect(page).to_have_url(RUN)
    expect(page.get_by_role("heading", level=1)).to_contain_text("RSI reversion")


def test_the_chosen_strategy_swaps_in_its_parameters(form):
    form.get_by_label("Strategy", exact=True).select_option("donchian_breakout")
    expect(form.locator("[name='params.atr_window']")).to_have_value("14")
    expect(form.locator("[name='params.fast']")).to_have_count(0)
    form.get_by_role("button", name="Run").click()
    expect(form).to_have_url(RUN)


def test_the_chosen_interval_swaps_in_its_periods(form):
    form.get_by_label("Interval").select_option("1m")
    expect(form.get_by_label("Period").locator("option")).to_have_count(3)
    expect(form.locator("#estimate")).to_contain_text("The bundled sample has days only")
    form.get_by_label("Interval").select_option("1wk")
    expect(form.locator("#estimate")).to_contain_text("about 1 s at 1x")


def test_dates_appear_when_they_are_chosen(form):
    expect(form.get_by_label("Start date")).to_be_hidden()
    form.get_by_label("Period").select_option("")
    form.get_by_label("Start date").fill("2013-01-01")
    expect(form.locator("#estimate")).to_have_text("41 bars, about 2 s at 1x")


def test_no_token_is_sent_in_an_address(form):
    with form.expect_request("**/fragments/parameters**") as asked:
        form.get_by_label("Strategy", exact=True).select_option("macd_trend")
    assert "strategy=macd_trend" in asked.value.url
    assert "csrf_token" not in asked.value.url and "key=" not in asked.value.url


def test_what_will_happen_follows_what_is_typed(form):
    form.get_by_label("Speed").select_option("10")
    expect(form.locator("#estimate")).to_have_text("122 bars, about 1 s at 10x")
    form.get_by_label("Symbol").fill("SYNTH:12000")
    expect(form.locator("#estimate")).to_have_text("12,000 bars, about 60 s at 10x")
    form.get_by_label("Initial balance").fill("0")
    expect(form.locator("#estimate")).to_contain_text("must be above 0")


def test_errors_swap_in_place_and_the_first_has_the_focus(form, forgive):
    forgive(form, REFUSED)
    form.evaluate("window.stays = true")
    form.get_by_label("Initial balance").fill("-5")
    form.get_by_label("Fast").fill("50")
    form.get_by_role("button", name="Run").click()
    balance = form.get_by_label("Initial balance")
    expect(balance).to_be_focused()
    expect(balance).to_have_value("-5")
    expect(balance).to_have_accessible_description(re.compile("must be above 0, not -5"))
    expect(form.get_by_label("Fast")).to_have_attribute("aria-invalid", "true")
    assert form.evaluate("window.stays")
    balance.fill("5000")
    form.get_by_label("Fast").fill("5")
    form.keyboard.press("Enter")
    expect(form).to_have_url(RUN)


def test_a_server_error_leaves_the_form_and_tells_above_it(form, app, forgive, monkeypatch):
    forgive(form, "500")

    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("webapp.runs.create", fail)
    form.get_by_label("Symbol").fill("GOOG")
    form.get_by_role("button", name="Run").click()
    expect(form.locator("#notice")).to_contain_text("Something went wrong on the server")
    expect(form.get_by_label("Symbol")).to_have_value("GOOG")


def test_without_the_cdn_the_form_works(page_without_cdn, forgive):
    page = page_without_cdn
    forgive(page, REFUSED)
    page.goto("/")
    page.get_by_label("Initial balance").fill("ten")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("Initial balance")).to_be_focused()
    expect(page.get_by_text("must be a number, not 'ten'")).to_be_visible()
    page.get_by_label("Initial balance").fill("5000")
    page.get_by_label("Strategy", exact=True).select_option("buy_and_hold")
    page.get_by_role("button", name="Run").click()
    expect(page).to_have_url(RUN)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Buy and hold")


def test_without_scripts_everything_up_to_the_player_works(new_page, forgive):
    page = new_page(cdn=False, java_script_enabled=False)
    forgive(page, REFUSED)
    forgive(page, ".js csp")  # what the player would preload
    page.goto("/strategies")
    page.get_by_role("link", name="Test MACD trend").click()
    page.get_by_label("Strategy", exact=True).select_option("rsi_reversion")
    page.get_by_role("button", name="Show the chosen strategy").click()
    expect(page.get_by_label("Oversold")).to_be_visible()
    page.get_by_label("Symbol").fill("APPL")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Did you mean AAPL?")).to_be_visible()
    page.get_by_label("Symbol").fill("AAPL")
    page.get_by_role("button", name="Run").click()
    expect(page).to_have_url(RUN)
    page.goto("/runs")
    expect(page.get_by_role("link", name="RSI reversion", exact=True)).to_be_visible()


def test_the_theme_can_be_switched_and_stays(new_page):
    page = new_page(color_scheme="dark")
    page.goto("/")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Switch to the light theme").click()
    light = page.evaluate(background)
    assert light != dark
    page.goto("/strategies")
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert page.evaluate(background) == dark


@pytest.mark.parametrize("address", ["/", "/?margin=0.5&period=", "/strategies", "/runs", "/nope"])
def test_a_phone_shows_every_page_without_scrolling_sideways(new_page, forgive, address):
    page = new_page(viewport={"width": 390, "height": 844})
    forgive(page, "404 (NOT FOUND)")
    page.goto("/")
    page.get_by_role("button", name="Run").click()  # something for the list of runs
    expect(page).to_have_url(RUN)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_form_is_filled_in_and_sent_from_the_keyboard(form):
    form.get_by_label("Symbol").focus()
    names = []
    for _ in range(40):
        names.append(form.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
        if names[-1] == "Run":
            break
        form.keyboard.press("Tab")
    assert names[:3] == ["symbol", "interval", "period"] and names[-1] == "Run"
    assert form.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    form.keyboard.press("Enter")
    expect(form).to_have_url(RUN)
