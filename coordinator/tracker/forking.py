"""What becomes of a tracker in a process that is forked: its connections are the parent's, and stay untouched."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forked", "tell_forks"]


class Forked(Protocol):
    """Something with connections and locks of its own."""

    def forked(self) -> None:
        """This is another process now, with one thread. What is open stays open, for the parent's sake."""


_told: weakref.WeakSet[Forked] = weakref.WeakSet()


def tell_forks(one: Forked) -> None:
    """From now on `one` is told in every forked process, before anything else runs there. It is not kept alive."""
    _told.add(one)


def _tell() -> None:
    for one in list(_told):
        one.forked()


os.register_at_fork(after_in_child=_tell)
