"""Simulation outside this process: users' code runs in warm children, and its tape is read here.

`Pool` gives out `RemoteSimulation`s, which look like a `Simulation`. What a strategy does to its process (hangs, eats
memory, crashes, forks, kills its parent) ends its own run and nothing else. It is no sandbox: the child runs as the
same user and may read and write what that user may. On Windows there is no keeper and no limit on memory.

    server ── nursery (engine, NumPy, pandas, TA-Lib loaded; forks on request)
       │         └── keeper (knows when the run ends, ends what is left of it)
       └─ socket ─────── └── run (one strategy, one tape)

What comes back is never unpickled, only read as plain data of bounded size.
"""

from engine.remote.limits import Limits
from engine.remote.pool import Busy, Pool, TooLong, Unavailable, shared
from engine.remote.twin import RemoteSimulation

__all__ = ["Busy", "Limits", "Pool", "RemoteSimulation", "TooLong", "Unavailable", "shared"]
