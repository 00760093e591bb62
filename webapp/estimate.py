"""Estimate: what will happen on Run, said before anything is fetched."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import BacktestConfig
from engine.errors import DataError
from engine.feeds.request import seconds

if TYPE_CHECKING:
    from webapp import Services

_BARS_A_SECOND = 20  # at 1x
_BIG_FILE = 5_000_000  # bytes; reading a bigger one takes too long for an answer while someone types
_DAYS = {"d": 1.0, "wk": 7.0, "mo": 365.25 / 12, "y": 365.25}
_SESSION = 390 * 60  # seconds of trading on a day of an American exchange
_OPEN_DAYS = 252 / 365.25


def estimate(config: BacktestConfig, services: Services) -> str:
    """Return a line such as "122 bars, about 6 s at 1x"; empty when nothing can be said.

    It looks at files on this machine only. The count is exact for those; for what Yahoo will send it is a guess.

    Raises:
        DataError: the file that the run would use cannot be used.
    """
    exact, bars = _count(config, services)
    if bars is None:
        return ""
    amount = f"{bars:,} {'bar' if bars == 1 else 'bars'}"
    if config.speed == "instant":
        return f"{amount if exact else f'About {amount}'}, as fast as the machine can"
    speed = float(config.speed)
    lasts = duration(bars / _BARS_A_SECOND / speed)
    return f"{amount if exact else f'About {amount}'}, about {lasts} at {speed:g}x"


def duration(seconds: float) -> str:
    """Write a length of time roughly: 6 s, 4 min, 2 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def _count(config: BacktestConfig, services: Services) -> tuple[bool, int | None]:
    wanted = (config.symbol, config.interval, config.period, config.start_date, config.end_date)
    if (made_up := services.offline.count(*wanted)) is not None:
        return True, made_up
    if not _big_file(services.data_dir, config):
        try:
            bars = services.offline.load(*wanted)
            return not bars.source.startswith("bundled sample") or not services.yahoo, len(bars)
        except DataError:
            if not services.yahoo:
                raise
    return False, _guess(config)


def _big_file(folder: Path, config: BacktestConfig) -> bool:
    stem = f"{config.symbol}-{config.interval}".upper()
    try:
        return any(
            path.name.upper().startswith(f"{stem}.") and path.stat().st_size > _BIG_FILE for path in folder.iterdir()
        )
    except OSError:
        return False  # no such folder yet


def _guess(config: BacktestConfig) -> int | None:
    days = _days(config)
    if days is None:
        return None
    unit = config.interval.lstrip("0123456789")
    if unit in ("wk", "mo"):
        return max(1, round(days * 86_400 / seconds(config.interval)))
    always = config.symbol.endswith("-USD")  # a coin
    sessions = days if always else days * _OPEN_DAYS
    if config.period and config.period.endswith("d") and not always:
        sessions = days  # a period of days counts days of trading
    length = 86_400 if always or config.symbol.endswith("=X") else _SESSION
    return max(1, round(sessions * (1 if unit == "d" else length / seconds(config.interval))))


def _days(config: BacktestConfig) -> float | None:
    if config.start_date:
        end = date.fromisoformat(config.end_date) if config.end_date else date.today() + timedelta(days=1)
        return max((min(end, date.today()) - date.fromisoformat(config.start_date)).days, 1)
    if config.period in (None, "max"):
        return None
    if config.period == "ytd":
        return date.today().timetuple().tm_yday
    number = config.period.rstrip("dwkmoy")
    return int(number) * _DAYS[config.period.removeprefix(number)]
