"""The messages of /ws/backtest/stream/, both ways.

JSON objects in text frames. Bars are numbered from 1; `from` and `to` are both inclusive; times are epoch seconds UTC.
A number that is not defined (yet) is null. Unknown fields are ignored, in both directions.

Client to server
----------------
The first message starts; everything after it controls.

    {"action": "start_backtest", "config": {...}}           a new run; a bare config without `action` is the same,
                                            if it has at least one field
    {"action": "start_backtest", "run": ID, "from_bar": k}  a stored run: the first bar sent is bar k (default 1),
                                            whole, with its signals or events
        Beside either, or inside `config`: `frames` (true for our page), `speed`, `paused` (true: wait for play),
        `hold` (true: keep a plain client's socket open after `complete`, to go back; always so with frames).
        A frame client that holds nothing of the bars before k asks beside `run` for `"window": true`: instead of bar
        k it gets at once, also when paused, the window that ends with it (a frame with reset).
    {"action": "play"}                      at the end: once more from the first bar
    {"action": "pause"}
    {"action": "stop"}                      ends the stream: Close 1000
    {"action": "step", "bars": n}           n forward, -n back; pauses
    {"action": "seek", "bar": k}            the playhead to just after bar k, 0 = before the first; goes on
                                            playing if it was. (Plain clients: the next candle is k + 1)
    {"action": "seek", "time": t}           the same, to the last bar that opened at or before t (epoch seconds)
    {"action": "speed", "value": 2}         0.25 to 100, or "instant"
    {"action": "next_event"}                to the bar of the next opened/reduced/closed trade, or the end; pauses
    {"action": "previous_event"}            to the one before, or the first bar; pauses
    {"action": "restart"}                   before the first bar, and play
    {"action": "end"}                       run to the end at once
    {"action": "pause_on", "entry": true, "exit": false, "rejected": true, "drawdown": 5}
                                            replaces all conditions; `drawdown` in percent, null or absent = off
    {"action": "window", "from": a, "to": b}  for frame clients: candles a to b again, aggregated to at most 2,000;
                                            b may lie beyond the playhead, the answer never does
    {"action": "show", "list": "trades", "sort": "time"}
                                            for frame clients: which list comes in html (trades, orders, log), and how
                                            trades are sorted (time, best, worst, longest)
    {"action": "ack", "bar": k}             credit: the last bar applied to the chart (at most 4 a second). A client
                                            that sends it is never more than a second of bars behind
    A control may have an `id`, a whole number: states from then on tell the last one that was obeyed, so that a client
    knows which of them crossed a control on its way.

Server to client
----------------
    metadata   run, symbol, interval, source, timezone, notes, strategy, params, total_bars, initial_balance,
               indicators [{name, pane ("price" or the pane's own name), color, style ("line", "scatter",
               "histogram"), group}], status ("playing", "paused"), speed ("instant" or a number), bar_number
    state      status ("playing", "paused", "finished", "failed"), speed, bar_number, bucket, pause_on; and
               `seeking`: k while the playhead is on its way to bar k (null: to the next trade event) and has to
               wait for the simulation; `reason` ("entry", "exit", "rejected", "drawdown") when a condition paused it;
               `waiting` {bar, seconds}, every 2 s (to frame clients), when the strategy takes so long over a bar; `id`
               of the last control that had one.
               Sent after each control (after its frame, if it moves the playhead), when a condition pauses, and when
               the end is reached
    stats      bar_number and the numbers of engine.statistics.Live.at; frame clients also get
               html {id: html}, only panels, or parts of them, that changed since the last one. At most 10 a second
               (1 for plain clients), and always at the bar where the playhead comes to rest
    complete   total_bars, metrics (the numbers of stats at the last bar), run; once, the first time the end is reached;
               and `differs` (words for a person) when a replay came to something else than what was recorded.
               A plain client's socket then closes with 1000 (unless `hold`)
    proof      to frame clients, when there is news: state ("waiting", "checking", "green", "amber", "red", "failed")
               and text of the look-ahead proof about the bars that were ever played, marks [{bar, text}] for the chart,
               html {proof, findings}
    heartbeat  bar_number; when nothing else was sent for 15 s
    error      code, message, field (null when none is at fault); a strategy's failure also has file (base name), line
               and bar (1-based; null = before the first). After a refused start the socket closes with 1008, a refused
               control changes nothing; 5 refusals in a row close with 1008

    Plain clients, bar by bar; a bar's signals come just before its candle:
    signal     bar_number, timestamp (ISO 8601), action ("ENTRY", "EXIT"), side ("long", "short"), price, size, pnl (on
               exit), tag, reason, trade
    candle     bar_number, progress (percent), timestamp, open, high, low, close, volume

    Frame clients:
    frame      from, to, bucket, reset, bar_number (= to, the playhead), progress; time [], open [], high [], low [],
               close [], volume [], equity [], drawdown [] (percent, the deepest within each candle), indicators
               {name: []}, events [...]; and when they may have changed
               (always with reset): orders [pending orders], open_trades [], trades [trades closed in from..to]
               - reset false: append. With bucket n > 1 candles are of n bars, aligned: candle i starts at a bar b with
                 (b - 1) % n == 0, `from` is the start of the first one, which may be the newest one on the chart,
                 once more, with more bars in it (update it in place; events come once all the same)
               - reset true: replace all the page holds. `thinned` {events: n, trades: n} counts what was left out
               Where trades are ambiguous there are also equity_low [] and equity_high []: the worst and the best case,
               as known at the playhead. `faults` [{bar, kind, text}] are those of the bars' data in from..to
    window     the answer to `window`, like a frame with reset: from, to, bucket, the columns, events, trades, thinned

    An event: number (from 0, over the run), bar_number, time, kind and those of order, trade, side, size, price, limit,
    stop, sl, tp, commission, pnl, tag, reason that it has, and fill_bar where it is another.
    Kinds: placed active changed filled cancelled rejected expired opened reduced closed entry exit ruin log.
    (With reset and in windows: opened reduced closed rejected ruin.)
    A pending order: order, bar_number (placed), kind ("market", "limit", "stop", "stop-limit", "stop-loss",
    "take-profit"), side, size, limit, stop, sl, tp, tag, trade (contingent on it, or null).
    A trade: trade, side, size, entry_bar, entry_time, entry_price, exit_bar, exit_time, exit_price, pnl, sl, tp, tag
    (exit fields and pnl null while open), ambiguous (its outcome rests on what came first inside a bar).

Close codes: 1000 done or stopped, 1008 refused or flooding, 1009 message over 64 KiB, 1011 our fault, 1012 the server
restarts (reconnect with run and from_bar), 1013 too many streams (try later).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from engine.bars import Bars
from engine.config import BacktestConfig
from engine.errors import EngineError
from engine.indicators import color
from engine.playback import INSTANT, Conditions, Playhead
from engine.record import OrderRecord, TradeRecord
from engine.tape import Event, Tape

VERSION = 1
FEW = 4  # candles: fewer are made one by one
ACTIONS = (
    "play", "pause", "stop", "step", "seek", "speed", "next_event", "previous_event", "restart", "end", "pause_on",
    "window", "show", "ack",
)  # fmt: skip
_BESIDE = ("frames", "speed", "paused", "hold", "window")  # settings of the stream, not of the run

_CANDLE = b'{"type":"candle",%b}' % b",".join(
    b'"%b":%%b' % name
    for name in (b"bar_number", b"progress", b"timestamp", b"open", b"high", b"low", b"close", b"volume")
)
_STARTING = {"run", "config", *(field.name for field in fields(BacktestConfig))}


class Refused(EngineError):
    """A message that cannot be followed."""

    code = "bad_message"


class UnknownAction(Refused):
    """A message asks for something that there is not."""

    code = "unknown_action"


@dataclass(frozen=True, slots=True)
class Start:
    """What the first message asks for: a new run of `config`, or the stored `run`; and how to play it."""

    config: Any = None
    run: str | None = None
    from_bar: int | None = None
    frames: bool = False
    hold: bool = False
    paused: bool = False
    window: bool = False
    speed: Any = None


# What comes in


def parse(text: str | bytes) -> dict[str, Any]:
    """Return the object that a message holds.

    Raises:
        Refused: it is not text, not JSON, or not an object.
    """
    if not isinstance(text, str):
        raise Refused("Messages are JSON in text frames; this one was binary.")
    try:
        message = orjson.loads(text)  # refuses NaN, Infinity and bottomless nesting by itself
    except orjson.JSONDecodeError as error:
        raise Refused(f"This message is not JSON ({error}).") from None
    if not isinstance(message, dict):
        raise Refused('A message is a JSON object, such as {"action": "pause"}.')
    return message


def read_start(message: Mapping[str, Any]) -> Start:
    """Return what a first message asks for; a bare config counts, when anything in it is one's.

    Raises:
        Refused: it starts nothing.
    """
    action = message.get("action", "start_backtest")
    if action != "start_backtest":
        raise Refused(f'Start a run first: {{"action": "start_backtest", ...}}, not {shown(action)}.', field="action")
    if "action" not in message and not _STARTING.intersection(message):
        raise Refused('Start a run first: {"action": "start_backtest", ...}.', field="action")
    run = message.get("run")
    config = message.get("config") if run is not None or "config" in message else message
    inner = config if isinstance(config, Mapping) else {}
    beside = {name: message[name] if name in message else inner.get(name) for name in _BESIDE}
    flags = {name: _flag(name, beside[name]) for name in ("frames", "hold", "paused", "window")}
    if run is not None and not isinstance(run, str):
        raise Refused(f"A run is named by its id, not by {shown(run)}.", field="run")
    resumes = run is not None and message.get("from_bar") is not None
    from_bar = whole(message, "from_bar", 1) if resumes else None
    return Start(None if run is not None else config, run, from_bar, **flags, speed=beside["speed"])


def read_bar(message: Mapping[str, Any], bars: Bars) -> int:
    """Return the bar that a `seek` message names, by number or by time.

    Raises:
        Refused: it names neither, or none of `bars`.
    """
    time = message.get("time")
    if time is None:
        return whole(message, "bar", 0, len(bars))
    if isinstance(time, bool) or not isinstance(time, int | float):
        raise Refused(f"time must be epoch seconds, not {shown(time)}.", field="time")
    return int(np.searchsorted(bars.time, time, side="right"))


def whole(message: Mapping[str, Any], name: str, low: int, high: int | None = None) -> int:
    """Return the whole number in `message[name]`.

    Raises:
        Refused: it is missing, not whole, or out of range.
    """
    value = message.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**53:
        raise Refused(f"{name} must be a whole number, not {shown(value)}.", field=name)
    if value < low or (high is not None and value > high):
        reach = f"{low:,} or more" if high is None else f"from {low:,} to {high:,}"
        raise Refused(f"{name} must be {reach}, not {value:,}.", field=name)
    return value


def read_conditions(message: Mapping[str, Any]) -> Conditions:
    """Return what a `pause_on` message asks for.

    Raises:
        Refused: a condition is not what it should be.
    """
    depth = message.get("drawdown")
    good = isinstance(depth, int | float) and not isinstance(depth, bool) and 0 < depth < 100
    if depth is not None and not good:
        raise Refused(f"drawdown is a percentage between 0 and 100, not {shown(depth)}.", field="drawdown")
    flags = {name: _flag(name, message.get(name)) for name in ("entry", "exit", "rejected")}
    return Conditions(**flags, drawdown=None if depth is None else float(depth) / 100)


def _flag(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Refused(f"{name} must be true or false, not {shown(value)}.", field=name)


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# What goes out


def dumps(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON; NaN and infinity become null."""
    return orjson.dumps(message, default=_text, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def metadata(run: Any, tape: Tape, head: Playhead) -> dict[str, Any]:
    """Say what will be played."""
    bars = tape.bars
    return {
        "type": "metadata",
        "version": VERSION,
        "run": run.id,
        "symbol": run.config.symbol,
        "interval": run.config.interval,
        "source": bars.source,
        "timezone": bars.timezone,
        "notes": bars.notes,
        "strategy": run.config.strategy,
        "params": run.config.params,
        "total_bars": len(bars),
        "initial_balance": tape.initial_balance,
        "indicators": list(_drawn(tape)),
        "status": head.status,
        "speed": speed(head),
        "bar_number": head.bar,
    }


def _drawn(tape: Tape) -> Iterator[dict[str, Any]]:
    """Tell each indicator that is drawn; one whose strategy chose no colour has the palette's that is its turn."""
    for number, indicator in enumerate(tape.declared):
        if indicator.plot:
            told = {name: getattr(indicator, name) for name in ("name", "pane", "color", "style", "group")}
            yield told | {"color": indicator.color or color(number)}


def _candle(bars: Bars, bar: int) -> dict[str, Any]:
    return {
        "type": "candle",
        "bar_number": bar + 1,
        "progress": progress(bars, bar + 1),
        "timestamp": timestamp(int(bars.time[bar])),
        "open": bars.open[bar],
        "high": bars.high[bar],
        "low": bars.low[bar],
        "close": bars.close[bar],
        "volume": bars.volume[bar],
    }


def candles(bars: Bars, start: int, stop: int) -> list[bytes]:
    """Return the messages of bars `start` up to `stop`; many in a third of the time that one by one would take."""
    if stop - start < FEW:
        return [dumps(_candle(bars, bar)) for bar in range(start, stop)]
    part, numbers, total = slice(start, stop), range(start + 1, stop + 1), len(bars)
    columns = (
        numbers,
        [round(100 * number / total, 2) for number in numbers],  # as `progress` does: NumPy rounds otherwise
        bars.time[part].astype("datetime64[s]"),
        *(np.ascontiguousarray(column[part]) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)),
    )
    return [_CANDLE % row for row in zip(*map(_cells, columns), strict=True)]


def _cells(column: Iterable[Any]) -> list[bytes]:
    """Return a column's numbers or times as JSON."""
    column = column if isinstance(column, np.ndarray) else list(column)
    return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC)[1:-1].split(b",")


def signal(bars: Bars, event: Event) -> dict[str, Any]:
    """Tell an entry or exit."""
    told = {
        "type": "signal",
        "bar_number": event.bar + 1,
        "timestamp": timestamp(int(bars.time[event.bar])),
        "action": event.kind.upper(),
        "side": event.side,
        "price": event.price,
        "size": event.size,
        "tag": None if event.tag is None else _text(event.tag),
        "reason": event.reason,
        "trade": event.trade,
    }
    if event.kind == "exit":
        told["pnl"] = event.pnl
    return told


def state(head: Playhead, bucket: int = 1) -> dict[str, Any]:
    """Tell where the playhead stands, and what it was told."""
    conditions = head.conditions
    told = {
        "type": "state",
        "status": head.status,
        "speed": speed(head),
        "bar_number": head.bar,
        "bucket": bucket,
        "pause_on": {
            "entry": conditions.entry,
            "exit": conditions.exit,
            "rejected": conditions.rejected,
            "drawdown": None if conditions.drawdown is None else round(conditions.drawdown * 100, 6),
        },
    }
    if head.reason is not None:
        told["reason"] = head.reason
    return told


def error(problem: EngineError) -> dict[str, Any]:
    """Tell what was refused, or what ended the run."""
    told = {"type": "error", "code": problem.code, "message": _clean(problem.message), "field": problem.field}
    if hasattr(problem, "bar"):
        file, bar = getattr(problem, "file", None), problem.bar
        told["file"] = None if file is None else os.path.basename(file)
        told["line"] = getattr(problem, "line", None)
        told["bar"] = None if bar is None else bar + 1
    if errors := getattr(problem, "errors", None):
        told["errors"] = errors
    return told


def event(time: Any, happened: Event) -> dict[str, Any]:
    """Tell an event with the fields that it has; `time` is the bars' column."""
    told: dict[str, Any] = {"number": happened.number, "bar_number": happened.bar + 1, "time": time[happened.bar]}
    for name in _EVENT_FIELDS:
        value = getattr(happened, name)
        if value is not None:
            told[name] = _text(value) if name in ("tag", "reason") else value
    if happened.fill_bar is not None and happened.fill_bar != happened.bar:
        told["fill_bar"] = happened.fill_bar + 1
    return told


_EVENT_FIELDS = tuple(name for name in Event._fields if name not in ("number", "bar", "ambiguous", "fill_bar"))


def order(record: OrderRecord) -> dict[str, Any]:
    """Tell an order that waits."""
    return {
        "order": record.order,
        "bar_number": record.placed_bar + 1,
        "kind": record.kind,
        "side": record.side,
        "size": record.size,
        "limit": record.limit,
        "stop": record.stop,
        "sl": record.sl,
        "tp": record.tp,
        "tag": None if record.tag is None else _text(record.tag),
        "trade": record.trade,
    }


def trade(record: TradeRecord) -> dict[str, Any]:
    """Tell a trade, open or closed."""
    return {
        "trade": record.trade,
        "side": record.side,
        "size": record.size,
        "entry_bar": record.entry_bar + 1,
        "entry_time": record.entry_time,
        "entry_price": record.entry_price,
        "exit_bar": None if record.exit_bar is None else record.exit_bar + 1,
        "exit_time": record.exit_time,
        "exit_price": record.exit_price,
        "pnl": None if record.exit_bar is None else record.pnl,  # an open one's changes with every bar
        "sl": record.sl,
        "tp": record.tp,
        "tag": None if record.tag is None else _text(record.tag),
        "ambiguous": record.ambiguous,
    }


def speed(head: Playhead) -> float | str:
    """Return the speed as it is written on the wire."""
    if head.speed == INSTANT:
        return "instant"
    return int(head.speed) if head.speed.is_integer() else head.speed


def figures(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return statistics with ten digits: what lies behind them depends on the order in which floats were added up."""
    return {name: float(f"{n:.10g}") if isinstance(n, float) else n for name, n in numbers.items()}


def results(tape: Tape, metrics: Mapping[str, Any], trades: list[TradeRecord], digest: str) -> dict[str, Any]:
    """Return what a completed run came to, as it is stored: figures, the latest trades, equity at up to 500 bars.

    `digest` stands for the whole record; a replay is held to it.
    """
    bars = np.unique(np.linspace(0, len(tape.bars) - 1, 500).astype(int))
    equity = tape.equity()[bars]
    content = {"metrics": metrics, "tape": digest, "trades": [trade(record) for record in trades]}
    return orjson.loads(dumps(content | {"equity": {"time": tape.bars.time[bars], "equity": np.round(equity, 4)}}))


def progress(bars: Bars, bar: int) -> float:
    """Return the percentage of the run at `bar`."""
    return round(100 * bar / len(bars), 2)


def timestamp(time: int) -> str:
    """Return epoch seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(time, UTC).isoformat()


def _text(value: Any) -> str:
    """Return a user's own object as a short text; its own way to text may fail."""
    try:
        return _clean(str(value))[:200]
    except Exception:
        return f"<{type(value).__name__}>"


def _clean(text: str) -> str:
    """Return text that UTF-8 can carry."""
    return text.encode("utf-8", "replace").decode()
