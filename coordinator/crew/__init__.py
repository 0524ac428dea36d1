"""A crew's purchases as a scenario file, played on a chain of its own. `run_demo` is the way in."""

from coordinator.crew.demo import run_demo

__all__ = ["run_demo"]
