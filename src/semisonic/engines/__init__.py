"""Where calls are made, many at once: in this process and on this machine, or on a Ray cluster.

The room knows functions and their results, and nothing of sounds.
"""

from semisonic.engines.calls import Calls, Task, in_any_order, in_order, run_graph
from semisonic.engines.engine import (
    LOCAL_ENGINE,
    PROCESS_ENGINE,
    Engine,
    LocalEngine,
    allow_processes,
    open_engine,
    spread,
)
from semisonic.engines.options import LOCAL, RAY, EngineOptions, TrainEngineOptions, workers_option

__all__ = [
    "LOCAL",
    "LOCAL_ENGINE",
    "PROCESS_ENGINE",
    "RAY",
    "Calls",
    "Engine",
    "EngineOptions",
    "LocalEngine",
    "Task",
    "TrainEngineOptions",
    "allow_processes",
    "in_any_order",
    "in_order",
    "open_engine",
    "run_graph",
    "spread",
    "workers_option",
]
