"""A crew's purchases as a scenario file, played through the coordinator on a chain of its own. `run_demo` is the way
in; `run_crash_demo` kills a worker instead.
"""

from coordinator.crew.demo import run_crash_demo, run_demo

__all__ = ["run_crash_demo", "run_demo"]
