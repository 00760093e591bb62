"""Yahoo: bars through yfinance, asked politely, once, and only while it can be reached."""

from __future__ import annotations

import http.client
import json
import logging
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from engine import gate
from engine.bars import Bars
from engine.errors import BadBars
from engine.feeds import calendar
from engine.feeds.cache import Cache, Damaged, Saved
from engine.feeds.request import Request, back

ADDRESS = "https://query2.finance.yahoo.com"
_PROBE = 2.5  # seconds until Yahoo counts as unreachable
_PAUSES = {"unreachable": 60.0, "down": 120.0, "limited": 60.0}  # seconds before Yahoo is asked again
_LONGEST_PAUSE = 1_800.0
_REFUSALS = {"unknown": 300.0, "empty": 60.0, "bad": 60.0}  # seconds that an answer without bars is believed
_OFFLINE = 300.0  # seconds before Yahoo is asked again when nothing at all answered
_ABOUT = ("currentTradingPeriod", "instrumentType", "exchangeTimezoneName")
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")  # yfinance would look these up elsewhere
_REACHED = 300.0  # seconds that a successful probe is believed
_setting_up = threading.Lock()
log = logging.getLogger(__name__)
T = TypeVar("T")


class Failure(Exception):
    """Why Yahoo gave no bars; `reason` is a clause that a user may read.

    `kind`: "unreachable", "limited" and "down" pass, and say nothing of the symbol; "unknown", "empty" and "bad" do.
    """

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind = kind
        self.reason = reason

    @property
    def passes(self) -> bool:
        """Whether another time, or saved bars, would help."""
        return self.kind in _PAUSES


@dataclass(frozen=True, slots=True)
class Answer:
    """What yfinance returned, and Yahoo's words about the symbol."""

    frame: pd.DataFrame
    about: dict[str, Any]


class Yahoo:
    """Yahoo's bars behind a cache. `address` may name another server that answers as Yahoo does."""

    def __init__(
        self,
        cache: Cache,
        address: str = ADDRESS,
        patience: float = 20.0,
        clock: Callable[[], float] = time.time,
        asked: Callable[[str], object] | None = None,
    ):
        self._cache = cache
        self._asked = asked or (lambda _: None)
        self._address = address.rstrip("/")
        self._patience = patience
        self._clock = clock
        self._reached_until = 0.0
        self._session: Any = None

    def load(self, request: Request) -> Bars:
        """Return bars, fetched now or saved while still fresh; a request that many make at once is fetched once.

        Raises:
            Failure: Yahoo gave none.
        """
        if _ISIN.fullmatch(request.symbol):
            raise Failure("unknown", "Yahoo takes symbols, not ISIN numbers")
        damaged = False
        try:
            saved = self._cache.load(request)
        except Damaged:
            saved, damaged = None, True
        if saved is not None and self._clock() < saved.fresh_until:
            return saved.bars
        self._refuse_early(request)
        with self._cache.locks.held(self._cache.key(request), self._patience + _PROBE) as held:
            if not held:
                raise Failure("unreachable", "Yahoo takes too long to answer")
            try:
                again = self._cache.load(request)  # somebody may have fetched it while this one waited
            except Damaged:
                again, damaged = None, True
            if again is not None and self._clock() < again.fresh_until:
                return again.bars
            self._refuse_early(request)
            bars = self._fetch(request)
        return bars.told("The saved bars were damaged and have been fetched again.") if damaged else bars

    def saved(self, request: Request) -> tuple[Bars, str] | None:
        """Return bars that were fetched before, however old, and when that was; None if there are none."""
        found = self._cache.covering(request)
        if found is None:
            return None
        return found.bars, f"{datetime.fromtimestamp(found.fetched, UTC):%Y-%m-%d %H:%M} UTC"

    def _refuse_early(self, request: Request) -> None:
        """Raise the failure that is still believed, without asking anybody."""
        now = self._clock()
        refusal = self._cache.recall(self._cache.key(request))
        if refusal is not None and now < refusal["until"]:
            raise Failure(refusal["kind"], refusal["reason"])
        pause = self._cache.recall("yahoo")
        if pause is None or now >= pause["until"]:
            return
        if pause["kind"] == "limited":
            minutes = int(np.ceil((pause["until"] - now) / 60))
            again = f"try again in {minutes} minute{'s' if minutes > 1 else ''}"
            raise Failure("limited", f"Yahoo limits how often it is asked, {again}")
        raise Failure(pause["kind"], pause["reason"])

    def _fetch(self, request: Request) -> Bars:
        self._reach(request)
        try:
            answer = _within(self._patience, lambda: self._ask(request))
            bars, fresh_until = _bars(answer, request, self._clock())
        except Failure as failure:
            self._asked(failure.kind)
            self._remember(request, failure)
            self._refuse_early(request)  # in the words that the next one will read, with the minutes to wait
            raise
        self._asked("ok")
        self._cache.forget("yahoo")
        self._cache.forget(self._cache.key(request))
        self._cache.save(request, Saved(bars, self._clock(), fresh_until))
        return bars

    def _remember(self, request: Request, failure: Failure, pause: float | None = None) -> None:
        now = self._clock()
        log.info("%s %s: %s", request.symbol, request.interval, failure.reason)
        if not failure.passes:
            until = now + _REFUSALS[failure.kind]
            note = {"until": until, "kind": failure.kind, "reason": failure.reason}
            self._cache.remember(self._cache.key(request), note)
            return
        before = self._cache.recall("yahoo") or {}
        times = before.get("times", 0) + 1 if before.get("kind") == failure.kind == "limited" else 1
        pause = pause or min(_PAUSES[failure.kind] * 2 ** (times - 1), _LONGEST_PAUSE)
        note = {"until": now + pause, "kind": failure.kind, "reason": failure.reason, "times": times}
        self._cache.remember("yahoo", note)

    def _reach(self, request: Request) -> None:
        """Ask for any answer at all first: yfinance alone would wait half a minute where there is no internet."""
        with self._cache.locks.held("probe", 2 * _PROBE):
            if time.monotonic() < self._reached_until:
                return
            pause = self._cache.recall("yahoo")
            if pause is not None and self._clock() < pause["until"]:  # found out while this one waited
                raise Failure(pause["kind"], pause["reason"])
            try:
                _within(_PROBE, lambda: _probe(self._address))
            except Failure as failure:
                self._remember(request, failure, _OFFLINE)
                raise
            self._reached_until = time.monotonic() + _REACHED

    def _ask(self, request: Request) -> Answer:
        import yfinance as yf
        from yfinance import exceptions
        from yfinance.data import YfData

        with _setting_up:
            _set_up(yf, str(self._cache.folder / "yfinance"))
            if self._session is None:
                self._session = _session(self._address)
        # yfinance keeps answers to past ranges in memory for good, error pages included; the cache here knows their age
        YfData.cache_get.cache_clear()
        try:
            ticker = yf.Ticker(request.symbol, session=self._session)
            frame = ticker.history(**_arguments(request), interval=request.interval, actions=False, auto_adjust=True)
            about = ticker.history_metadata or {}  # lazy: some of its keys would be one more request
            return Answer(frame, {name: about[name] for name in _ABOUT if name in about})
        except exceptions.YFRateLimitError as error:
            raise Failure("limited", "Yahoo limits how often it is asked") from error
        except exceptions.YFTzMissingError as error:
            raise Failure("unknown", "Yahoo does not know this symbol") from error
        except exceptions.YFPricesMissingError as error:
            raise _missing(error.yahoo_reason) from error
        except exceptions.YFDataException as error:
            raise Failure("down", "Yahoo is down") from error
        except json.JSONDecodeError as error:  # a page for people: a polite rate limit, unless it says otherwise
            if "will be right back" in str(error.doc).lower():
                raise Failure("down", "Yahoo is down") from error
            raise Failure("limited", "Yahoo limits how often it is asked") from error
        except OSError as error:  # curl's errors are
            raise _refused(getattr(getattr(error, "response", None), "status_code", None)) from error
        except ValueError as error:
            raise Failure("unknown", "Yahoo does not know this symbol") from error
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            log.warning("yfinance failed on %s", request.symbol, exc_info=True)
            raise Failure("bad", "Yahoo's answer for this symbol makes no sense") from error
        finally:
            _close_databases()


def _arguments(request: Request) -> dict[str, Any]:
    if request.start is not None or request.end is None:
        return {"period": request.period} if request.start is None else {"start": request.start, "end": request.end}
    if request.period == "max":
        return {"period": "max", "end": request.end}
    assert request.period
    return {"start": back(pd.Timestamp(request.end), request.period).date(), "end": request.end}


def _missing(reason: str | None) -> Failure:
    """Read Yahoo's reason: either it has never heard of the symbol, or there is nothing in the range."""
    if reason is None:
        return Failure("empty", "Yahoo has no bars in this range")
    text = re.sub(r"\b\d{9,11}\b", lambda m: f"{datetime.fromtimestamp(int(m[0]), UTC):%Y-%m-%d}", reason).strip(" .")
    if re.search(r"delisted|no data found, symbol|not found", text, re.IGNORECASE):
        return Failure("unknown", "Yahoo does not know this symbol")
    return Failure("empty", f"Yahoo has no bars: {text[:200]}")


def _refused(status: int | None) -> Failure:
    """Return what an HTTP status says, None for no answer; yfinance raises it where it looks for an unknown symbol."""
    if status == 404:
        return Failure("unknown", "Yahoo does not know this symbol")
    if status in (401, 403, 429):
        return Failure("limited", "Yahoo limits how often it is asked")
    if status:  # curl says 0 when no answer came
        return Failure("down", f"Yahoo is down (HTTP {status})")
    return Failure("unreachable", "Yahoo could not be reached")


def _bars(answer: Answer, request: Request, now: float) -> tuple[Bars, float]:
    """Return the finished bars of an answer, and until when they are fresh."""
    frame = answer.frame
    if not isinstance(frame.index, pd.DatetimeIndex) or frame.empty:
        raise Failure("empty", "Yahoo has no bars in this range")
    notes = []
    if calendar.is_unfinished(frame.index[-1], request.interval, answer.about, now):
        frame = frame.iloc[:-1]
        notes.append("The last bar was not finished yet: left out.")
    frame, dropped = _from_first_whole(frame)
    notes.extend(dropped)
    try:
        repairs = gate.REPAIRS | {gate.RANGE}
        bars = Bars.from_frame(frame, symbol=request.symbol, interval=request.interval, source="Yahoo", repair=repairs)
    except BadBars as error:
        if len(frame) < 2:
            found = "one finished bar" if len(frame) else "no finished bar"
            raise Failure("empty", f"Yahoo has {found} in this range, and two are needed") from error
        raise Failure("bad", f"Yahoo's bars are faulty: {error.message.rstrip('.')}") from error
    return bars.told(*notes, _index=None), calendar.fresh_until(request.interval, answer.about, now)


def _from_first_whole(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out the early years of an index or currency for which Yahoo has closes only, and zeros for the rest."""
    prices = frame[["Open", "High", "Low", "Close"]]
    frame = frame.assign(**prices.mask(prices == 0))
    missing = frame[prices.columns].isna().any(axis=1).to_numpy()
    rows = np.flatnonzero(missing)
    if len(rows) <= max(3, len(frame) // 20) or rows[-1] + 2 >= len(frame):
        return frame, []
    first = frame.index[rows[-1] + 1]
    return frame.iloc[rows[-1] + 1 :], [f"Bars before {first:%Y-%m-%d} have no open, high or low: left out."]


def _probe(address: str) -> None:
    """Return if anything answers; what it says does not matter."""
    ask = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})  # noqa: S310 (ours)
    try:
        urllib.request.urlopen(ask, timeout=_PROBE).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLCertVerificationError):  # curl brings its own certificates
            raise Failure("unreachable", "Yahoo could not be reached") from error
    except (OSError, http.client.HTTPException) as error:
        raise Failure("unreachable", "Yahoo could not be reached") from error


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise Failure after `seconds`: name servers and TLS know no time-out of ours.

    The thread is left behind then, and does not hold up the end of the process.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="yahoo", daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if errors:
        raise errors[0]
    raise Failure("unreachable", "Yahoo could not be reached")


def _set_up(yf: Any, folder: str) -> None:
    """Tell yfinance to raise its errors, to retry, and to keep its databases with us (for the whole process)."""
    from yfinance import cache

    # Its use of pandas warns with every request. A filter of one module is safer in threads than catch_warnings.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"yfinance\b")
    yf.config.debug.hide_exceptions = False
    yf.config.network.retries = 2
    if cache._TzDBManager.get_location() != folder and cache._TzDBManager._db is None:
        yf.set_tz_cache_location(folder)


def _close_databases() -> None:
    """Close this thread's connections to yfinance's databases: each thread has its own, and nobody else would."""
    from yfinance import cache

    for manager in (cache._TzDBManager, cache._CookieDBManager, cache._ISINDBManager):
        manager.close_db()


def _session(address: str) -> Any:
    """Return the session for yfinance; for another address, one that takes all of Yahoo's hosts there."""
    from yfinance import _http

    session = _http.new_session()
    if address == ADDRESS:
        return session

    original = session.request

    def request(method: Any, url: str, *arguments: Any, **options: Any) -> Any:
        return original(method, re.sub(r"^https://[a-z0-9.]*yahoo\.com", address, url), *arguments, **options)

    session.request = request
    return session
