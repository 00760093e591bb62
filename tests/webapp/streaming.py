"""Streaming: the usual run as a plain client starts and steers it."""

from __future__ import annotations

from tests.wire import Wire

CONFIG = {
    "symbol": "AAPL",
    "period": "6mo",
    "interval": "1d",
    "initial_balance": 10000,
    "strategy": "sma_cross",
    "commission": 0,
    "speed": "instant",
}
BARS = 122


def start(**changes) -> dict:
    """Return the message that starts the usual run, with another config."""
    return {"action": "start_backtest", "config": CONFIG | changes}


def of(messages: list[dict], kind: str) -> list[dict]:
    """Return the messages of one type."""
    return [message for message in messages if message["type"] == kind]


def paused(ws_connect, **more) -> Wire:
    """Return a wire to the usual run, waiting before its first bar, that stays open at the end."""
    wire = ws_connect(start() | {"paused": True, "hold": True} | more)
    assert wire.receive()["status"] == "paused"
    return wire


def told(wire: Wire, **control) -> tuple[dict, list[dict]]:
    """Send a control; return the state that answers it and what came before."""
    wire.send(control)
    messages = wire.until("state")
    while "seeking" in messages[-1]:
        messages += wire.until("state")
    return messages[-1], messages[:-1]
