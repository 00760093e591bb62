"""Runs: from a configuration to a stored run, and from a stored run to a simulation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.catalog import Catalog, Entry
from engine.digest import digest_of
from engine.errors import ConfigError, StrategyError
from engine.remote import RemoteSimulation, whys
from engine.simulation import Simulation
from engine.statistics import Live
from engine.tape import Tape
from webapp import forms, metrics
from webapp.store import Run

if TYPE_CHECKING:
    from engine.config import BacktestConfig
    from webapp import Services


PATIENCE = 20.0  # s that a visitor waits for an answer


def create(services: Services, values: Any, *, key: str | None = None) -> Run:
    """Validate, load the bars, and store the run.

    Args:
        values: names and values, as `forms.validate` takes them.
        key: the form's one-time key.
    Raises:
        Invalid: fields are at fault.
        ConfigError: there are more bars than may be in a run.
        DataError: the bars cannot be had.
        StoreError: the run cannot be stored.
    """
    config = forms.validate(values, services)
    wanted = (config.symbol, config.interval, config.period, config.start_date, config.end_date)
    _check_length(services.feeds.count(*wanted), services, config)
    bars = services.feeds.load(*wanted)
    _check_length(len(bars), services, config)
    run = services.store.create_run(config, bars, services.catalog.find(config.strategy), key=key)
    metrics.runs.inc()
    return run


def _check_length(bars: int | None, services: Services, config: BacktestConfig) -> None:
    if bars is not None and bars > services.max_bars:
        raise ConfigError(
            f"{bars:,} bars are more than this server plays in a run ({services.max_bars:,}). "
            "Choose a shorter period, or a longer interval.",
            field="symbol" if ":" in config.symbol else "start_date" if config.start_date else "period",
        )


def open_simulation(
    services: Services, run: Run, patience: float | None = None, before_wait: Callable[[], object] | None = None
) -> Simulation | RemoteSimulation:
    """Return the simulation of a stored run, before its first bar: the one place where a run comes to life.

    It runs in another process unless the pool is off; then `advance` waits for bars no longer than `patience` seconds,
    and calls `before_wait` first.

    Raises:
        Busy: too many runs are being simulated.
        StrategyError: the strategy's `init` failed.
        ConfigError: the strategy as it was stored does not import any more.
    """
    metrics.simulations.labels("started").inc()
    config, bars = run.config, services.store.bars(run)
    if services.pool is not None:
        entry = entry_of(services, run)
        settings = config.broker_settings()
        return services.pool.simulation(
            bars, entry, config.params, settings, config.indicators, patience=patience, before_wait=before_wait
        )
    entry = strategy_of(services, run)
    assert entry.strategy is not None  # the catalog refuses entries without one
    return Simulation(bars, entry.strategy, config.params, indicators=config.indicators, **config.broker_settings())


def ask(services: Services, run: Run, kind: type[whys.T], **details: Any) -> whys.T:
    """Return what engine.why says of a stored run: an Explanation, a Survey or a trade's reasons.

    Raises:
        TooLong: the strategy takes too long over it.
        Busy: too many runs are being simulated.
        EngineError: the strategy failed in `init`, or there is no such bar or trade.
    """
    config, bars = run.config, services.store.bars(run)
    about = (config.params, config.broker_settings(), config.indicators)
    if services.pool is not None:
        entry = entry_of(services, run)
        return services.pool.ask(kind, bars, entry, *about, patience=PATIENCE, **details)
    return whys.find_out(kind, bars, strategy_of(services, run), *about, **details)


def strategy_of(services: Services, run: Run) -> Entry:
    """Return the strategy that `run` was made with: the file of today if it is unchanged, else the stored text."""
    if _unchanged(services, run):
        return services.catalog.find(run.config.strategy)
    return Catalog.from_source(services.store.strategy_text(run), run.config.strategy)


def entry_of(services: Services, run: Run) -> Entry:
    """Return the strategy that `run` was made with, not imported: that is done where it runs."""
    return _unchanged(services, run) or _stored(services, run)


def _unchanged(services: Services, run: Run) -> Entry | None:
    """Return the file that `run` was made with, not imported, if it is as it was."""
    entry = services.catalog.unread(run.config.strategy)
    return entry if entry is not None and entry.digest == run.strategy_digest else None


def _stored(services: Services, run: Run) -> Entry:
    """Return the strategy as it was stored."""
    return Entry(run.config.strategy, run.config.strategy, source=services.store.strategy_text(run))


def digest(simulation: Simulation | RemoteSimulation) -> str:
    """Return what the record of a simulation that is done comes to."""
    return simulation.digest() if isinstance(simulation, RemoteSimulation) else digest_of(simulation.tape)


def statistics_at(services: Services, run: Run, bar: int) -> tuple[Tape, Live]:
    """Return the tape of `run`, played to just after `bar` bars or to where it fails, and what counts on it.

    A run that is known to hang is not waited for again: it ends with the last bar that was whole.

    Raises:
        StrategyError: it is known to hang before the first bar.
    """
    error = run.error or {}
    if run.status == "failed" and error.get("hung"):
        if error["bar"] is None:
            raise StrategyError(error["message"], file=error["file"], line=error["line"], hung=True)
        bar = min(bar, error["bar"])
    simulation = open_simulation(services, run)
    with contextlib.suppress(StrategyError):  # what was played before it failed stays visible
        simulation.advance(bar)
    simulation.close()
    return simulation.tape, Live(simulation.tape)


def bar_asked(run: Run, bar: int | None) -> int:
    """Return the bar that a page asks for: within the run, and as far as it was played when none is named."""
    return run.playhead if bar is None else max(0, min(bar, run.total_bars))
