"""Answer: what is told about a bar, as plain data that can travel and be shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
TEXT = 2_000  # characters of a text that came from elsewhere
LONGEST = 20_000  # items of a list that did


@dataclass(slots=True)
class Line:
    """A line of source; `ran` counts its statement's runs, None where no statement begins."""

    number: int
    text: str
    ran: int | None = None


@dataclass(slots=True)
class Source:
    """A function that ran, with its lines."""

    name: str
    file: str
    lines: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class Condition:
    """A condition that was evaluated, or, `outcome` being None, was not looked at or has no truth.

    `detail` has the values of both sides; `missed` is the distance by which it failed. `depth` is above 0 for a part of
    the condition before it. `orders`: what it guards places an order. `site` tells the places in the source apart.
    """

    text: str
    line: int
    function: str
    role: str
    kind: str
    depth: int
    outcome: bool | None
    detail: str
    missed: float | None = None
    looked_at: bool = True
    orders: bool = False
    site: int = 0


@dataclass(slots=True)
class Placed:
    """An order that the strategy placed at the bar and what became of it; bars are numbered from 1.

    `state` is "filled", "rejected", "cancelled", "expired" or "waiting". `because` are the conditions that led there.
    """

    order: int
    words: str
    line: int | None
    state: str
    fate: str
    bar: int | None = None
    because: list[Condition] = field(default_factory=list)


@dataclass(slots=True)
class Value:
    """A column of the run at the bar, as text."""

    name: str
    text: str


@dataclass(slots=True)
class Explanation:
    """What the strategy saw and decided at one bar, numbered from 1.

    `called`: next() ran. `verdict` is the answer in a sentence, `notes` say what else stood in the way. `missing` says
    why there is no source. `left_out` conditions were too many to list.
    """

    bar: int
    total_bars: int
    time: int
    called: bool = False
    verdict: str = ""
    notes: list[str] = field(default_factory=list)
    missing: str = ""
    error: str = ""
    sources: list[Source] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    left_out: int = 0
    placed: list[Placed] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as data for JSON."""
        return asdict(self)


@dataclass(slots=True)
class End:
    """One end of a trade: what filled, and for an order of the strategy's, why it was placed. Bars from 1.

    `how` is what made it end there, in a few words; `telling` are those of `because` that say most.
    """

    bar: int
    words: str
    how: str = ""
    placed_bar: int | None = None
    line: int | None = None
    because: list[Condition] = field(default_factory=list)
    telling: list[Condition] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    filled_values: list[Value] = field(default_factory=list)


@dataclass(slots=True)
class TradeReasons:
    """Why a trade was entered, and why it was left, None while it is open."""

    trade: int
    side: str
    entry: End
    exit: End | None = None
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as data for JSON."""
        return asdict(self)


@dataclass(slots=True)
class ListReasons:
    """The reasons of several trades, those with several exits once for each. `missing` says why there is no source."""

    rows: list[TradeReasons] = field(default_factory=list)
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as data for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Miss:
    """A bar, numbered from 1, where a condition failed by little."""

    bar: int
    distance: float
    text: str


@dataclass(slots=True)
class Counted:
    """A condition over many bars.

    `stopped` counts, for `and`, at which part it came to a no; `alone` counts where a part was the only no, -1 where
    that is not known. `first_true` and `last_true` are bars, numbered from 1. `orders`: it helps to guard one.
    """

    site: int
    text: str
    line: int
    function: str
    role: str
    kind: str
    depth: int
    evaluated: int = 0
    true: int = 0
    first_true: int | None = None
    last_true: int | None = None
    misses: list[Miss] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    alone: list[int] = field(default_factory=list)
    orders: bool = False


@dataclass(slots=True)
class Survey:
    """Every condition of a run over the bars `first` to `last`, numbered from 1. `notes` state what was left out."""

    first: int
    last: int
    calls: int = 0
    missing: str = ""
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    conditions: list[Counted] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as data for JSON."""
        return asdict(self)


def read(kind: type[T], data: Any) -> T:
    """Return an answer that came as data from elsewhere.

    Raises:
        ValueError: it is none; the sender may be a process that a strategy has harmed.
    """
    return _read(kind, data)


def _read(kind: Any, data: Any) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(data, dict):
            raise ValueError(f"no {kind.__name__}")
        hints = get_type_hints(kind)
        return kind(**{f.name: _read(hints[f.name], data[f.name]) for f in fields(kind) if f.name in data})
    origin = get_origin(kind)
    if origin is list:
        if not isinstance(data, list) or len(data) > LONGEST:
            raise ValueError("no list")
        return [_read(get_args(kind)[0], item) for item in data]
    if origin in (Union, UnionType):
        if data is None and NoneType in get_args(kind):
            return None
        return _read(next(arg for arg in get_args(kind) if arg is not NoneType), data)
    if kind is float and type(data) is int:
        return float(data)
    if type(data) is not kind:
        raise ValueError(f"no {kind.__name__}")
    return data[:TEXT] if kind is str else data
