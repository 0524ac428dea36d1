"""What was decided lately, so that it need not be read back while it is on its way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from coordinator.store import decisions
from coordinator.store.decisions import Decided

__all__ = ["Recent"]

_MOST = 20_000


class Recent:
    """Decisions by operation. What this process has not made, or has made too long ago, is read; so is what another
    process has decided anew since.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[float | None, Decided]] = {}

    def note(self, made: Iterable[tuple[float | None, Decided]]) -> None:
        """Remembers what was committed, and when it was decided."""
        self._known.update((one.operation_id, (at, one)) for at, one in made)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    def get(self, connection: Connection, wanted: Mapping[int, float | None]) -> dict[int, Decided]:
        """The newest decision about each of these operations, which `wanted` says when they were decided."""
        missing = [one for one, at in wanted.items() if one not in self._known or self._known[one][0] != at]
        if missing:
            found = decisions.latest(connection, missing)
            self.note((wanted[number], one) for number, one in found.items())
        return {one: self._known[one][1] for one in wanted if one in self._known}

    def forget(self, operation_ids: Iterable[int]) -> None:
        """These have ended."""
        for one in operation_ids:
            self._known.pop(one, None)
