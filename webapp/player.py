"""Player: one run played to one visitor, who may steer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from engine.errors import EngineError, StrategyError
from engine.playback import FAILED, FORWARD, INSTANT, JUMP, Deck, Move, Playhead
from engine.statistics import Live
from webapp import forms, logs, metrics, panels, proofs, protocol, replay, runs, services, sockets
from webapp.book import SORTS
from webapp.pacer import floor, pacer
from webapp.protocol import Refused, Start
from webapp.sockets import Channel, Ended
from webapp.store import Run, StoreError
from webapp.windows import Windows

STATS = 0.1  # s between two messages of statistics
PLAIN_STATS = 1.0  # s of the same for a plain client, for which they would outweigh the candles
SILENCE = 15.0  # s without a message until a heartbeat
QUIET = 8.0  # s without a write until a ping, for the kernel to notice a reader that has vanished
NAP = 0.05  # s: shorter waits are slept through, which costs half of what waiting for a message does
REFUSALS = 5  # in a row, then the socket closes
SLOW = 2.0  # s without a bar that is due, then the visitor is told, and again after as many
PATIENCE = 0.02  # s to wait for bars that are being simulated before controls are obeyed again
BLOCK = 256  # candles between two looks at the controls, for a plain client

log = logging.getLogger("webapp.stream")
T = TypeVar("T")


class Player:
    """A run, its playhead and the channel that it is played to.

    Raises:
        EngineError: the run cannot be started.
    """

    def __init__(self, channel: Channel, start: Start):
        self.channel = channel
        self.services = services()
        self.stored = self._run(start)
        logs.about(self.stored.id)
        wanted = self.stored.config.speed if start.speed is None else forms.read_speed(start.speed)
        self.frames = start.frames
        self._between_stats = STATS if start.frames else PLAIN_STATS
        self.head = Playhead(
            wanted, playing=not start.paused, hold=start.frames or start.hold, most=None if start.frames else BLOCK
        )
        try:
            self.simulation = runs.open_simulation(self.services, self.stored, PATIENCE, floor.leave)
        except StrategyError as error:
            self._fail(error)
            raise
        self.tape = self.simulation.tape
        self.live = Live(self.tape)
        self.windows = Windows(self.tape, self.head, panels.book_of(self.tape))
        self._first: int | None = None  # bars before the one that a client of frames resumes with, until it is sent
        self._resume(start)
        self._completed = False
        self._owes_state = False
        self._asked: int | None = None  # the number that the client gave its last control
        self._told_status = self.head.status
        self._uncounted = 0  # bars
        self._counted = (-1, 0.0)  # bar and time of the last statistics
        self._html: dict[str, str] = {}
        self._sort, self._list = "time", panels.LISTS[0]
        self._badge = proofs.Badge(self.services, self.stored, time.monotonic()) if start.frames else None
        self._refusals = 0
        now = time.monotonic()
        self._waits = (-1, now, now)  # bars there are, since when we wait for more, and when that was told
        self._last: Move | None = None  # made by the pacer, not yet followed

    def run(self) -> None:
        """Play until it ends for this visitor."""
        bars = len(self.tape.bars)
        config = self.stored.config
        log.info("stream started: run %s, %s on %s, %d bars", self.stored.id, config.strategy, config.symbol, bars)
        metrics.simulating.inc()
        self.services.store.lease.hold(self.stored.id)
        try:
            self._send(protocol.metadata(self.stored, self.tape, self.head))
            self._deck = Deck(self.simulation, self.head)
            for move in self._deck.moves(self.listen):
                self._follow(move)
                if self._completed and not self.head.hold:
                    break
        except StrategyError as error:
            self._tell_failure(error)
        finally:
            floor.leave()
            self.simulation.close()
            self._count()
            metrics.simulating.dec()
            last = self.services.store.lease.release(self.stored.id)
            if last or self.head.played:
                self._save(left=last)

    # What is shown

    def _follow(self, move: Move) -> None:
        """Send what a move brings, then what follows from it."""
        if move.kind == FAILED:
            self._tell_failure(self.head.failure)
        elif self.frames:
            self._make_room()
            self._send_frame(move)
            self._make_room()
        elif move.kind == FORWARD:
            self._send_bars(move.frame.start, move.frame.stop)
        resting = not self.head.playing
        if move.kind == FORWARD:
            self._uncounted += move.frame.stop - move.frame.start
        if resting or move.kind != FORWARD or time.monotonic() - self._counted[1] >= self._between_stats:
            self._count()
            if not resting and move.kind == FORWARD and (late := self.head.late(time.monotonic())) is not None:
                metrics.lateness.observe(late)
            self._send_stats(throttle=resting and self.head.status == "paused")
        if self._owes_state or (self.head.status != self._told_status and (self.head.hold or self.head.reason)):
            self._send_state()
        if self.head.status == "finished" and not self._completed:
            self._complete()

    def _send_frame(self, move: Move) -> None:
        wanted = self.windows.wanted()
        start, stop = move.frame.start, move.frame.stop
        if self._first is not None:
            if move.kind == JUMP and stop == self._first:
                return  # on the way to the bar that was asked for
            first, self._first = self._first, None
            if move.kind == FORWARD and start == first:
                self._send(self.windows.append(start, start + 1))  # that bar alone, then as the chart needs them
                start += 1
                if start == stop:
                    return
        if move.kind == FORWARD and wanted == self.windows.bucket and self.windows.fits(start, stop):
            self._send(self.windows.append(start, stop))
        else:
            self._send(self.windows.reset(wanted))

    def _send_bars(self, start: int, stop: int) -> None:
        """Send each bar's signals, then its candle."""
        bars = self.tape.bars
        told = protocol.candles(bars, start, stop)
        for signal in reversed(self.tape.signals(start, stop)):
            told.insert(signal.bar - start, protocol.dumps(protocol.signal(bars, signal)))
        floor.leave()
        self.channel.send(*told)

    def _count(self) -> None:
        """Add to the server's numbers; not with each bar, which would cost as much as sending it."""
        metrics.bars.inc(self._uncounted)
        self._uncounted = 0

    def _send_stats(self, throttle: bool = False) -> None:
        bar, now = self.head.bar, time.monotonic()
        if throttle and now - self._counted[1] < self._between_stats:
            return  # `listen` sends them when the time has come
        self._counted = (bar, now)
        message: dict[str, Any] = {"type": "stats", **protocol.figures(self.live.at(bar)), "bar_number": bar}
        if self.frames:
            self._make_room()
            html = panels.render(self.tape, self.live, bar, self._sort, lists=(self._list,), moving=self.head.playing)
            message["html"] = panels.news(self._html, html)
            self._html |= html
        self._send(message)

    def _send_state(self, **more: Any) -> None:
        self._owes_state = False
        self._told_status = self.head.status
        answers = {} if self._asked is None else {"id": self._asked}
        self._send(protocol.state(self.head, self.windows.bucket) | answers | more)

    def _complete(self) -> None:
        """Keep the results, and say once that the run has ended."""
        self._completed = True
        self._make_room()
        bars = len(self.tape.bars)
        figures = protocol.figures(Live(self.tape).at(bars))  # afresh: a replay's must be equal, wherever it began
        self._make_room()
        trades = self.windows.book.closed_between(0, bars, newest=1000)
        found = protocol.results(self.tape, figures, trades, runs.digest(self.simulation))
        recorded = self._keep(lambda: self.services.store.complete(self.stored.id, found)) or self.stored.results
        differs = replay.difference(recorded, found)
        if differs:
            log.warning("run %s: %s", self.stored.id, differs)
        log.info("completed: %d bars (run %s)", bars, self.stored.id)
        metrics.simulations.labels("completed").inc()
        told = {"type": "complete", "total_bars": bars, "metrics": figures, "run": self.stored.id}
        self._send(told | ({"differs": differs} if differs else {}))

    def _tell_failure(self, error: EngineError | None) -> None:
        if error is None:
            return
        self._fail(error)
        self._send(protocol.error(error))

    def _send(self, message: Mapping[str, Any]) -> None:
        text = protocol.dumps(message)
        floor.leave()  # the reader may have to be waited for
        self.channel.send(text)

    # What is heard

    def listen(self, seconds: float | None) -> None:
        """Wait so long (None: until told) unless a control comes first; obey all that have come."""
        floor.leave()
        if not self.frames and (due := self._deck.due()) is not None:
            self._lend(due)
            return
        deadline = None if seconds is None else time.monotonic() + seconds
        if self.frames:
            now = time.monotonic()
            self._tell_slow(now)
            self._tell_proof(now)
        self._make_room()
        if seconds == 0 and self.frames:
            self.windows.book.catch_up()  # a little after each chunk, not everything before a frame
        heard = self._hear(0)
        while not heard:
            now = time.monotonic()
            wait = self._until_next_duty(now) if deadline is None else min(self._until_next_duty(now), deadline - now)
            if wait > 0:
                floor.leave()
            if wait > NAP:
                heard = self._hear(wait)
            elif wait > 0:
                time.sleep(wait)
                heard = self._hear(0)
            if not heard:
                self._do_duties()
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _make_room(self) -> None:
        """Let others go first before computing; not from the pacer, which is one of them."""
        if self.head.speed == INSTANT:
            floor.take()
        else:
            pacer.give_way()

    def _hear(self, wait: float) -> bool:
        """Obey the messages that come within `wait` seconds and those behind them; say whether there were any."""
        return self._heed(self.channel.receive(wait))

    def _heed(self, text: str | bytes | None) -> bool:
        heard = text is not None
        while text is not None:
            if sockets.switchboard.draining:
                raise Ended(sockets.RESTART, "The server restarts. Reconnect to go on.")
            if self.channel.dismissed:
                raise self.channel.dismissed
            if self.channel.flooded:
                raise Ended(sockets.POLICY, sockets.FLOODED)
            if text != "":
                self._obey(text)
            text = self.channel.receive(0)
        return heard

    def _lend(self, due: float) -> None:
        """Let the pacer play until a message comes, or until what is next takes longer than it may."""
        self.channel.waits = False
        lease = pacer.lend(self._turn, self.channel.wake, due)
        try:
            text = self.channel.receive(None)
        finally:
            lease.end()
            self.channel.catch_up()
        if move := self._last:
            self._last = None
            self._follow(move)
        self._heed(text)

    def _turn(self) -> float | None:
        """Play one turn for the pacer; say when the next one is due, None to have the lease back."""
        if move := self._deck.turn(budget=0):
            if not self.head.playing:
                self._last = move  # what follows takes longer
                return None
            self._follow(move)
        return None if self.channel.behind else self._deck.due()

    def _tell_slow(self, now: float) -> None:
        """Say that the next bar, or the end of a journey, is long in coming: until then nothing else would be said."""
        head, reached = self.head, self.simulation.bar
        bars, since, told = self._waits
        wanted = head.travelling or (head.playing and head.bar >= reached)
        if not wanted or self._deck.over or (reached != bars and not head.travelling):
            self._waits = (reached, now, now)
        elif now - told >= SLOW:
            self._waits = (reached, since, now)
            more: dict[str, Any] = {"waiting": {"bar": reached + 1, "seconds": round(now - since, 1)}}
            if head.travelling:
                more["seeking"] = head.destination(self.tape, len(self.tape.bars))
                self._owes_state = True  # the page goes by it that the way has ended
            self._send(protocol.state(head, self.windows.bucket) | more)

    def _tell_proof(self, now: float) -> None:
        """Send what is new of the look-ahead proof about the bars that were played."""
        if (
            self._badge
            and now >= self._badge.due
            and (told := self._badge.look(self.head.played, self._deck.over, now))
        ):
            self._send(told)

    def _until_next_duty(self, now: float) -> float:
        """Return the seconds until something is to be said without being asked."""
        wait = self.channel.sent + QUIET - now
        if self._badge:
            wait = min(wait, self._badge.due - now)
        if self._stats_are_due():
            wait = min(wait, self._counted[1] + self._between_stats - now)
        return max(wait, 0.0)

    def _do_duties(self) -> None:
        floor.leave()
        now = time.monotonic()
        self._tell_proof(now)
        if self._stats_are_due() and now - self._counted[1] >= self._between_stats:
            self._send_stats()
        elif now - self.channel.said >= SILENCE:
            self._send({"type": "heartbeat", "bar_number": self.head.bar})
        elif now - self.channel.sent >= QUIET:
            self.channel.ping()

    def _stats_are_due(self) -> bool:
        """Say whether the playhead has come to rest at a bar whose statistics were not sent."""
        return not self.head.playing and not self.head.travelling and self._counted[0] != self.head.bar

    def _obey(self, text: str | bytes) -> None:
        try:
            message = protocol.parse(text)
            self._control(message)
            self._refusals = 0
        except EngineError as error:
            self._refusals += 1
            metrics.errors.labels("stream", error.code).inc()
            self._send(protocol.error(error))
            if self._refusals >= REFUSALS:
                raise Ended(sockets.POLICY, "Too many messages that could not be followed.") from error

    def _control(self, message: Mapping[str, Any]) -> None:
        """Do what a control message says, and answer it with the state."""
        head, action = self.head, message.get("action")
        if action == "start_backtest":
            raise Refused("A run is being played already. Open another socket for another one.", field="action")
        if not isinstance(action, str) or action not in protocol.ACTIONS:
            raise protocol.UnknownAction(
                f"There is no action {protocol.shown(action)}. Known: {', '.join(protocol.ACTIONS)}.", field="action"
            )
        if head.travelling and action not in ("seek", "step", "stop") and (move := self._deck.turn(budget=0)):
            self._follow(move)  # it was asked for before, and takes no time: a pause, say, must not call it off
        if action in ("window", "show", "ack"):
            getattr(self, f"_{action}")(message)
            return
        if action == "step":
            head.step(protocol.whole(message, "bars", -(10**9), 10**9))
        elif action == "seek":
            head.seek(protocol.read_bar(message, self.tape.bars))
        elif action == "speed":
            head.set_speed(forms.read_speed(message.get("value")))
        elif action == "pause_on":
            head.pause_on(protocol.read_conditions(message))
        else:
            {"end": head.end_at_once}.get(action, getattr(head, action, head.pause))()
        if isinstance(message.get("id"), int):
            self._asked = message["id"]
        self._answer(action)

    def _answer(self, action: str) -> None:
        """Tell the state: at once when the playhead stays, after the frame when it moves."""
        head = self.head
        if action == "pause":  # before it is answered: whoever asks why next is told of bars that were played
            self._save()
        if action == "stop":
            self._send_state()
        elif head.travelling:
            self._first = None  # sent elsewhere than where it resumed
            goal = head.destination(self.tape, len(self.tape.bars))
            if goal is None or goal > self.simulation.bar:
                self._send_state(seeking=goal)  # it will take a while
            self._owes_state = True
        else:
            if self.frames and head.bar and self.windows.bucket != self.windows.wanted():
                self._send(self.windows.reset(self.windows.wanted()))
            self._send_state()

    def _save(self, left: bool = False) -> None:
        head = self.head
        self._keep(lambda: self.services.store.save_playhead(self.stored.id, head.bar, head.played, left=left))

    def _window(self, message: Mapping[str, Any]) -> None:
        if not self.frames:
            raise Refused('Windows are for clients that asked for "frames".', field="action")
        first = protocol.whole(message, "from", 1, max(self.head.played, 1))
        last = protocol.whole(message, "to", first)
        self._send(self.windows.stretch(first, last))

    def _show(self, message: Mapping[str, Any]) -> None:
        sort, name = message.get("sort", self._sort), message.get("list", self._list)
        if sort not in SORTS:
            raise Refused(f"sort must be one of {', '.join(SORTS)}, not {protocol.shown(sort)}.", field="sort")
        if name not in panels.LISTS:
            raise Refused(f"list must be one of {', '.join(panels.LISTS)}, not {protocol.shown(name)}.", field="list")
        self._sort, self._list = str(sort), str(name)
        self._send_stats()

    def _ack(self, message: Mapping[str, Any]) -> None:
        self.head.acknowledge(protocol.whole(message, "bar", 0, len(self.tape.bars)))

    # What is kept

    def _run(self, start: Start) -> Run:
        if start.run is None:
            return runs.create(self.services, start.config)
        return self.services.store.run(start.run)

    def _resume(self, start: Start) -> None:
        """Put the playhead where the visitor left it: the bar that is named comes next, or ends a window."""
        bar, total = start.from_bar, len(self.tape.bars)
        if bar is not None and bar > total:
            raise Refused(f"from_bar must be from 1 to {total:,}, not {bar:,}.", field="from_bar")
        window = self.frames and start.window
        if bar is not None and self.frames and not window:
            self._first = bar - 1
        if bar is not None and (window or bar > 1):
            self.head.seek(bar if window else bar - 1)

    def _fail(self, error: EngineError) -> None:
        metrics.simulations.labels("failed").inc()
        metrics.errors.labels("stream", error.code).inc()
        log.warning("run %s: %s", self.stored.id, error.message, exc_info=error.__cause__)
        self._keep(lambda: self.services.store.fail(self.stored.id, error))

    def _keep(self, write: Callable[[], T]) -> T | None:
        """Write to the store; a stream goes on without it."""
        floor.leave()
        try:
            return write()
        except StoreError as error:
            log.error("run %s: not stored: %s", self.stored.id, error.message)
            return None
