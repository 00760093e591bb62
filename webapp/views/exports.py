"""Exports: a run's trades and equity as CSV, and the whole run as JSON, as far as it was played."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify

from engine.statistics import Live
from engine.tape import Tape
from webapp import panels, runs, services
from webapp.store import Run

bp = Blueprint("exports", __name__, url_prefix="/runs")

TRADE_COLUMNS = (
    "trade", "side", "size", "entry_bar", "entry_time", "entry_price", "exit_bar", "exit_time", "exit_price",
    "pnl", "return_pct", "commission", "sl", "tp", "entry_tag", "exit_reason",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide ones, too


@bp.get("/<id>/trades.csv")
def trades(id: str) -> Response:
    """Return the trades of a run, as far as it was played, one a line."""
    run, tape, _ = _played(id)
    rows = ([trade[name] for name in TRADE_COLUMNS] for trade in _trades(tape))
    return _csv(run, "trades", TRADE_COLUMNS, rows)


@bp.get("/<id>/equity.csv")
def equity(id: str) -> Response:
    """Return equity, cash and position at each bar's close."""
    run, tape, _ = _played(id)
    columns = [column.tolist() for column in (tape.equity(), tape.cash(), tape.position())]
    times, closes = tape.bars.time[: tape.bar].tolist(), tape.bars.close[: tape.bar].tolist()
    rows = ([i + 1, _iso(t), *rest] for i, (t, *rest) in enumerate(zip(times, closes, *columns, strict=True)))
    return _csv(run, "equity", ("bar_number", "time", "close", "equity", "cash", "position"), rows)


@bp.get("/<id>/run.json")
def whole(id: str) -> Response:
    """Return the run: its configuration, where its bars came from, its statistics and trades."""
    run, tape, live = _played(id)
    response = jsonify(
        run=run.id,
        strategy=run.title,
        config=run.config.to_dict(),
        bars={"count": run.total_bars, "source": run.source, "digest": run.bars_digest,
              "first": _iso(run.first_time), "last": _iso(run.last_time)},
        strategy_digest=run.strategy_digest,
        played=tape.bar,
        statistics={name: _plain(value) for name, value in live.at(tape.bar).items()},
        trades=list(_trades(tape)),
    )  # fmt: skip
    return _as_file(response, run, "json", "run")


def _played(id: str) -> tuple[Run, Tape, Live]:
    run = services().store.run(id)
    tape, live = runs.statistics_at(services(), run, run.playhead)
    return run, tape, live


def _trades(tape: Tape) -> Iterator[dict[str, Any]]:
    book = panels.book_of(tape)
    for trade in [*book.closed_between(0, tape.bar, book.closed_count(tape.bar)), *book.open(tape.bar)]:
        exit_bar = None if trade.exit_bar is None else trade.exit_bar + 1
        values = (
            trade.trade, trade.side, trade.size, trade.entry_bar + 1, _iso(trade.entry_time), trade.entry_price,
            exit_bar, _iso(trade.exit_time), trade.exit_price, trade.pnl, trade.return_pct * 100, trade.commission,
            trade.sl, trade.tp, trade.tag, trade.exit_reason,
        )  # fmt: skip
        yield {name: _plain(value) for name, value in zip(TRADE_COLUMNS, values, strict=True)}


def _csv(run: Run, name: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Response:
    def lines() -> Iterator[str]:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(value) for value in row])
            if buffer.tell() > 65_536:  # a million bars leave in pieces
                yield _drained(buffer)
        yield _drained(buffer)

    return _as_file(Response(lines(), mimetype="text/csv"), run, "csv", name)


def _drained(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _as_file(response: Response, run: Run, kind: str, name: str) -> Response:
    safe = "".join(c if c.isalnum() else "-" for c in run.config.symbol)
    response.headers["Content-Disposition"] = f'attachment; filename="{safe}-{run.config.interval}-{name}.{kind}"'
    return response


def _cell(value: Any) -> Any:
    """Defuse text that a spreadsheet would run as a formula: a tag may say =HYPERLINK(...)."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _iso(time: int | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
