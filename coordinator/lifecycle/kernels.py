"""The kernels with which one wallet works: which of them an intent is about, and building for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from actp.client import ACTPClient
from actp.errors import ActpError
from coordinator.errors import InvalidIntent
from coordinator.intents import Built, Intent, World, build_all
from coordinator.intents.bases import Spending

__all__ = ["Kernels", "client_of"]


def client_of(clients: Sequence[ACTPClient], intent: Intent) -> ACTPClient:
    """The one whose kernel the intent names, the first if it names none. Raises InvalidIntent if there is no such
    kernel.
    """
    named = intent.kernel if isinstance(intent, Spending) else None
    if named is None:
        return clients[0]
    found = next((one for one in clients if one.kernel.address == named), None)
    if found is None:
        known = ", ".join(one.kernel.address for one in clients)
        raise InvalidIntent(
            f"The wallet does not work with the kernel {named} here, but with {known}.",
            code="other_kernel",
            hint="Leave the kernel out, or run whoever works with that one.",
        )
    return found


class Kernels:
    """A world for each kernel. For one thread."""

    def __init__(self, clients: Sequence[ACTPClient]) -> None:
        self._clients = tuple(clients)
        self._worlds = {one.kernel.address: World(one) for one in clients}

    def ids_of(self, intent: Intent) -> tuple[str, ...]:
        """See World.ids_of; nothing for a kernel that is not known here."""
        try:
            return self._world(intent).ids_of(intent)
        except InvalidIntent:
            return ()

    def build_all(self, intents: Sequence[Intent]) -> list[Built | ActpError]:
        """See `intents.build_all`: one exchange for each kernel that is concerned."""
        answers: list[Built | ActpError | None] = [None] * len(intents)
        places: dict[str, list[int]] = defaultdict(list)
        for index, intent in enumerate(intents):
            try:
                places[self._world(intent).kernel.address].append(index)
            except InvalidIntent as error:
                answers[index] = error
        for kernel, mine in places.items():
            built = build_all([intents[index] for index in mine], self._worlds[kernel])
            for index, answer in zip(mine, built, strict=True):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def _world(self, intent: Intent) -> World:
        return self._worlds[client_of(self._clients, intent).kernel.address]
