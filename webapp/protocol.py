"""The messages of /ws/backtest/stream/, both ways.

JSON objects in text frames. Bars are numbered from 1; `from` and `to` are both inclusive; times are epoch seconds UTC.
A number that is not defined (yet) is null. Unknown fields are ignored, in both directions.

Client to server
----------------
The first message starts; everything after it controls.

    {"action": "start_backtest", "config": {...}}           a new run; a bare config without `action` is the same
    {"action": "start_backtest", "run": ID, "from_bar": k}  a stored run, from bar k (default 1)
        Beside either, or inside `config`: `frames` (true for our page), `speed`, `paused` (true: wait for play),
        `hold` (true: keep a plain client's socket open after `complete`, to go back; always so with frames).
    {"action": "play"}                      at the end: once more from the first bar
    {"action": "pause"}
    {"action": "stop"}                      ends the stream: Close 1000
    {"action": "step", "bars": n}           n forward, -n back; pauses
    {"action": "seek", "bar": k}            the playhead to just after bar k, 0 = before the first; goes on playing if it was
    {"action": "speed", "value": 2}         0.25 to 100, or "instant"
    {"action": "next_event"}                to the bar of the next opened/reduced/closed trade, or the end; pauses
    {"action": "previous_event"}            to the one before, or the first bar; pauses
    {"action": "restart"}                   before the first bar, and play
    {"action": "end"}                       run to the end at once
    {"action": "pause_on", "entry": true, "exit": false, "rejected": true, "drawdown": 5}
                                            replaces all conditions; `drawdown` in percent, null or absent = off
    {"action": "window", "from": a, "to": b}  for frame clients: candles a to b again, aggregated to at most 2,000
    {"action": "ack", "bar": k}             credit: the last bar applied to the chart (at most 4 a second). A client
                                            that sends it is never more than a second of bars behind

Server to client
----------------
    metadata   run, symbol, interval, source, timezone, notes, strategy, params, total_bars, initial_balance,
               indicators [{name, pane ("price" or the pane's own name), color, style ("line", "scatter",
               "histogram"), group}], status ("playing", "paused"), speed ("instant" or a number), bar_number
    state      status ("playing", "paused", "finished", "failed"), speed, bar_number, bucket, pause_on; and
               `seeking`: k while the playhead is on its way to bar k (null: to the next trade event) and has to
               wait for the simulation; `reason` ("entry", "exit", "rejected", "drawdown") when a condition paused it.
               Sent after each control (after its frame, if it moves the playhead), when a condition pauses, and when
               the end is reached
    stats      bar_number and the numbers of engine.statistics.Live.at; frame clients also get
               html {panel: html}, only panels that changed since the last one. At most 10 a second, and always
               at the bar where the playhead comes to rest
    complete   total_bars, metrics (the numbers of stats at the last bar), run; once, the first time the end is reached.
               A plain client's socket then closes with 1000 (unless `hold`)
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
               close [], volume [], equity [], indicators {name: []}, events [...]; and when they may have changed
               (always with reset): orders [pending orders], open [open trades], trades [trades closed in from..to]
               - reset false: append. With bucket n > 1 candles are of n bars, aligned: candle i starts at a bar b with
                 (b - 1) % n == 0, `from` is the start of the first one, which may be the newest one on the chart,
                 once more, with more bars in it (update it in place; events come once all the same)
               - reset true: replace all the page holds. `thinned` {events: n, trades: n} counts what was left out
    window     the answer to `window`: as a frame with reset, without bar_number and progress: from, to, bucket, columns,
               events, trades, thinned

    An event: number (from 0, over the run), bar_number, time, kind and those of order, trade, side, size, price, limit, stop, sl, tp,
    commission, pnl, tag, reason that it has. Kinds: placed active changed filled cancelled rejected expired opened reduced closed
    ruin log. (Reset frames and windows carry opened, reduced, closed, rejected and ruin.)
    A pending order: order, bar_number (placed), side, size, limit, stop, sl, tp, tag, trade (contingent on it, or null).
    A trade: trade, side, size, entry_bar, entry_time, entry_price, exit_bar, exit_time, exit_price, pnl, sl, tp, tag
    (exit fields null while open).

Close codes: 1000 done or stopped, 1008 refused or flooding, 1009 message over 64 KiB, 1011 our fault, 1012 the server
restarts (reconnect with run and from_bar), 1013 too many streams (try later).
"""
