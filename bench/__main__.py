"""Run one benchmark by name, or those that matter most."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from bench.kit import machine

NOT_BENCHMARKS = {"__init__", "__main__", "beside", "clients", "deaths", "kit", "sabotage", "visitors"}


def main(argv: list[str]) -> int:
    """Run bench/<name>.py with the arguments that follow; with no name, bench/run.py."""
    name, *rest = argv or ["run"]
    names = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - NOT_BENCHMARKS)
    if name not in names:
        print(f"There is no benchmark {name!r}: choose one of {', '.join(names)}.", file=sys.stderr)
        return 2
    print(machine(), flush=True)
    return importlib.import_module(f"bench.{name}").main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
