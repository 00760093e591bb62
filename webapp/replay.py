"""Replay: whether a stored run can be played as it was recorded, and whether it then came to the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.digest import SCHEME
from webapp.filters import money, signed_money

if TYPE_CHECKING:
    from webapp import Services
    from webapp.store import Run

_WHY = (
    "A strategy that uses chance, the clock or a file can do that, and so can another version of Tapedeck or of a"
    " library."
)


def file_state(services: Services, run: Run) -> str:
    """Return what became of the strategy's file since the run was made: "same", "changed" or "gone"."""
    entry = services.catalog.unread(run.config.strategy)
    if entry is None:
        return "gone"
    return "same" if entry.digest == run.strategy_digest else "changed"


def difference(recorded: Mapping[str, Any] | None, found: Mapping[str, Any]) -> str | None:
    """Return in words how a replay differs from what was recorded, None when it does not.

    Args:
        recorded, found: results as they are stored. Figures that only one of them has, and digests that were made
            differently, are not compared.
    """
    if recorded is None:
        return None
    then, now = recorded.get("metrics", {}), found["metrics"]
    other = [name for name in now if name in then and then[name] != now[name]]
    digest = str(recorded.get("tape", ""))
    events = digest.startswith(SCHEME) and digest != found["tape"]
    if not other and not events:
        return None
    return f"This replay differs from what was recorded: {_words(then, now, other)}. {_WHY}"


def _words(then: Mapping[str, Any], now: Mapping[str, Any], other: list[str]) -> str:
    if "total_trades" in other:
        return f"{now['total_trades']:,} trades, and {then['total_trades']:,} then"
    if "pnl" in other:
        return f"it made {signed_money(now['pnl'])}, and {signed_money(then['pnl'])} then"
    if "equity" in other:
        return f"it ended with {money(now['equity'])}, and {money(then['equity'])} then"
    if other:
        return f"{', '.join(name.replace('_', ' ') for name in other[:5])} came out otherwise"
    return "it came to the same, by other orders or trades"
