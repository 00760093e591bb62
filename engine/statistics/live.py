"""Live: the statistics of a run as they stood after any of its bars."""

from __future__ import annotations

from copy import copy
from functools import partial

import numpy as np

from engine.calendar import Calendar, round_up
from engine.statistics import measures
from engine.statistics.columns import Changes, TradeReader
from engine.statistics.final import growth_rate
from engine.statistics.measures import NAN, ratio
from engine.statistics.running import Comoments, Growing, Moments, Rewindable
from engine.tape import Tape


class Live:
    """The statistics of a tape at any bar, at a cost that does not grow with the bars before.

    At the last bar they equal `final`; at bar k they equal those of a run that ended there, its trades left open. Bars
    of the tape after k are never read for it.
    """

    def __init__(self, tape: Tape, *, risk_free_rate: float = 0.0):
        self.tape = tape
        self.risk_free_rate = risk_free_rate
        self._dates = Calendar.of(tape.bars.index)
        self._account = Rewindable(_Account())
        self._periods: dict[str, Rewindable[_Periods]] = {}
        self._trades = _TradeTotals(tape, self._dates)

    def at(self, bar: int | None = None) -> dict[str, float | int]:
        """Return every figure of `FIGURES` after `bar` bars (the tape's last by default), NaN where undefined.

        Also `bar_number`, `position` (signed units), and `pnl` and `pnl_pct`, other names of `net_profit` and
        `return_pct`.
        """
        bar = self.tape.bar if bar is None else max(0, min(bar, self.tape.bar))
        account = self._account.at(bar, self._advance_account)
        spacing = self._dates.spacing(bar) if self._dates.nanoseconds is not None and bar else 0
        figures: dict[str, float | int] = {"bar_number": bar}
        figures |= self._money(bar, account)
        figures |= self._returns(bar, account, spacing)
        figures |= self._risk(bar, account, spacing)
        figures |= self._trades.at(bar, self._dates.resolution(spacing))
        figures["vs_buy_hold_pct"] = figures["return_pct"] - figures["buy_hold_pct"]
        figures["calmar"] = ratio(figures["annual_return"], -figures["max_drawdown_pct"])
        return figures

    def _money(self, bar: int, account: _Account) -> dict[str, float | int]:
        tape, balance = self.tape, self.tape.initial_balance
        equity = account.equity if bar else balance
        gained = equity - balance
        position = tape.position(bar - 1, bar).item() if bar else 0.0
        return {
            "equity": equity,
            "equity_peak": account.peak if bar else balance,
            "cash": equity - position * tape.bars.close.item(bar - 1) if position else equity,
            "position": position,
            "net_profit": gained,
            "pnl": gained,
            "return_pct": gained / balance * 100,
            "pnl_pct": gained / balance * 100,
        }

    def _returns(self, bar: int, account: _Account, spacing: int) -> dict[str, float | int]:
        bars, first = self.tape.bars, self.tape.first_bar
        held = NAN
        if bar >= first:  # before, the strategy warms up, and nothing has been held yet
            held = bars.close.item(bar - 1) / bars.close.item(first - 1) - 1
        total = account.equity / self.tape.initial_balance - 1 if bar else 0.0
        moves = account.moves
        beta = ratio(moves.xy, moves.yy) if moves.count > 1 else NAN
        yearly = self._annual(bar, account, spacing)
        cagr = NAN
        if bar and self._dates.nanoseconds is not None:
            cagr = growth_rate(1 + total, int(self._dates.elapsed(0, bar - 1)))
        free = self.risk_free_rate
        return {
            "buy_hold_pct": held * 100,
            "annual_return": yearly.mean * 100,
            "cagr": cagr * 100,
            "volatility": yearly.volatility * 100,
            "sharpe": yearly.sharpe,
            "sortino": yearly.sortino,
            "beta": beta,
            "alpha": (total - free - beta * (held - free)) * 100,
        }

    def _annual(self, bar: int, account: _Account, spacing: int) -> measures.Annual:
        if not bar or self._dates.local_days is None:
            return measures.Annual(NAN, NAN, NAN, NAN)
        period = self._dates.period(spacing)
        if period not in self._periods:
            self._periods[period] = Rewindable(_Periods())
        state = copy(self._periods[period].at(bar, partial(self._advance_periods, period)))
        state.moments = copy(state.moments)
        state.close_period(np.array([state.base, account.equity]))  # the period that still runs ends here for now
        count = state.moments.count
        mean = -1.0 if state.lost else float(np.expm1(state.growth / count)) if count else NAN
        a_year = self._dates.periods_a_year(period, bar, account.weekend_bars)
        downside = state.downside / count if count else NAN
        return measures.annual(count, mean, state.moments.variance(), downside, a_year, self.risk_free_rate, False)

    def _risk(self, bar: int, account: _Account, spacing: int) -> dict[str, float | int]:
        figures: dict[str, float | int] = {
            "max_drawdown": account.deepest_fall,
            "max_drawdown_pct": 0.0 - account.deepest * 100,  # not -0.0 where nothing fell
            "drawdown": account.equity - account.peak if bar else 0.0,
            "drawdown_pct": (account.equity / account.peak - 1) * 100 if bar else 0.0,
        }
        count, depth, lasted, longest = account.episodes, account.depths, account.lasted, account.longest
        since = bar - 1 - account.peak_bar
        if bar and (since > 1 or (since == 1 and not count)):
            so_far = float(self._dates.elapsed(account.peak_bar, bar - 1))
            count, depth, lasted, longest = count + 1, depth + account.depth, lasted + so_far, max(longest, so_far)
        resolution = self._dates.resolution(spacing)
        return figures | {
            "average_drawdown": -depth / count * 100 if count else NAN,
            "max_drawdown_duration": _duration(longest, self._dates, resolution) if count else NAN,
            "average_drawdown_duration": _duration(lasted / count, self._dates, resolution) if count else NAN,
        }

    def _advance_account(self, state: _Account, start: int, stop: int) -> None:
        equity, close = self.tape.equity(start, stop), self.tape.bars.close[start:stop]
        if start:
            before = np.concatenate([[state.equity], equity])
            market = measures.log_changes(self.tape.bars.close[start - 1 : stop])
        else:
            before, market = equity, measures.log_changes(close)
        # A copy, because the kept states must not change with this one.
        state.moves = copy(state.moves)
        with np.errstate(invalid="ignore"):
            state.moves.add(measures.log_changes(before), market)
        peaks = np.maximum.accumulate(np.concatenate([[state.peak], equity]))[1:]
        state.deepest_fall = min(state.deepest_fall, float((equity - peaks).min()))
        state.follow(1 - equity / peaks, start, self._dates)
        state.peak, state.equity = float(peaks[-1]), float(equity[-1])
        if self._dates.local_days is not None:
            state.weekend_bars += self._dates.weekend_bars(start, stop)

    def _advance_periods(self, period: str, state: _Periods, start: int, stop: int) -> None:
        equity = self.tape.equity(max(start - 1, 0), stop)
        numbers = self._dates.period_numbers(period, max(start - 1, 0), stop)
        ends = equity[np.flatnonzero(numbers[1:] != numbers[:-1])]
        if len(ends):
            state.moments = copy(state.moments)
            state.close_period(np.concatenate([[state.base], ends]))
            state.base = float(ends[-1])


class _Account:
    """What is known of equity after some bars; depths are above 0, durations as `Calendar.elapsed` gives them."""

    def __init__(self) -> None:
        self.equity = 0.0
        self.peak = -np.inf
        self.deepest_fall = 0.0  # in money
        self.deepest = 0.0
        self.weekend_bars = 0
        self.moves = Comoments()  # of the log changes of equity and of price
        self.episodes = 0
        self.depths = self.lasted = self.longest = 0.0
        self.peak_bar = -1  # the last bar at the running peak
        self.depth = 0.0  # the deepest since then

    def follow(self, drawdown: np.ndarray, start: int, dates: Calendar) -> None:
        """Take in the drawdowns of the bars from `start` on: those that ended, and the one that goes on."""
        self.deepest = max(self.deepest, float(drawdown.max()))
        # What came since the last peak stands as one element before the new bars.
        depths = np.concatenate([[self.depth], drawdown])
        marks = np.concatenate([[0], np.flatnonzero(drawdown == 0) + 1])
        bars = marks + (start - 1)
        bars[0] = self.peak_bar
        apart = np.flatnonzero(bars[1:] - bars[:-1] > 1)
        if len(apart):
            lasted = dates.elapsed(bars[apart], bars[apart + 1])
            self.episodes += len(apart)
            self.depths += float(np.maximum.reduceat(depths, marks)[apart].sum())
            self.lasted += float(lasted.sum(dtype=np.float64))
            self.longest = max(self.longest, float(lasted.max()))
        self.peak_bar = int(bars[-1])
        self.depth = float(depths[marks[-1] :].max())


class _Periods:
    """The returns of the periods that ended; `base` is equity at the end of the last one, NaN before the first."""

    def __init__(self) -> None:
        self.base = NAN
        self.moments = Moments()
        self.growth = 0.0  # sum of log(1 + r)
        self.downside = 0.0  # sum of the squares of returns below 0
        self.lost = False

    def close_period(self, ends: np.ndarray) -> None:
        """Take in equity at the ends of periods; the first of `ends` is the one before."""
        returns = measures.returns_between(ends)
        if not len(returns):
            return
        self.moments.add(returns)
        self.downside += float((np.minimum(returns, 0) ** 2).sum())
        if self.lost or (returns <= -1).any():
            self.lost = True
        else:
            self.growth += float(np.log1p(returns).sum())


class _TradeTotals:
    """Running totals over the closed trades, read from the tape's events once each."""

    def __init__(self, tape: Tape, dates: Calendar):
        self._reader = TradeReader(tape.events)
        self._dates = dates
        self._fills = Growing(2, np.add)
        self._opened = Growing(0, np.add)
        self._ended = Growing(0, np.add)
        self._sums = Growing(16, np.add)
        self._most = Growing(5, np.maximum)
        self._usual = 0.0  # the first profit; deviations from it keep the digits that their squares need
        self._covered: list[tuple[int, int]] = []

    def at(self, bar: int, resolution: int) -> dict[str, float | int]:
        """Return the figures of fills and trades after `bar` bars."""
        changes = self._reader.catch_up()
        if changes is not None:
            self._take(changes)
        count = self._sums.count(bar)
        commission, slippage = self._fills.at(self._fills.count(bar))
        (
            wins, losses, longs, won, lost, fees, held, covered,
            returns, gained, fallen, growth, ruined, off, off_squared, lasted,
        ) = self._sums.at(count)  # fmt: skip
        best, worst, largest, smallest, longest = self._most.at(count)
        mean = ratio(off, count)
        variance = (off_squared - off * mean) / (count - 1) if count > 1 else NAN
        deviation = float(np.sqrt(max(variance, 0.0))) if variance == variance else NAN
        return {
            "total_trades": count,
            "open_trades": self._opened.count(bar) - self._ended.count(bar),
            "winning_trades": int(wins),
            "losing_trades": int(losses),
            "long_trades": int(longs),
            "short_trades": count - int(longs),
            "win_rate": ratio(wins * 100, count),
            "profit_factor": ratio(gained, -fallen),
            "exposure": covered / bar * 100 if bar else NAN,
            "gross_profit": won,
            "gross_loss": lost,
            "average_win": ratio(won, wins),
            "average_loss": ratio(lost, losses),
            "largest_win": largest if wins else NAN,
            "largest_loss": -smallest if losses else NAN,
            "best_trade": best * 100 if count else NAN,
            "worst_trade": -worst * 100 if count else NAN,
            "average_trade": float(np.expm1(growth / count)) * 100 if count and not ruined else NAN,
            "expectancy": ratio(returns * 100, count),
            "average_bars_held": ratio(held, count),
            "max_trade_duration": _duration(longest, self._dates, resolution) if count else NAN,
            "average_trade_duration": _duration(lasted / count, self._dates, resolution) if count else NAN,
            "sqn": ratio(np.sqrt(count) * (self._usual + mean), deviation),
            "kelly": measures.kelly(wins, count, won, losses, lost),
            "commission_paid": commission,
            "slippage_paid": slippage,
            "trade_commission": fees,
        }

    def _take(self, changes: Changes) -> None:
        self._fills.extend(changes.fill_bar, changes.fill_costs)
        self._opened.extend(changes.opened_bar, np.empty((len(changes.opened_bar), 0)))
        ended = changes.closed_bar[changes.whole]
        self._ended.extend(ended, np.empty((len(ended), 0)))
        trades = changes.closed
        if not len(trades):
            return
        if not self._sums.count(1 << 62):
            self._usual = float(trades.pnl[0])
        pnl, returns = trades.pnl, trades.return_pct
        off = pnl - self._usual
        lasted = self._dates.elapsed(trades.entry_bar, trades.exit_bar)
        ruined = returns <= -1
        growth = np.log1p(np.where(ruined, 0.0, returns))
        sums = (
            pnl > 0, pnl < 0, trades.size > 0, np.maximum(pnl, 0), np.minimum(pnl, 0), trades.commission,
            trades.exit_bar - trades.entry_bar, self._newly_covered(trades.entry_bar, trades.exit_bar), returns,
            np.maximum(returns, 0), np.minimum(returns, 0), growth, ruined, off, off * off, lasted,
        )  # fmt: skip
        self._sums.extend(changes.closed_bar, np.column_stack(sums).astype(np.float64))
        self._most.extend(
            changes.closed_bar, np.column_stack([returns, -returns, pnl, -pnl, lasted]).astype(np.float64)
        )

    def _newly_covered(self, entries: np.ndarray, exits: np.ndarray) -> np.ndarray:
        """Return how many bars each trade, as it closes, adds to those that lie in a closed trade."""
        added, covered = [], self._covered  # disjoint spans, oldest first; a new one meets only the last few
        for first, last in zip(entries.tolist(), exits.tolist(), strict=True):
            known = 0
            start, stop = first, last
            while covered and covered[-1][1] >= start - 1:
                left, right = covered.pop()
                known += right - left + 1
                start, stop = min(start, left), max(stop, right)
            covered.append((start, stop))
            added.append(stop - start + 1 - known)
        return np.array(added, dtype=np.float64)


def _duration(value: float, dates: Calendar, resolution: int) -> float:
    """Return seconds, rounded up to the bars' resolution, or bars when there are no dates."""
    return value if dates.nanoseconds is None else round_up(value, resolution) / 1e9
