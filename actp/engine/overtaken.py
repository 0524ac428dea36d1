"""Finding out which open calls can never be mined, because something else has used up their nonce."""

from __future__ import annotations

from dataclasses import dataclass

from actp.engine.exchange import mined_count
from actp.engine.intents import Submission
from actp.engine.lane import Lane
from actp.engine.lookup import is_known, where_used
from actp.engine.policy import Policy
from actp.rpc import Transport, quantity

__all__ = ["Overtaken"]

_LONGEST_GAP = 60.0
_MOST_AT_ONCE = 8
"""Each takes some dozens of questions, and everything else waits meanwhile."""


@dataclass(slots=True)
class _Asked:
    """When to ask for a call again, and since when nothing tells what used its nonce."""

    again_at: float
    gap: float
    untold_since: float | None = None


class Overtaken:
    """Looks after one lane. Needs the turn."""

    def __init__(self, transport: Transport, lane: Lane, policy: Policy) -> None:
        self._transport = transport
        self._lane = lane
        self._policy = policy
        self._asked: dict[str, _Asked] = {}

    def look(self) -> tuple[list[Submission], list[Submission]]:
        """What somebody else's use of the nonce has buried deep enough, and what nobody can tell about for too long.

        Raises RpcError, RpcUnavailable with nothing decided.
        """
        opened = self._lane.opened()
        lost: list[Submission] = []
        unknown: list[Submission] = []
        if not opened or opened[0].nonce >= self._lane.mined:
            self._asked.clear()
            return lost, unknown
        self._asked = {one.tx_hash: self._asked[one.tx_hash] for one in opened if one.tx_hash in self._asked}
        now = self._lane.store.clock.monotonic()
        count = min(mined_count(self._transport, self._lane.address), self._lane.mined)
        due = [one for one in opened if one.nonce < count and self._is_due(one, now)][:_MOST_AT_ONCE]
        for one in due:
            asked = self._asked.setdefault(one.tx_hash, _Asked(now, self._policy.final_check))
            asked.again_at, asked.gap = now + asked.gap, min(asked.gap * 2, _LONGEST_GAP)
            if any(is_known(self._transport, tx_hash) for tx_hash in one.call_hashes):
                asked.untold_since = None
                continue
            depth = self._depth_of_other(one)
            if depth is not None:
                asked.untold_since = None
                if depth >= self._policy.buried:
                    lost.append(one)
            elif asked.untold_since is None:
                asked.untold_since = now
            elif now - asked.untold_since >= self._policy.unresolved_for:
                unknown.append(one)
        return lost, unknown

    def _is_due(self, one: Submission, now: float) -> bool:
        asked = self._asked.get(one.tx_hash)
        return asked is None or asked.again_at <= now

    def _depth_of_other(self, one: Submission) -> int | None:
        """How many blocks lie on the use of a nonce by something else, None if that is not told."""
        use = where_used(self._transport, one.sender, one.nonce)
        if use is None:
            return 0
        if use.block is None or use.tx_hash in one.call_hashes:
            return None  # one of ours would have been found by its hash, unless the node has thrown that away
        return quantity(self._transport, "eth_blockNumber", []) - use.block
