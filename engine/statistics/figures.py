"""Figures: what each live statistic is called, how it reads, and what it means."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One statistic as `Live.at` gives it.

    `unit` is "money" (account currency), "percent" (5.0 is 5 %), "number", "ratio", "duration" (seconds; a number of bars
    when the bars have no dates) or "count". `key` is the name in the final Series where that has the same figure.
    """

    name: str
    title: str
    group: str
    unit: str
    definition: str
    key: str | None = None


FIGURES: tuple[Figure, ...] = (
    Figure("equity", "Equity", "headline", "money", "Cash plus what is held, at the last close.", "Equity Final [$]"),
    Figure("net_profit", "Net profit", "headline", "money", "Equity less the initial balance; open trades count at the last close."),
    Figure("return_pct", "Return", "headline", "percent", "Net profit as a share of the initial balance.", "Return [%]"),
    Figure("vs_buy_hold_pct", "vs Buy & hold", "headline", "percent", "Return less what buying and holding returned."),
    Figure("max_drawdown_pct", "Max drawdown", "headline", "percent", "Deepest fall of equity from its peak until then, as a share of that peak.", "Max. Drawdown [%]"),
    Figure("win_rate", "Win rate", "headline", "percent", "Closed trades with a profit after commission, as a share of all closed trades.", "Win Rate [%]"),
    Figure("profit_factor", "Profit factor", "headline", "ratio", "Sum of the returns of winning trades over that of losing ones; each trade counts by its return in percent, not by its money.", "Profit Factor"),
    Figure("total_trades", "Trades", "headline", "count", "Closed trades; a part that was closed by itself counts as one.", "# Trades"),
    Figure("open_trades", "Open trades", "headline", "count", "Trades that still run."),
    Figure("exposure", "Exposure", "headline", "percent", "Bars spent in a closed trade, entry and exit bars included, as a share of all bars.", "Exposure Time [%]"),
    Figure("cash", "Cash", "return", "money", "Money that is not in the market."),
    Figure("gross_profit", "Gross profit", "return", "money", "Sum of the profits of winning trades, after commission."),
    Figure("gross_loss", "Gross loss", "return", "money", "Sum of the losses of losing trades, after commission."),
    Figure("annual_return", "Annual return", "return", "percent", "Mean growth per period (day, week, month or year, by the spacing of the bars), compounded over a year.", "Return (Ann.) [%]"),
    Figure("cagr", "CAGR", "return", "percent", "Growth a year that leads from the initial balance to this equity in the time that has passed.", "CAGR [%]"),
    Figure("buy_hold_pct", "Buy & hold", "return", "percent", "Change of the price since the last bar of the strategy's warm-up.", "Buy & Hold Return [%]"),
    Figure("alpha", "Alpha", "return", "percent", "Return less what beta and the market's return explain; not annualised.", "Alpha [%]"),
    Figure("beta", "Beta", "return", "number", "How far equity moves when the market moves: covariance of the two returns per bar over the market's variance.", "Beta"),
    Figure("equity_peak", "Peak equity", "return", "money", "Highest equity at any close.", "Equity Peak [$]"),
    Figure("max_drawdown", "Max drawdown", "risk", "money", "Largest fall of equity from its peak until then, in money."),
    Figure("drawdown", "Drawdown now", "risk", "money", "How far equity stands below its peak, in money."),
    Figure("drawdown_pct", "Drawdown now", "risk", "percent", "How far equity stands below its peak, as a share of it."),
    Figure("average_drawdown", "Average drawdown", "risk", "percent", "Mean depth of all drawdowns, each from a peak until it was reached again.", "Avg. Drawdown [%]"),
    Figure("max_drawdown_duration", "Longest drawdown", "risk", "duration", "Longest time from a peak until it was reached again, or until now.", "Max. Drawdown Duration"),
    Figure("average_drawdown_duration", "Average drawdown time", "risk", "duration", "Mean time from a peak until it was reached again.", "Avg. Drawdown Duration"),
    Figure("volatility", "Volatility", "risk", "percent", "Standard deviation of the returns per period, compounded over a year.", "Volatility (Ann.) [%]"),
    Figure("sharpe", "Sharpe ratio", "risk", "ratio", "Annual return over volatility.", "Sharpe Ratio"),
    Figure("sortino", "Sortino ratio", "risk", "ratio", "Annual return over the volatility of falling periods alone.", "Sortino Ratio"),
    Figure("calmar", "Calmar ratio", "risk", "ratio", "Annual return over the deepest drawdown.", "Calmar Ratio"),
    Figure("winning_trades", "Winning trades", "trades", "count", "Closed trades with a profit after commission."),
    Figure("losing_trades", "Losing trades", "trades", "count", "Closed trades with a loss after commission."),
    Figure("long_trades", "Long trades", "trades", "count", "Closed trades that gained from rising prices."),
    Figure("short_trades", "Short trades", "trades", "count", "Closed trades that gained from falling prices."),
    Figure("average_win", "Average win", "trades", "money", "Mean profit of the winning trades."),
    Figure("average_loss", "Average loss", "trades", "money", "Mean loss of the losing trades."),
    Figure("largest_win", "Largest win", "trades", "money", "Highest profit of one trade."),
    Figure("largest_loss", "Largest loss", "trades", "money", "Deepest loss of one trade."),
    Figure("best_trade", "Best trade", "trades", "percent", "Highest return of one trade on the money at its entry.", "Best Trade [%]"),
    Figure("worst_trade", "Worst trade", "trades", "percent", "Lowest return of one trade on the money at its entry.", "Worst Trade [%]"),
    Figure("average_trade", "Average trade", "trades", "percent", "Geometric mean of the trades' returns; undefined when one lost everything.", "Avg. Trade [%]"),
    Figure("expectancy", "Expectancy", "trades", "percent", "Arithmetic mean of the trades' returns.", "Expectancy [%]"),
    Figure("average_bars_held", "Average bars held", "trades", "number", "Mean number of bars from entry to exit."),
    Figure("max_trade_duration", "Longest trade", "trades", "duration", "Longest time from entry to exit.", "Max. Trade Duration"),
    Figure("average_trade_duration", "Average trade time", "trades", "duration", "Mean time from entry to exit.", "Avg. Trade Duration"),
    Figure("sqn", "SQN", "trades", "ratio", "System quality number: mean profit over its standard deviation, times the root of the number of trades.", "SQN"),
    Figure("kelly", "Kelly criterion", "trades", "ratio", "Share of the account that Kelly's formula would bet, from win rate and average win and loss.", "Kelly Criterion"),
    Figure("commission_paid", "Commission", "costs", "money", "Commission of every fill so far, open trades included."),
    Figure("slippage_paid", "Slippage", "costs", "money", "What fills lost against the price they were meant to have."),
    Figure("trade_commission", "Commission of closed trades", "costs", "money", "Commission that closed trades paid, at entry and at exit.", "Commissions [$]"),
)  # fmt: skip

HEADLINE = tuple(figure.name for figure in FIGURES if figure.group == "headline")
