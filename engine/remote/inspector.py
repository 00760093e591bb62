"""Inspector: an inspection, between the thread that asks for it and the one that talks to the child."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import EngineError, StrategyError
from engine.remote import inspection, wire
from engine.remote.inspection import Inspection
from engine.remote.limits import Limits
from engine.remote.session import Session
from engine.strategy_files import Entry


class Inspector(Session):
    """A run's session that has no run: one question goes to the child, one answer comes back."""

    def __init__(self, asked: Inspection, limits: Limits, wake: Callable[[], None], name: str = "The file"):
        super().__init__(asked, name, 0, limits, wake)  # type: ignore[arg-type]  # it has the job's name and path
        self.asked = asked

    def message(self) -> list[bytes | memoryview]:
        """Return the question for the child."""
        return inspection.pack(self.asked)

    def put(self, kind: bytes, message: bytearray) -> None:
        """Take the answer."""
        with self.changed:
            if self.over:
                return
            if kind == wire.ERROR:
                return self._end(wire.read_error(message)[0])
            if kind != wire.ANSWER or len(message) > inspection.LONGEST:
                raise wire.Damaged(f"an unexpected message {kind!r}")
            self.reply = bytes(message)
            return self._end(None)

    def again(self) -> bool:
        """Say no: what ended the child would end another."""
        return False

    def failure(self, what: str, trace: str = "", *, hung: bool = False) -> StrategyError:
        """Return the error that says what the file did."""
        words = {"unit": "its import", "when": "while it was imported"}
        if self.asked.params is not None:
            words = {"unit": "its check", "when": "in check()"}
        return self._told(what, trace, words, None, hung)


class Described:
    """What a strategy file holds, as a child finds it out."""

    def __init__(self, inspector: Inspector, known: Mapping[str, Any]):
        self.lasting = True
        self._inspector = inspector
        self._known = known

    def entries(self, seconds: float | None) -> list[Entry] | None:
        """Return the strategies inside, or one entry that holds the error; None when that takes longer."""
        asked = self._inspector.asked
        try:
            text = self._inspector.await_reply(seconds)
            return None if text is None else inspection.read_entries(text, asked, self._known)
        except wire.Damaged:
            error: EngineError = self._inspector.damage()
        except EngineError as problem:
            error = problem
        self.lasting = isinstance(error, StrategyError)  # else it is about the server, and may be over soon
        line = getattr(error, "line", None)
        return [Entry(asked.name, f"{asked.name}.py", error=error.message, line=line, **self._known)]


def refusal(inspector: Inspector) -> tuple[str, str | None] | None:
    """Return the message and field with which a strategy refuses parameters, None when it takes them.

    Raises:
        EngineError: the question did not get its turn.
    """
    try:
        text = inspector.await_reply(None)
        assert text is not None  # it was waited for
        return inspection.read_refusal(text)
    except wire.Damaged:
        return inspector.damage().message, "strategy"
    except StrategyError as error:
        return error.message, "strategy"
