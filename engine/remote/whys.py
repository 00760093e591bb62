"""Whys: what engine.why says of a run, found out in the process where its strategy may run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, TypeVar

from engine.bars import Bars
from engine.catalog import Entry
from engine.remote import wire
from engine.why import Explanation, ListReasons, Survey, TradeReasons, explain, list_reasons, survey, trade_reasons
from engine.why.answer import read

T = TypeVar("T", Explanation, Survey, TradeReasons, ListReasons)
TURN = 0.2  # s of work between two breaths

_ANSWERS: dict[type[Any], Callable[..., Any]] = {
    Explanation: explain,
    Survey: survey,
    TradeReasons: trade_reasons,
    ListReasons: list_reasons,
}
_NAMES = {kind.__name__: kind for kind in _ANSWERS}


def question(kind: type[Any], **details: Any) -> dict[str, Any]:
    """Return what is asked, fit to travel: an answer of `kind`, and the arguments of the function that gives it."""
    return {"kind": kind.__name__, **details}


def find_out(
    kind: type[T],
    bars: Bars,
    entry: Entry,
    params: Mapping[str, Any],
    settings: Mapping[str, Any],
    indicators: Mapping[str, Any],
    **details: Any,
) -> T:
    """Return an answer of `kind`, found out in this process; `details` are for the function that gives it.

    Raises:
        EngineError: the strategy failed in `init`, or there is no such bar or trade.
    """
    assert entry.strategy is not None  # it was imported here
    file = getattr(sys.modules.get(entry.strategy.__module__), "__file__", None)
    texts = {file: entry.source} if file and entry.source else None
    return _ANSWERS[kind](bars, entry.strategy, params, settings, indicators=indicators, texts=texts, **details)


def answer(job: wire.Job, entry: Entry, breathe: Callable[[], None]) -> bytes:
    """Return the answer to a job's `why` as JSON; `breathe` is called every TURN seconds."""
    assert job.why is not None
    details = dict(job.why)
    kind, breathe = _NAMES[details.pop("kind")], _paced(breathe)
    told = find_out(kind, job.bars, entry, job.params, job.settings, job.indicators, breathe=breathe, **details)
    return json.dumps(told.to_dict()).encode()


def read_answer(kind: type[T], message: bytes) -> T:
    """Return the answer that came from a child.

    Raises:
        Damaged: it is none.
    """
    try:
        return read(kind, _cleaned(json.loads(message)))
    except (ValueError, TypeError, RecursionError) as error:
        raise wire.Damaged(f"not an answer: {error}") from error


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return wire.clean(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    return {wire.clean(name): _cleaned(one) for name, one in value.items()} if isinstance(value, dict) else value


def _paced(breathe: Callable[[], None]) -> Callable[[], None]:
    """Return `breathe`, called no more often than every TURN seconds."""
    due = monotonic() + TURN

    def paced() -> None:
        nonlocal due
        if monotonic() >= due:
            breathe()
            due = monotonic() + TURN

    return paced
