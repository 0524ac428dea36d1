"""Finding out what became of what is open, and whether what was mined still is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actp.engine.exchange import as_quantity, ask_all, understanding
from actp.engine.intents import Attempt, Settled, Submission
from actp.engine.lane import Lane
from actp.engine.policy import Policy
from actp.engine.store import attempts
from actp.engine.store.schema import AttemptState
from actp.errors import RpcError
from actp.rpc import Transport

__all__ = ["Watching"]

_MANY = 20
"""From so many on, whole blocks of receipts are cheaper than one question for each."""
_CHUNK = 100


class Watching:
    """Watches one lane. Needs the turn."""

    def __init__(self, transport: Transport, lane: Lane, policy: Policy) -> None:
        self._transport = transport
        self._lane = lane
        self._policy = policy
        self.height = 0
        """The newest block at the last look."""
        self._fewer_since: float | None = None
        """Since when every count of mined nonces is lower than one that was seen before."""
        self._tip: tuple[int, str] | None = None
        """The newest block when the blocks of `_checked` were last found on the chain."""
        self._checked: set[str] = set()

    def look(self) -> bool:
        """Settles what is mined; whether there was anything. Raises RpcError, RpcUnavailable, StoreError."""
        opened = self._lane.opened()
        if not opened:
            return False
        count, self.height = self._heights()
        self._note_fewer(count)
        mined = [one for one in opened if one.nonce < count]
        if not mined:
            return False
        found = self._in_blocks(mined) if len(mined) >= _MANY else []
        missing = {one.nonce for one in mined} - {one.nonce for one in found}
        # The rest at the next look: asking for thousands one by one would keep everything else waiting.
        found += self._by_hash([one for one in mined if one.nonce in missing][:_CHUNK])
        self._lane.settled(found)
        if not self._lane.recount:
            self._lane.counted(max(self._lane.mined, count))
        return bool(found)

    def _note_fewer(self, count: int) -> None:
        """Nonces that are no longer used went with their blocks, unless a node only lags behind for a while."""
        now = self._lane.store.clock.monotonic()
        if count >= self._lane.mined:
            self._fewer_since = None
        elif self._fewer_since is None:
            self._fewer_since = now
        patience = self._policy.resend_after if self._lane.reopens else 0.0
        if self._fewer_since is not None and now - self._fewer_since >= patience:
            self._fewer_since, self._lane.recount = None, True

    def check_blocks(self) -> int | None:
        """The lowest nonce of ours whose block is no longer on the chain, None if all still are.

        Notes which of them the chain calls safe and final by now. Raises RpcError, RpcUnavailable, StoreError.
        """
        lane = self._lane
        with lane.store.read() as connection:
            mined = attempts.by_state(connection, lane.id, (AttemptState.SEALED, AttemptState.SAFE))
        if not mined:
            self._tip, self._checked = None, set()
            return None
        tip = None if self._tip is None else self._tip[0]
        safe, final, latest, again = self._blocks(
            ["safe", "finalized", "latest", "latest" if tip is None else hex(tip)]
        )
        if again is None or latest is None:
            return None  # this node is behind what was seen before, and proves nothing
        if self._tip is not None and _hash(again) != self._tip[1]:
            self._checked = set()
        gone = self._gone([one for one in mined if one.tx_hash not in self._checked], latest)
        if gone is None:
            # Nobody asks again about what is final: one old answer must not decide that.
            gone = self._gone(self._reached(mined, final), latest)
        if gone is not None:
            self._tip, self._checked = None, set()
            return gone
        self._tip = (as_quantity(latest["number"], "eth_getBlockByNumber"), _hash(latest))
        self._note(mined, AttemptState.FINALIZED, final, (AttemptState.SEALED, AttemptState.SAFE))
        self._note(mined, AttemptState.SAFE, safe, (AttemptState.SEALED,))
        self._checked &= {one.tx_hash for one in mined}
        return None

    def _gone(self, mined: Sequence[Attempt], tip: dict[str, Any]) -> int | None:
        """The lowest nonce of these whose block another one has replaced."""
        numbers = sorted({one.block_number for one in mined if one.block_number is not None})
        blocks: dict[int, dict[str, Any] | None] = {}
        certain: set[int] = set()
        for start in range(0, len(numbers), _CHUNK - 1):
            part = numbers[start : start + _CHUNK - 1]
            *found, same = self._blocks([*map(hex, part), tip["number"]])
            blocks.update(zip(part, found, strict=True))
            # Behind one address there may be many nodes: blocks stay on the chain as long as the tip does that the same
            # node named with them.
            if same is not None and _hash(same) == _hash(tip):
                certain.update(part)
        for one in mined:
            block = blocks.get(one.block_number or 0)
            # A block that a node does not have proves nothing: it may lag behind. Another block in its place does.
            if block is None:
                continue
            if _hash(block) != (one.block_hash or "").lower():
                return one.nonce
            if one.block_number in certain:
                self._checked.add(one.tx_hash)
        return None

    def _note(
        self, mined: Sequence[Attempt], state: AttemptState, block: dict[str, Any] | None, only: Sequence[AttemptState]
    ) -> None:
        reached = [one.tx_hash for one in self._reached(mined, block) if one.state in only]
        if reached:
            with self._lane.writing() as connection:
                now = self._lane.store.clock.time()
                attempts.mark_all(connection, self._lane.id, reached, state, now, only=only)

    def _reached(self, mined: Sequence[Attempt], block: dict[str, Any] | None) -> list[Attempt]:
        """Those that are on the chain, and in this block or before it."""
        height = -1 if block is None else as_quantity(block["number"], "eth_getBlockByNumber")
        return [one for one in mined if one.tx_hash in self._checked and (one.block_number or 0) <= height]

    def _blocks(self, tags: Sequence[str]) -> list[dict[str, Any] | None]:
        """Blocks by number or tag; None for what a node does not have, or does not know the tag of."""
        answers = self._ask([("eth_getBlockByNumber", [tag, False]) for tag in tags])
        return [answer if _is_block(answer) else None for answer in answers]

    def _heights(self) -> tuple[int, int]:
        """Nonces mined and height, at `latest`."""
        count, head = self._ask([("eth_getTransactionCount", [self._lane.address, "latest"]), ("eth_blockNumber", [])])
        return as_quantity(count, "eth_getTransactionCount"), as_quantity(head, "eth_blockNumber")

    def _in_blocks(self, mined: Sequence[Submission]) -> list[Settled]:
        """What whole blocks of receipts tell: of the block of the lowest nonce, then of the lowest that is left."""
        left = list(mined)
        found: list[Settled] = []
        while len(left) >= _MANY:
            lowest = self._by_hash(left[:1])
            if not lowest:
                break
            try:
                answer = self._transport.request("eth_getBlockReceipts", [hex(lowest[0].block_number)])
            except RpcError:
                break  # a node that does not know the method, or has no more room for the answer
            by_hash = {tx_hash: one for one in left for tx_hash in one.call_hashes}
            with understanding("eth_getBlockReceipts"):
                here = [
                    _settled(by_hash[receipt["transactionHash"]], receipt)
                    for receipt in answer or ()
                    # Another node, or a preconfirmed block, may be of another block at this height.
                    if receipt["transactionHash"] in by_hash
                    and receipt["blockHash"].lower() == lowest[0].block_hash.lower()
                ]
            if not here:
                break
            found += here
            done = {one.nonce for one in here}
            left = [one for one in left if one.nonce not in done]
        return found

    def _by_hash(self, mined: Sequence[Submission]) -> list[Settled]:
        wanted = [(one, tx_hash) for one in mined for tx_hash in one.call_hashes]
        receipts = self._ask([("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in wanted])
        with understanding("eth_getTransactionReceipt"):
            got = [
                _settled(one, receipt)
                for (one, _), receipt in zip(wanted, receipts, strict=True)
                if isinstance(receipt, dict) and receipt.get("blockNumber") is not None
            ]
        # Preconfirmed receipts name blocks that may never be.
        numbers = sorted({one.block_number for one in got})
        blocks = self._blocks([hex(number) for number in numbers])
        sealed = {number: _hash(block) for number, block in zip(numbers, blocks, strict=True) if block is not None}
        return [one for one in got if sealed.get(one.block_number) == one.block_hash.lower()]

    def _ask(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(calls), _CHUNK):
            answers += ask_all(self._transport, calls[start : start + _CHUNK])
        return answers


def _settled(one: Submission, receipt: dict[str, Any]) -> Settled:
    return Settled(
        one.intent_id,
        one.nonce,
        receipt["transactionHash"],
        int(receipt["blockNumber"], 16),
        receipt["blockHash"],
        int(receipt["status"], 16) == 1,
    )


def _is_block(answer: Any) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("hash"), str) and isinstance(answer.get("number"), str)


def _hash(block: dict[str, Any]) -> str:
    return str(block["hash"]).lower()
