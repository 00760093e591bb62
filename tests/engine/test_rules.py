"""Rules: each correction, by an example worked by hand, beside what backtesting.py does."""

import pytest

from engine import Backtest, Strategy, StrategyError, rules
from tests.build import bars, ohlc
from tests.engine.scripted import doing, kinds, played

CALM = (100, 101, 99, 100)


def both(series, deeds, **settings):
    """Return our run and theirs."""
    return [played(series, deeds, compat=compat, **settings) for compat in (False, True)]


def trades(run):
    return [(t.size, t.entry_bar, t.entry_price, t.exit_bar, t.exit_price) for t in run.tape.trades()]


def test_the_table_has_a_row_for_each_rule():
    names = [rule.name for rule in rules.TABLE]
    assert len(names) == len(set(names)) >= 16
    assert all(rule.differs and rule.why and rule.example for rule in rules.TABLE)


def test_sizing_lookahead():
    # Short 50 at 100. The next bar opens at 100 and falls to 80: at its close the short has gained 1,000.
    series = ohlc(CALM, CALM, CALM, (100, 100, 80, 80), CALM)
    deeds = {1: lambda s: s.sell(size=50), 2: lambda s: s.sell(size=0.999)}
    ours, theirs = both(series, deeds)
    assert [size for size, *_ in trades(ours)] == [-50, -49]
    assert [size for size, *_ in trades(theirs)] == [-50, -69]
    assert ours.touched == theirs.touched == {"sizing_lookahead"}


def test_fixed_commission_per_unit():
    ours, theirs = both(ohlc(CALM, CALM, CALM), {1: lambda s: s.buy()}, commission=(100, 0))
    assert (trades(ours)[0][0], trades(theirs)[0][0]) == (98, 49)
    assert ours.touched == {"fixed_commission_per_unit"}


def test_a_fee_by_a_function_is_fitted_too():
    run = played(ohlc(CALM, CALM, CALM), {1: lambda s: s.buy()}, commission=lambda size, price: 50 + abs(size) ** 1.5)
    size = trades(run)[0][0]
    assert size * 100 + 50 + size**1.5 <= 10_000 < (size + 1) * 100 + 50 + (size + 1) ** 1.5


def test_fixed_commission_partial_pnl():
    deeds = {1: lambda s: s.buy(size=10), 2: lambda s: s.position.close(0.5), 3: lambda s: s.position.close()}
    ours, theirs = both(ohlc(*[CALM] * 5), deeds, commission=(10, 0))
    assert [t.pnl for t in ours.tape.trades()] == [-15, -15]
    assert [t.pnl for t in theirs.tape.trades()] == [-20, -20]
    assert ours.tape.equity()[-1] == theirs.tape.equity()[-1] == 10_000 - 30


def test_stop_limit_gap_fill():
    series = ohlc(CALM, CALM, (105, 112, 104, 111))
    ours, theirs = both(series, {1: lambda s: s.buy(size=1, stop=102, limit=110)})
    assert (trades(ours)[0][2], trades(theirs)[0][2]) == (105, 102)
    assert ours.touched == {"stop_limit_gap_fill"}


def test_stop_limit_that_opens_beyond_its_limit_fills_at_the_limit():
    ours, _ = both(ohlc(CALM, CALM, (112, 114, 108, 111)), {1: lambda s: s.buy(size=1, stop=102, limit=110)})
    assert trades(ours)[0][2] == 110


def test_toc_stop_gap_fill():
    series = ohlc(CALM, (100, 105, 100, 105), (98, 101, 97, 100))
    ours, theirs = both(series, {1: lambda s: s.buy(size=1, stop=100)}, trade_on_close=True)
    assert (trades(ours)[0][2], trades(theirs)[0][2]) == (100, 105)
    assert ours.touched == {"toc_stop_gap_fill"}


def test_toc_negative_duration():
    series = ohlc(CALM, CALM, (100, 102, 100, 101), CALM)
    deeds = {1: lambda s: (s.buy(size=1, stop=101), s.sell(size=1))}
    ours, theirs = both(series, deeds, trade_on_close=True)
    assert trades(ours)[0][1::2] == (2, 2)
    assert trades(theirs)[0][1::2] == (2, 1)
    assert ours.touched == {"toc_negative_duration"}


def test_reprocess_stop_limit():
    series = ohlc(CALM, CALM, (100, 100, 97, 98), (98, 98, 98, 98))
    deeds = {1: lambda s: (s.sell(size=1, stop=98, limit=99), s.sell(size=1, sl=120))}
    ours, theirs = both(series, deeds)
    assert [size for size, *_ in trades(ours)] == [-1]
    assert [size for size, *_ in trades(theirs)] == [-1, -1]
    assert ours.touched == {"reprocess_stop_limit"}


def test_exclusive_skip():
    def crowd(strategy):
        strategy._broker.exclusive_orders = False
        for limit in (90, 91, 92):
            strategy.buy(size=1, limit=limit)
        strategy._broker.exclusive_orders = True
        strategy.buy(size=1, limit=93)

    ours, theirs = both(ohlc(CALM, CALM, CALM), {1: crowd}, exclusive_orders=True)
    assert [order.limit for order in ours.tape.pending()] == [93]
    assert [order.limit for order in theirs.tape.pending()] == [91, 93]


def test_bankrupt_leftover():
    deeds = {1: lambda s: (s.sell(size=90), s.sell(size=90))}
    ours, theirs = both(bars([100, 100, 100, 300, 300]), deeds, margin=0.1)
    assert [t.is_open for t in ours.tape.trades()] == [False, False]
    assert [t.is_open for t in theirs.tape.trades()] == [False, True]
    assert kinds(ours, "ruin") == [(3, "ruin")]


def test_finalize_open():
    series = ohlc(CALM, CALM, CALM, (100, 110, 99, 110))
    deeds = {1: lambda s: s.buy(size=1), 3: lambda s: s.buy(size=5)}
    ours, theirs = both(series, deeds, finalize_trades=True)
    assert trades(ours) == [(1, 2, 100, 3, 110)]
    assert trades(theirs) == [(1, 2, 100, 3, 100), (5, 3, 100, None, None)]
    assert ours.touched == {"finalize_open"}


def test_contradictory_levels():
    series = ohlc(CALM, CALM, CALM, CALM)
    deeds = {1: lambda s: s.buy(limit=99, sl=105), 2: lambda s: s.buy(size=1)}
    assert len(trades(played(series, deeds))) == 1
    with pytest.raises(StrategyError, match="stop-loss < price"):
        played(series, deeds, compat=True)


def test_equity_before_the_first_decision_is_the_starting_cash():
    class AtOnce(Strategy):
        def init(self):
            self.buy(size=10)

        def next(self):
            pass

    series = ohlc((100, 100, 100, 100), (100, 110, 100, 110))
    settings = {"finalize_trades": True}
    ours = Backtest(series, AtOnce, **settings).run()
    theirs = Backtest(series, AtOnce, compat=True, **settings).run()
    assert ours["Return [%]"] == pytest.approx(1)
    assert theirs["Return [%]"] == 0


def test_untouched_runs_touch_nothing():
    deeds = {1: lambda s: s.buy(sl=95, tp=105), 3: lambda s: s.position.close()}
    assert played(ohlc(*[CALM] * 6), deeds, commission=0.001).touched == set()


def test_doing_nothing_is_not_a_trade():
    assert Backtest(ohlc(CALM, CALM, CALM), doing({})).run()["# Trades"] == 0
