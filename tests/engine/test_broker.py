"""SimBroker: fills, costs, the life of every order, and the account."""

import pandas as pd
import pytest
from hypothesis import given, settings

from engine import ConfigError, Fixed, Percent, Random, Simulation
from tests.build import bars, ohlc
from tests.engine.scripted import doing, kinds, played, reasons
from tests.parity.generated import SETTINGS, frames, scripts
from tests.parity.scripts import run_ours

CALM = (100, 101, 99, 100)


def long_of(tape):
    return [(t.entry_bar, t.entry_price, t.exit_bar, t.exit_price) for t in tape.trades()]


@pytest.mark.parametrize(
    ("order", "bar", "price"),
    [
        pytest.param({}, (102, 105, 95, 101), 102, id="market fills at the open"),
        pytest.param({"limit": 98}, (102, 105, 95, 101), 98, id="limit fills at the limit"),
        pytest.param({"limit": 104}, (102, 105, 95, 101), 102, id="limit above the open fills at the open"),
        pytest.param({"stop": 104}, (102, 105, 95, 101), 104, id="stop fills at the stop"),
        pytest.param({"stop": 101}, (102, 105, 95, 101), 102, id="stop gapped through fills at the open"),
        pytest.param({"stop": 103, "limit": 104}, (102, 105, 95, 101), 103, id="stop-limit fills at the stop"),
        pytest.param({"stop": 101, "limit": 104}, (102, 105, 95, 101), 102, id="stop-limit gapped fills at the open"),
        pytest.param({"limit": 94}, (102, 105, 95, 101), None, id="limit out of reach waits"),
        pytest.param({"stop": 106}, (102, 105, 95, 101), None, id="stop out of reach waits"),
        pytest.param({"stop": 104, "limit": 96}, (102, 105, 95, 101), None, id="limit behind the stop waits a bar"),
    ],
)
def test_a_buy_fills(order, bar, price):
    run = played(ohlc(CALM, CALM, bar), {1: lambda s: s.buy(size=1, **order)})
    assert [event.price for event in run.tape.events if event.kind == "filled"] == ([] if price is None else [price])


def test_spread_is_paid_on_entry_and_commission_on_both_ends():
    deeds = {1: lambda s: s.buy(size=10), 2: lambda s: s.position.close()}
    run = played(ohlc(CALM, CALM, CALM, CALM), deeds, spread=0.01, commission=0.002)
    (trade,) = run.tape.trades()
    assert (trade.entry_price, trade.exit_price) == (101, 100)
    assert trade.commission == pytest.approx(10 * 101 * 0.002 + 10 * 100 * 0.002)
    assert run.tape.equity()[-1] == pytest.approx(10_000 + trade.pnl)


@pytest.mark.parametrize(
    ("slippage", "paid", "received"),
    [(0.01, 101, 99), (Percent(0.01), 101, 99), (Fixed(0.25), 100.25, 99.75)],
)
def test_slippage_costs_at_both_ends(slippage, paid, received):
    deeds = {1: lambda s: s.buy(size=1), 2: lambda s: s.position.close()}
    run = played(ohlc(CALM, CALM, CALM, CALM), deeds, slippage=slippage)
    assert long_of(run.tape) == [(2, paid, 3, received)]
    assert sum(event.slippage for event in run.tape.events if event.kind == "filled") == paid - received


def test_random_slippage_always_costs_and_repeats_with_its_seed():
    deeds = {k: (lambda s: s.buy(size=1)) if k % 2 else (lambda s: s.position.close()) for k in range(1, 30)}
    runs = [played(ohlc(*[CALM] * 31), deeds, slippage=Random(0.02), seed=seed) for seed in (1, 1, 2)]
    trades = runs[0].tape.trades()
    assert all(trade.entry_price > 100 > (trade.exit_price or 0) for trade in trades)
    assert trades == runs[1].tape.trades() != runs[2].tape.trades()


def test_slippage_never_fills_a_limit_order_beyond_its_limit():
    run = played(ohlc(CALM, CALM, CALM), {1: lambda s: s.buy(size=1, limit=99.5)}, slippage=0.05)
    assert long_of(run.tape)[0][1] == 99.5


@pytest.mark.parametrize("slippage", [-0.01, 1.0, Fixed(-1), Random(0.1, low=0.2)])
def test_slippage_that_pays_is_refused(slippage):
    with pytest.raises(ConfigError, match="Slippage"):
        played(ohlc(CALM, CALM), {}, slippage=slippage)


@pytest.mark.parametrize(
    ("name", "value"), [("cash", 0), ("margin", 0), ("margin", 1.5), ("spread", -0.1), ("commission", 0.2)]
)
def test_settings_out_of_range_name_their_field(name, value):
    with pytest.raises(ConfigError) as refusal:
        played(ohlc(CALM, CALM), {}, **{name: value})
    assert refusal.value.field == {"cash": "initial_balance"}.get(name, name)


def test_a_market_order_lives_from_placed_to_filled():
    run = played(ohlc(CALM, CALM, CALM), {1: lambda s: s.buy(size=1)})
    assert kinds(run) == [(1, "placed"), (2, "active"), (2, "filled"), (2, "opened"), (2, "entry")]


def test_a_trade_with_a_stop_and_a_target_tells_their_whole_lives():
    run = played(ohlc(CALM, CALM, CALM, (100, 111, 100, 110)), {1: lambda s: s.buy(size=1, sl=90, tp=110)})
    assert [kind for _, kind in kinds(run)] == [
        "placed", "active", "filled", "opened", "entry",
        "placed", "placed", "active", "active", "filled", "closed", "exit", "cancelled",
    ]  # fmt: skip
    assert [order.state for order in run.tape.orders()] == ["filled", "filled", "cancelled"]
    assert [order.kind for order in run.tape.orders()] == ["market", "take-profit", "stop-loss"]


@pytest.mark.parametrize(
    ("deed", "settings", "reason"),
    [
        pytest.param(lambda s: s.buy(size=200), {}, "not enough money", id="no cash"),
        pytest.param(lambda s: s.buy(size=500), {"margin": 0.5}, "not enough money", id="margin"),
        pytest.param(lambda s: s.buy(size=0.001), {}, "rounds to zero", id="size rounds to zero"),
        pytest.param(lambda s: s.buy(sl=105), {}, "stop-loss < price < take-profit", id="contradictory levels"),
        pytest.param(lambda s: s.sell(sl=95), {}, "take-profit < price < stop-loss", id="contradictory short"),
    ],
)
def test_a_refused_order_is_an_event_with_its_reason(deed, settings, reason):
    run = played(ohlc(CALM, CALM, CALM), {1: deed}, **settings)
    (told,) = reasons(run, "rejected")
    assert reason in told
    assert run.tape.orders()[0].state == "rejected"


def test_the_strategy_can_read_what_became_of_its_order():
    placed = []
    played(ohlc(CALM, CALM, CALM), {1: lambda s: placed.append(s.buy(size=200))})
    assert placed[0].state == "rejected"
    assert "not enough money" in placed[0].reason


def test_cancelled_orders_say_why():
    def place(strategy):
        strategy.buy(size=1, limit=50)
        strategy.orders[0].cancel()

    run = played(ohlc(CALM, CALM, CALM), {1: place})
    assert reasons(run, "cancelled") == ["cancelled by the strategy"]
    assert run.tape.pending() == []


def test_moving_a_stop_is_a_change_of_the_same_order():
    def trail(strategy):
        strategy.trades[0].sl = 97

    run = played(ohlc(CALM, CALM, CALM, CALM, (100, 100, 96, 96)), {1: lambda s: s.buy(size=1, sl=95), 3: trail})
    assert kinds(run, "changed") == [(3, "changed")]
    assert run.tape.trades(3)[0].sl == 95
    assert run.tape.trades(4)[0].sl == 97
    assert long_of(run.tape) == [(2, 100, 4, 97)]


@pytest.mark.parametrize("until", [2, pd.Timestamp("2020-01-04"), "2020-01-04"])
def test_an_order_expires_after_its_last_bar(until):
    series = ohlc(CALM, CALM, CALM, CALM, (100, 100, 90, 90), start="2020-01-01")
    run = played(series, {1: lambda s: s.buy(size=1, limit=95, good_till=until)})
    assert kinds(run, "expired", "filled") == [(4, "expired")]


def test_an_order_may_fill_on_its_last_bar():
    series = ohlc(CALM, CALM, CALM, (100, 100, 90, 90), start="2020-01-01")
    run = played(series, {1: lambda s: s.buy(size=1, limit=95, good_till="2020-01-04")})
    assert kinds(run, "expired", "filled") == [(3, "filled")]


def test_one_order_cancels_the_other():
    def bracket(strategy):
        up = strategy.buy(size=1, stop=105)
        strategy.sell(size=1, stop=95, oco=up)

    run = played(ohlc(CALM, CALM, (100, 106, 94, 100), CALM), {1: bracket})
    assert long_of(run.tape) == [(2, 105, None, None)]
    assert reasons(run, "cancelled") == ["order 1 filled first"]


def test_stop_and_target_in_one_bar_end_at_the_stop_and_say_that_it_is_a_guess():
    run = played(ohlc(CALM, CALM, CALM, (100, 120, 80, 100)), {1: lambda s: s.buy(size=1, sl=90, tp=110)})
    (trade,) = run.tape.trades()
    assert (trade.exit_price, trade.ambiguous) == (90, True)


def test_a_gap_through_the_stop_leaves_no_doubt():
    run = played(ohlc(CALM, CALM, CALM, (85, 120, 80, 100)), {1: lambda s: s.buy(size=1, sl=90, tp=110)})
    (trade,) = run.tape.trades()
    assert (trade.exit_price, trade.ambiguous) == (85, False)


def test_a_stop_that_waits_after_a_limit_entry_is_flagged():
    run = played(ohlc(CALM, CALM, (100, 100, 90, 97), CALM), {1: lambda s: s.buy(size=1, limit=98, sl=95)})
    (trade,) = run.tape.trades()
    assert (trade.is_open, trade.ambiguous) == (True, True)


def test_a_trade_open_at_the_end_is_shown_as_open():
    run = played(ohlc(CALM, CALM, CALM, (100, 110, 100, 110)), {1: lambda s: s.buy(size=2)})
    (trade,) = run.tape.trades()
    assert (trade.is_open, trade.pnl) == (True, 20)
    assert run.tape.position_at().size == 2


def test_each_reader_gets_each_signal_once():
    deeds = {1: lambda s: s.buy(size=1), 2: lambda s: s.position.close()}
    simulation = Simulation(ohlc(*[CALM] * 5), doing(deeds))
    simulation.advance(3)
    assert {signal.status for signal in simulation.broker.signals.all()} == {"new"}
    (entry,) = simulation.get_recent_signals("chart")
    assert (entry.action, entry.side, entry.price, entry.status) == ("entry", "long", 100, "sent")
    simulation.advance(2)
    assert [signal.action for signal in simulation.get_recent_signals("chart")] == ["exit"]
    assert [signal.action for signal in simulation.get_recent_signals("log")] == ["entry", "exit"]
    assert simulation.get_recent_signals("log") == simulation.get_recent_signals("chart") == []


def test_netting_closes_the_oldest_trade_first():
    deeds = {1: lambda s: s.buy(size=2, tag="old"), 2: lambda s: s.buy(size=2, tag="new"), 3: lambda s: s.sell(size=3)}
    run = played(ohlc(*[CALM] * 5), deeds)
    assert [(t.tag, t.size, t.is_open) for t in run.tape.trades()] == [
        ("old", 2, False), ("new", 1, False), ("new", 1, True),
    ]  # fmt: skip


def test_hedging_keeps_both_sides():
    run = played(ohlc(*[CALM] * 4), {1: lambda s: (s.buy(size=2), s.sell(size=1))}, hedging=True)
    assert [t.size for t in run.tape.trades()] == [2, -1]


def test_ruin_ends_the_decisions_and_the_equity():
    calls = []
    deeds = dict.fromkeys(range(2, 9), calls.append) | {1: lambda s: s.sell(size=150)}
    series = bars([100, 100, 100, 300, 100, 100, 100])
    run = played(series, deeds, margin=0.5)
    assert kinds(run, "ruin") == [(3, "ruin")]
    assert run.tape.equity().tolist()[-4:] == [0, 0, 0, 0]
    assert len(calls) == 1
    assert run.done


def test_a_thousand_resting_orders_fill_in_the_order_of_the_queue():
    def rest(strategy):
        for k in range(1000):
            strategy.buy(size=1, limit=50 + k % 7, tag=k)

    run = played(ohlc(CALM, CALM, CALM, (100, 100, 53, 60)), {1: rest}, cash=1_000_000)
    tags = [event.tag for event in run.tape.events if event.kind == "opened"]
    assert tags == [k for k in range(1000) if 50 + k % 7 >= 53]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(frame=frames(), script=scripts(), broker=SETTINGS)
def test_the_account_follows_from_fills_and_costs_alone(frame, script, broker):
    tape = run_ours(frame, script, compat=False, **broker).tape
    if any(event.kind == "ruin" for event in tape.events):
        return  # what is lost beyond the account is not paid
    equity, cash, position = tape.equity(), tape.cash(), tape.position()
    money, units, fills = float(broker["cash"]), 0.0, iter(e for e in tape.events if e.kind == "filled")
    fill = next(fills, None)
    for bar in range(tape.bar):
        while fill is not None and fill.bar == bar:
            money -= fill.size * fill.price + fill.commission
            units += fill.size
            fill = next(fills, None)
        assert position[bar] == units
        assert cash[bar] == pytest.approx(money, rel=1e-9, abs=1e-6)
        assert equity[bar] == pytest.approx(money + units * tape.bars.close[bar], rel=1e-9, abs=1e-6)
        if not tape.position_at(bar + 1).trades:
            gains = sum(trade.pnl for trade in tape.trades(bar + 1))
            assert equity[bar] == pytest.approx(broker["cash"] + gains, rel=1e-9, abs=1e-6)
