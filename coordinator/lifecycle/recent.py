"""What was decided lately, so that it need not be read back while it is on its way."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from coordinator.store import decisions
from coordinator.store.decisions import Decided

__all__ = ["Recent"]

_MOST = 20_000


class Recent:
    """Decisions by operation. What this process has not made, or has made too long ago, is read."""

    def __init__(self) -> None:
        self._known: dict[int, Decided] = {}

    def note(self, made: Iterable[Decided]) -> None:
        """Remembers what was committed."""
        self._known.update((one.operation_id, one) for one in made)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    def get(self, connection: Connection, operation_ids: Iterable[int]) -> dict[int, Decided]:
        """The newest decision about each of these operations."""
        wanted = list(operation_ids)
        missing = [one for one in wanted if one not in self._known]
        if missing:
            self.note(decisions.latest(connection, missing).values())
        return {one: self._known[one] for one in wanted if one in self._known}

    def forget(self, operation_ids: Iterable[int]) -> None:
        """These have ended."""
        for one in operation_ids:
            self._known.pop(one, None)
