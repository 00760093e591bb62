"""The bundled strategies: each trades for the reason that it gives."""

from __future__ import annotations

import numpy as np
import pytest

from engine import ConfigError, Simulation, Tape
from engine.catalog import Catalog
from engine.feeds import Feeds
from engine.parameters import check_parameters
from tests.build import bars, random_bars

CATALOG = Catalog()
ENTRIES = [pytest.param(entry, id=entry.name) for entry in CATALOG.all()]


def play(name: str, played, **params) -> Tape:
    simulation = Simulation(played, CATALOG.find(name).strategy, params)
    simulation.advance(len(played))
    return simulation.tape


def waves(count: int = 240, length: int = 40) -> np.ndarray:
    return 100 + 20 * np.sin(np.arange(count) * 2 * np.pi / length)


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_says_what_it_does_and_every_parameter_is_described(entry):
    assert entry.error is None and len(entry.description) > 80
    assert all(parameter.description for parameter in entry.parameters)
    assert all(parameter.low is not None for parameter in entry.parameters if parameter.type in (int, float))


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_plays_real_bars_through_and_trades(entry, tmp_path):
    real = Feeds(tmp_path, tmp_path, yahoo=False).load("AAPL", "1d", period="5y")
    simulation = Simulation(real, entry.strategy, commission=0.001)
    simulation.advance(len(real))
    assert simulation.done and simulation.tape.trades()
    assert not [event for event in simulation.tape.events if event.kind == "rejected"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_plays_at_both_ends_of_its_bounds(entry):
    numbers = [parameter for parameter in entry.parameters if parameter.type in (int, float)]
    for end in ("low", "high"):
        params = {parameter.name: parameter.type(getattr(parameter, end)) for parameter in numbers}
        simulation = Simulation(random_bars(300), entry.strategy, params)
        simulation.advance(300)
        assert simulation.done


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_says_nothing_on_too_few_bars(entry):
    simulation = Simulation(random_bars(2), entry.strategy)
    simulation.advance(2)
    assert simulation.done


def test_buy_and_hold_buys_once_and_never_sells():
    tape = play("buy_and_hold", bars([99, 99, 101, 98, 120]))
    assert [(trade.entry_bar, trade.exit_bar, trade.size) for trade in tape.trades()] == [(2, None, 101)]


def test_sma_cross_is_on_the_side_of_the_fast_average():
    tape = play("sma_cross", bars(waves()), fast=3, slow=9)
    assert {trade.side for trade in tape.trades()} == {"long", "short"}
    fast, slow = (indicator.values for indicator in tape.indicators)
    for trade in tape.trades():
        decided = trade.entry_bar - 1
        assert (fast[decided] > slow[decided]) == (trade.side == "long")
        assert (fast[decided - 1] < slow[decided - 1]) == (trade.side == "long")
    assert {trade.side for trade in play("sma_cross", bars(waves()), fast=3, slow=9, short=False).trades()} == {"long"}


def test_rsi_reversion_buys_the_recovery_and_limits_the_fall():
    tape = play("rsi_reversion", bars(waves()), window=5)
    trades = tape.trades()
    assert trades and all(trade.side == "long" and trade.tag == "oversold" for trade in trades)
    rsi = tape.indicators[0].values
    for trade in trades:
        decided = trade.entry_bar - 1
        assert rsi[decided - 1] < 30 < rsi[decided]
        assert trade.sl == pytest.approx(tape.bars.close[decided] * 0.92)
    assert all(trade.sl is None for trade in play("rsi_reversion", bars(waves()), window=5, stop_loss=0.0).trades())


def test_bollinger_reversion_goes_back_to_the_middle():
    tape = play("bollinger_reversion", random_bars(400, 2), window=10, width=1.5, short=True)
    upper, middle, lower = (indicator.values for indicator in tape.indicators)
    close, closed = tape.bars.close, [trade for trade in tape.trades() if not trade.is_open]
    assert {trade.side for trade in closed} == {"long", "short"}
    for trade in closed:
        entered, left = trade.entry_bar - 1, trade.exit_bar - 1
        if trade.side == "long":
            assert close[entered - 1] < lower[entered - 1] and close[left] >= middle[left]
        else:
            assert close[entered - 1] > upper[entered - 1] and close[left] <= middle[left]


def test_macd_trend_buys_only_above_the_long_average():
    tape = play("macd_trend", random_bars(600, 4), trend=40)
    drawn = {indicator.name: indicator for indicator in tape.indicators}
    assert drawn["Histogram"].style == "histogram" and drawn["MACD"].pane == drawn["Signal"].pane == "MACD"
    assert tape.trades()
    for trade in tape.trades():
        decided = trade.entry_bar - 1
        assert tape.bars.close[decided] > drawn["EMA 40"].values[decided]
        assert drawn["MACD"].values[decided] > drawn["Signal"].values[decided]


def test_donchian_breakout_follows_with_a_stop_that_never_steps_back():
    climb = np.concatenate(
        [np.full(30, 100.0) + np.arange(30) % 2, np.linspace(101, 160, 40), np.linspace(160, 130, 15)]
    )
    tape = play("donchian_breakout", bars(climb))
    trade = tape.trades()[0]
    assert (trade.side, trade.tag) == ("long", "new high") and trade.exit_reason == "stop-loss"
    stops = [event.sl for event in tape.events if event.kind == "changed" and event.trade == trade.trade and event.sl]
    assert len(stops) > 20 and stops == sorted(stops)
    assert trade.exit_price > trade.entry_price


def test_donchian_breakout_risks_the_same_share_every_time():
    tape = play("donchian_breakout", random_bars(500, 7), risk=0.01)
    atr = next(indicator.values for indicator in tape.indicators if indicator.name.startswith("ATR"))
    assert tape.trades()
    for trade in tape.trades():
        decided = trade.entry_bar - 1
        at_stake = abs(trade.size) * 3 * atr[decided]
        assert at_stake <= 0.01 * tape.equity(decided, decided + 1)[0] + 1e-9


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [
        ("sma_cross", {"fast": 30, "slow": 30}, "params.fast"),
        ("sma_cross", {"fast": 50}, "params.fast"),
        ("macd_trend", {"fast": 26}, "params.fast"),
        ("rsi_reversion", {"oversold": 70}, "params.oversold"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(name, params, field):
    with pytest.raises(ConfigError) as refusal:
        check_parameters(CATALOG.find(name).strategy, params)
    assert refusal.value.field == field
