"""Tell: conditions in words: the values on both sides, the outcome, and by how much it missed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from engine import lib
from engine.why import words
from engine.why.answer import Condition
from engine.why.probes import Seen, is_crossing
from engine.why.rewrite import Site

_OPPOSITE = ("<", "<=", ">", ">=")


def conditions(seen: list[Seen], sites_of: dict[int, list[Site]]) -> list[Condition]:
    """Return what was seen in the order of the source: a condition, then its parts, those not looked at included.

    `sites_of` has all sites of the file that a site (by id) is in.
    """
    parts: dict[int, list[Seen]] = {}
    for one in seen:
        if one.parent is not None:
            parts.setdefault(id(one.parent), []).append(one)
    told: list[Condition] = []
    known = set(map(id, seen))
    for one in seen:
        if one.parent is None or id(one.parent) not in known:
            family = _with_parts(one, parts, sites_of[id(one.site)])
            told += [replace(c, depth=c.depth - one.depth) for c in family] if one.depth else family
    return told


def _with_parts(seen: Seen, parts: dict[int, list[Seen]], sites: list[Site]) -> list[Condition]:
    mine = parts.get(id(seen), [])
    if seen.site.kind in ("all", "any"):
        _infer(seen, mine)
    elif seen.site.kind == "not" and seen.outcome is not None:
        for part in mine:
            part.outcome = not seen.outcome
    told = [condition(seen)]
    for number in seen.site.parts:
        found = [part for part in mine if part.site.number == number]
        for part in found:
            told += _with_parts(part, parts, sites)
        if not found:
            told.append(_not_looked_at(sites[number], seen.depth + 1))
    guards = [part for part in mine if part.site.number not in seen.site.parts]
    for part in guards:
        told += _with_parts(part, parts, sites)
    return told


def _infer(seen: Seen, mine: list[Seen]) -> None:
    """Say what the operands of an `and` or `or` were whose value is used: that another came next tells."""
    passes = seen.site.kind == "all"
    for place, part in enumerate(mine):
        if part.outcome is None and (place < len(mine) - 1 or len(mine) < len(seen.site.parts)):
            part.outcome = passes if place < len(mine) - 1 else not passes


def condition(seen: Seen) -> Condition:
    """Return one condition."""
    site = seen.site
    detail, missed = _detail(seen)
    return Condition(
        site.text, site.line, site.function, site.role, site.kind, seen.depth, seen.outcome, detail, missed,
        orders=site.orders, site=site.number,
    )  # fmt: skip


def telling(because: list[Condition]) -> list[Condition]:
    """Return, of conditions that led somewhere, those that say most: what held, numbers before states.

    Where nothing had to hold (an `else`), it is the last that did not.
    """
    held: list[Condition] = []
    at = 0
    while at < len(because):
        stop = at + 1
        while stop < len(because) and because[stop].depth > because[at].depth:
            stop += 1
        held += _held_in(because[at], because[at + 1 : stop])
        at = stop
    numbers = [one for one in held if one.kind in ("compare", "call")]
    return numbers or held or [one for one in because if one.depth == 0][-1:]


def _held_in(root: Condition, parts: list[Condition]) -> list[Condition]:
    """Return what of a condition held: itself, or for an `and`, `or` or match its parts that did."""
    if not root.outcome and root.kind != "match":
        return []
    if root.kind == "case":
        return [replace(root, text=f"case {root.text}", depth=0)]
    if root.kind == "not":  # `not self.position`: the part has the value
        detail = parts[0].detail if parts else root.detail
        return [replace(root, detail=detail.partition(", missed by")[0].partition(": equal")[0], depth=0)]
    if root.kind not in ("all", "any", "match"):
        return [replace(root, depth=0)]
    inner = [place for place, part in enumerate(parts) if part.depth == root.depth + 1]
    return [
        one
        for start, stop in zip(inner, [*inner[1:], len(parts)], strict=True)
        for one in _held_in(parts[start], parts[start + 1 : stop])
    ]


def _not_looked_at(site: Site, depth: int) -> Condition:
    return Condition(
        site.text, site.line, site.function, site.role, site.kind, depth, None, "not looked at", None, False,
        site.orders, site.number,
    )  # fmt: skip


def _detail(seen: Seen) -> tuple[str, float | None]:
    match seen.site.kind:
        case "compare":
            return _compared(seen)
        case "call" if is_crossing(seen.function, seen.site):
            return _crossed(seen)
        case "call":
            return (f"gave {seen.result}" if seen.result else "did not come back"), None
        case "value":
            return (f"is {seen.result}" if seen.result else "could not be read"), None
        case "match":
            return f"is {seen.values.get(0, '?')}", None
        case "case":
            return ("not looked at" if seen.outcome is None else f"against {seen.values.get(0, '?')}"), None
    return "", None


def _compared(seen: Seen) -> tuple[str, float | None]:
    site = seen.site
    text = operand(seen, 0)
    for place, operator in enumerate(site.operators):
        met = place + 1 in seen.values or place + 1 in site.constants
        reached = _passed_before(seen, place)
        text += f" {operator} {operand(seen, place + 1) if met and reached else '…'}"
    if seen.outcome is None:
        return text, None
    gap = margin(seen)
    if gap is None:
        unknown = [n for n in _numbers(seen).values() if n is not None and math.isnan(n)]
        return (
            f"{text}{', and nothing compares with what is not a number' if unknown and not seen.outcome else ''}",
            None,
        )
    if seen.outcome:
        return f"{text}, by {words.figure(gap)}" if gap else text, None
    return f"{text}, missed by {words.figure(-gap)}" if gap else f"{text}: equal, missed by a hair", abs(gap)


def _passed_before(seen: Seen, place: int) -> bool:
    """Say whether no link of a chain before `place` is known to have failed."""
    known = _numbers(seen)
    return all(_holds(seen.site.operators[i], known.get(i), known.get(i + 1)) is not False for i in range(place))


def margin(seen: Seen) -> float | None:
    """Return by how much a comparison of numbers held (0 or more) or failed (below 0); None when that means nothing."""
    numbers, gaps = _numbers(seen), []
    for place, operator in enumerate(seen.site.operators):
        gap = gap_of(operator, numbers.get(place), numbers.get(place + 1))
        if gap is None:
            return None
        gaps.append(gap)
        if not _holds(operator, numbers[place], numbers[place + 1]):
            return gap
    return min(gaps, key=abs)


def gap_of(operator: str, left: float | None, right: float | None) -> float | None:
    """Return how far a comparison is on the right side (above 0) or on the wrong one (below 0)."""
    if left is None or right is None or not (math.isfinite(left) and math.isfinite(right)):
        return None
    if operator in ("<", "<="):
        return right - left
    if operator in (">", ">="):
        return left - right
    if operator in ("==", "!="):
        same = left == right
        return 0.0 if same else abs(left - right) * (1 if operator == "!=" else -1)
    return None


def _holds(operator: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    return {
        "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right,
        "==": left == right, "!=": left != right,
    }.get(operator)  # fmt: skip


def _numbers(seen: Seen) -> dict[int, float | None]:
    known = {place: words.number(value) for place, value in seen.site.constants.items()}
    return known | seen.numbers


def operand(seen: Seen, place: int) -> str:
    """Return the value of an operand."""
    if place in seen.values:
        return seen.values[place]
    return words.show(seen.site.constants[place]) if place in seen.site.constants else "?"


def _crossed(seen: Seen) -> tuple[str, float | None]:
    now, before = _numbers(seen), seen.before | {p: words.number(v) for p, v in seen.site.constants.items()}
    a, b, a0, b0 = now.get(0), now.get(1), before.get(0), before.get(1)
    if a is None or b is None or a0 is None or b0 is None:
        return f"gave {seen.result}, of {operand(seen, 0)} and {operand(seen, 1)}", None
    fig = words.figure
    text = f"{fig(a)} / {fig(b)} now, {fig(a0)} / {fig(b0)} before"
    if seen.outcome:
        return text, None
    either = seen.function is lib.cross or getattr(seen.function, "__name__", "") == "cross"
    gap = crossing_gap(a, b, a0, b0, either=either)
    if gap is not None:
        return f"{text}, missed by {fig(gap)}" if gap else f"{text}: touching is not crossing", gap
    if not either and a0 > b0 and a > b:
        return f"{text}: it was above already", None
    return f"{text}: no cross", None


def crossing_gap(a: float, b: float, a0: float, b0: float, *, either: bool = False) -> float | None:
    """Return how far `a` is from having just risen above `b` (or `either` way); None when it was not on the way."""
    if not all(map(math.isfinite, (a, b, a0, b0))):
        return None
    if a0 < b0 and a <= b:
        return b - a
    if either and a0 > b0 and a >= b:
        return a - b
    return None
