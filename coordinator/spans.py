"""What was done for one purchase and how long that took, told to whoever traces. Without anybody nothing is made.

A span names its purchase by the ACTP transaction's id and no other span: processes that work on one purchase need not
tell one another anything, and nothing is stored for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Attribute", "Span", "Tracer", "record", "span", "trace_to", "traced", "untrace"]

Attribute = str | int | bool


@dataclass(slots=True)
class Span:
    """Something that was done for a purchase. Times are unix seconds. `attributes` hold no secrets and no purposes;
    amounts are base units. `first`: the others belong below it. `error` is the code of what it ended with.
    """

    name: str
    transaction_id: str
    started_at: float
    ended_at: float = 0.0
    attributes: dict[str, Attribute] = field(default_factory=dict)
    first: bool = False
    error: str = ""


class Tracer(Protocol):
    """Is told of each span when it has ended. It is quick and raises nothing."""

    def ended(self, span: Span) -> None:
        """This was done."""


_lock = threading.Lock()
_tracers: tuple[Tracer, ...] = ()


def trace_to(tracer: Tracer) -> None:
    """Tells it everything from now on."""
    global _tracers
    with _lock:
        _tracers = (*_tracers, tracer)


def untrace(tracer: Tracer) -> None:
    """Tells it nothing more."""
    global _tracers
    with _lock:
        _tracers = tuple(one for one in _tracers if one is not tracer)


def traced() -> bool:
    """Whether anybody listens: what takes a query to find out is found out only then."""
    return bool(_tracers)


def record(
    name: str,
    transaction_id: str,
    started_at: float,
    ended_at: float,
    attributes: Mapping[str, Attribute | None],
    *,
    error: str = "",
) -> None:
    """A span that has ended; attributes that are None are left out."""
    if _tracers:
        known = {key: value for key, value in attributes.items() if value is not None}
        _tell(Span(name, transaction_id, started_at, ended_at, known, error=error))


@contextmanager
def span(name: str, transaction_id: str, *, first: bool = False, **attributes: Attribute) -> Iterator[Span]:
    """What runs within it is the span, which may still be changed then."""
    made = Span(name, transaction_id, time.time(), attributes=attributes, first=first)
    try:
        yield made
    except BaseException as error:
        made.error = str(getattr(error, "code", type(error).__name__))
        raise
    finally:
        made.ended_at = time.time()
        _tell(made)


def _tell(made: Span) -> None:
    for one in _tracers:
        one.ended(made)
