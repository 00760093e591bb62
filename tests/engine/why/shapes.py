"""Shapes: strategies whose next() is written in many ways, as text, and how to look at one of their bars."""

from __future__ import annotations

import textwrap
from typing import Any

from engine import why
from engine.bars import Bars
from engine.catalog import Catalog
from engine.strategy import Strategy
from engine.why.answer import Condition, Explanation
from tests import build

HEAD = """\
from engine import Strategy
from engine.lib import SignalStrategy, TrailingStrategy, cross, crossover
"""
# Bar:       1   2   3   4   5   6   7   8
CLOSES = [10, 12, 11, 14, 13, 15, 12, 16]


def strategy(body: str, *, helpers: str = "", name: str = "Shape") -> tuple[type[Strategy], str]:
    """Return the strategy whose class body is `body` (from line 5 on), and its file's text.

    `helpers` stand before the class.
    """
    text = (
        f"{HEAD}{textwrap.dedent(helpers)}\nclass {name}(Strategy):\n"
        f"{textwrap.indent(textwrap.dedent(body).lstrip(), '    ')}\n"
    )
    return from_text(text, name), text


def from_text(text: str, name: str) -> type[Strategy]:
    """Return the class `name` of a strategy file."""
    entry = Catalog.from_source(text, f"shape.{name}", "shape.py")
    assert entry.strategy is not None
    return entry.strategy


def look(body: str, bar: int, *, helpers: str = "", closes: list[float] | Bars = CLOSES, **options: Any) -> Explanation:
    """Return the answer for bar `bar`, numbered from 1."""
    cls, text = strategy(body, helpers=helpers)
    bars = closes if isinstance(closes, Bars) else build.flat(closes)
    return why.explain(bars, cls, bar=bar - 1, texts={"shape.py": text}, **options)


def told(answer: Explanation) -> list[tuple[str, bool | None, str]]:
    """Return each condition's text, outcome and detail."""
    return [(c.text, c.outcome, c.detail) for c in answer.conditions]


def one(answer: Explanation, text: str) -> Condition:
    """Return the only condition with that text."""
    (found,) = [c for c in answer.conditions if c.text == text]
    return found


def ran(answer: Explanation) -> list[str]:
    """Return the source lines that ran, without their indentation."""
    return [line.text.strip() for source in answer.sources for line in source.lines if line.ran]
