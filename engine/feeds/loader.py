"""Feeds: one door to all bars, whatever source has them."""

from __future__ import annotations

import difflib
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from engine.bars import Bars
from engine.errors import BadBars, ConfigError, EngineError, FeedUnavailable, NoBars
from engine.feeds import files, request, span, synthetic
from engine.feeds.cache import Cache
from engine.feeds.remarks import remark
from engine.feeds.request import REACH, Request
from engine.feeds.yahoo import ADDRESS, Failure, Yahoo

_MADE = ("1wk", "1mo")  # intervals that daily bars can be made into

_SPELLING = "Write it as Yahoo does: AAPL, ^GSPC, EURUSD=X, BTC-USD, SAP.DE."


class Feeds:
    """Where bars come from: the user's files, then Yahoo, then the bundled samples; SYNTH is made up.

    Args:
        data_dir: the user's files, SYMBOL-interval.csv, .csv.gz or .parquet; the folder need not exist.
        cache_dir: where Yahoo's bars are kept, with what is known of its health; share it between processes. Without
            one they are kept in a temporary folder.
        yahoo: False never asks Yahoo.
        yahoo_url: another server that answers as Yahoo does.
        yahoo_patience: seconds after which an answer is given up.
        clock: the time of day in epoch seconds, for the age of what is kept.
        asked: told each time that Yahoo was asked, with "ok" or the kind of its refusal.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str] | None = None,
        *,
        yahoo: bool = True,
        yahoo_url: str | None = None,
        yahoo_patience: float = 20.0,
        clock: Callable[[], float] = time.time,
        asked: Callable[[str], object] | None = None,
    ):
        self._own = files.own(data_dir)
        self._samples = files.samples()
        self._clock = clock
        self._yahoo = None
        if yahoo:
            cache = Cache(cache_dir or tempfile.mkdtemp(prefix="tapedeck-"))
            self._yahoo = Yahoo(cache, yahoo_url or ADDRESS, yahoo_patience, clock, asked)

    def load(
        self,
        symbol: str,
        interval: str = "1d",
        period: str | None = None,
        start: str | date | None = None,
        end: str | date | None = None,
    ) -> Bars:
        """Return the bars of a period, or from `start` up to `end`; the period counts back from the last bar there is.

        Dates win over a period. `source` of the bars says where they are from, `notes` what was done to them.

        Raises:
            ConfigError: an argument is out of range.
            NoBars, BadBars, FeedUnavailable: no source has the bars, or can be used; `field` names the input to change.
        """
        wanted = request.make(symbol, interval, period, start, end)
        if synthetic.is_synthetic(wanted.symbol):
            return synthetic.make(wanted)
        own = _from(self._own, wanted)
        if own is not None:
            return remark(self._about_time(span.cut(own, wanted)))
        self._check_reach(wanted)
        failure = None
        if self._yahoo is not None:
            try:
                return remark(self._yahoo.load(wanted))
            except Failure as error:
                failure = error
            saved = self._yahoo.saved(wanted)
            if saved is not None:
                bars, when = saved
                return remark(bars).told(
                    f"{failure.reason}: these bars were saved on {when}.", source=f"Yahoo, saved {when}"
                )
        sample = self._sample(wanted, failure)
        if sample is not None:
            return sample
        raise self._refusal(wanted, failure) from failure

    def count(
        self,
        symbol: str,
        interval: str = "1d",
        period: str | None = None,
        start: str | date | None = None,
        end: str | date | None = None,
    ) -> int | None:
        """Return how many bars `load` would make up; None for bars that are not, of which it must be asked.

        Raises:
            ConfigError, NoBars: as `load` does.
        """
        wanted = request.make(symbol, interval, period, start, end)
        return synthetic.count(wanted) if synthetic.is_synthetic(wanted.symbol) else None

    def symbols(self) -> list[str]:
        """Return the symbols that need no internet: the user's, the samples, and SYNTH."""
        own = self._own.symbols()
        return [*own, *(s for s in self._samples.symbols() if s not in own), "SYNTH"]

    def _sample(self, wanted: Request, failure: Failure | None) -> Bars | None:
        """Return the part of a bundled sample, labelled with why it is used; None when there is none to use."""
        bars = _from(self._samples, wanted)
        if bars is None:
            return None
        if failure is not None:
            bars = bars.told(source=f"{bars.source} ({failure.reason})")
        try:
            return span.cut(bars, wanted)
        except NoBars:
            if failure is not None and not failure.passes:
                return None  # Yahoo's own answer says more
            raise

    def _check_reach(self, wanted: Request) -> None:
        """Raise ConfigError for what Yahoo never has, though it may not be there to say so."""
        request.check_yahoo_interval(wanted.interval)
        if wanted.period:
            request.check_period(wanted.interval, wanted.period)
        reach = REACH.get(wanted.interval)
        if wanted.start is None or reach is None:
            return
        earliest = datetime.fromtimestamp(self._clock(), UTC).date() - timedelta(days=reach)
        if wanted.start < earliest:
            raise ConfigError(
                f"Bars of {wanted.interval} go back {reach} days at most. Start on {earliest} or later, "
                "or choose a longer interval.",
                field="start_date",
            )

    def _refusal(self, wanted: Request, failure: Failure | None) -> EngineError:
        """Return the error for a symbol that no source has, with the way out."""
        if failure is not None and failure.kind == "bad":
            return BadBars(f"{failure.reason}. Choose other dates or another interval.", field="symbol")
        asked = f"Yahoo ({wanted.wish}, {wanted.interval})"
        if failure is not None and failure.kind == "empty":
            field = "start_date" if wanted.start else "period"
            return NoBars(
                wanted.symbol, asked, f"{failure.reason}. Choose other dates or another interval.", field=field
            )
        days = "1d" in self._samples.symbols().get(wanted.symbol, [])
        if days and wanted.interval != "1d":
            hint = f"The bundled sample has days only: choose 1d, {' or '.join(_MADE)}."
            field = "interval"
        else:
            hint, field = self._alternatives(wanted), "symbol"
        if failure is not None and failure.passes:
            what = (
                f"{failure.reason}, and there are no saved bars or sample of {wanted.symbol!r} for {wanted.interval}."
            )
            return FeedUnavailable(f"{what} {hint}", field=field)
        if failure is None:
            return NoBars(wanted.symbol, "the files and samples here", hint, field=field)
        return NoBars(wanted.symbol, asked, self._resembling(wanted) or f"{failure.reason}. {_SPELLING}", field=field)

    def _alternatives(self, wanted: Request) -> str:
        own = f"or put {wanted.symbol}-{wanted.interval}.csv into the data folder"
        return self._resembling(wanted) or f"Choose one of {', '.join(self.symbols())}, {own}."

    def _resembling(self, wanted: Request) -> str:
        close = difflib.get_close_matches(wanted.symbol, self.symbols(), n=1, cutoff=0.7)
        return f"Did you mean {close[0]}?" if close and close[0] != wanted.symbol else ""

    def _about_time(self, bars: Bars) -> Bars:
        """Say so when a file's bars lie in the future."""
        ahead = int((bars.time > self._clock() + 86_400).sum()) if bars.dated else 0
        return bars.told(f"{ahead:,} of the bars lie in the future.") if ahead else bars


def _from(folder: files.Folder, wanted: Request) -> Bars | None:
    """Return all bars of a file; weeks and months are made from its days when they have no file of their own."""
    bars = folder.load(wanted.symbol, wanted.interval)
    if bars is not None or wanted.interval not in _MADE:
        return bars
    days = folder.load(wanted.symbol, "1d")
    return None if days is None else span.resample(days, wanted.interval)
