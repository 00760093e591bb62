"""Feeds: one door to all bars, whatever source has them."""

from __future__ import annotations

import difflib
import os
from datetime import date

from engine.bars import Bars
from engine.errors import NoBars
from engine.feeds import files, request, span, synthetic
from engine.feeds.request import Request

_MADE = ("1wk", "1mo")  # intervals that daily bars can be made into


class Feeds:
    """Where bars come from: the user's files, then Yahoo, then the bundled samples; SYNTH is made up."""

    def __init__(
        self, data_dir: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None = None, *, yahoo: bool = True
    ):
        self._own = files.own(data_dir)
        self._samples = files.samples()

    def load(
        self,
        symbol: str,
        interval: str = "1d",
        period: str | None = None,
        start: str | date | None = None,
        end: str | date | None = None,
    ) -> Bars:
        """Return the bars of a period, or from `start` up to `end`; the period counts back from the last bar there is.

        Raises:
            ConfigError: an argument is out of range.
            NoBars, BadBars, FeedUnavailable: no source has the bars, or can be used; `field` names the input to change.
        """
        wanted = request.make(symbol, interval, period, start, end)
        if synthetic.is_synthetic(wanted.symbol):
            return synthetic.make(wanted)
        own = self._from(self._own, wanted)
        if own is not None:
            return span.cut(own, wanted)
        request.check_yahoo_interval(wanted.interval)
        if wanted.period:
            request.check_period(wanted.interval, wanted.period)
        sample = self._from(self._samples, wanted)
        if sample is not None:
            return span.cut(sample, wanted)
        raise NoBars(wanted.symbol, "the bundled samples", self._alternatives(wanted))

    def symbols(self) -> list[str]:
        """Return the symbols that need no internet: the user's, the samples, and SYNTH."""
        own = self._own.symbols()
        return [*own, *(s for s in self._samples.symbols() if s not in own), "SYNTH"]

    def _from(self, folder: files.Folder, wanted: Request) -> Bars | None:
        bars = folder.load(wanted.symbol, wanted.interval)
        if bars is not None or wanted.interval not in _MADE:
            return bars
        days = folder.load(wanted.symbol, "1d")
        return None if days is None else span.resample(days, wanted.interval)

    def _alternatives(self, wanted: Request) -> str:
        known = self.symbols()
        close = difflib.get_close_matches(wanted.symbol, known, n=1, cutoff=0.6)
        return f"Did you mean {close[0]}?" if close else f"Without the internet there are {', '.join(known)}."
