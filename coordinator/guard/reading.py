"""Reads evidence by JSON-RPC. What is read is of blocks that are named by their hash, where the node can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actp import reverts
from actp.errors import RpcError, RpcUnavailable
from actp.pool.capabilities import Capability, supports
from actp.reads import ask_together
from actp.rpc import Transport, is_rate_limit, wants_smaller_range
from actp.units import keccak
from coordinator.guard.evidence import Allowance, Holding, State
from coordinator.guard.happenings import APPROVAL, TRANSFER, topic_of
from coordinator.types import ETH, BlockRef

__all__ = ["Header", "Reader", "StateGone"]

_BALANCE_OF, _ALLOWANCE = "0x70a08231", "0xdd62ed3e"
_BATCH = 200
_DELEGATION = "0xef0100"

Call = tuple[str, list[Any]]
Json = Mapping[str, Any]


class StateGone(Exception):
    """The node does not have the state of this block (any more)."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block, its parent's hash, and the hashes of its eth transactions."""

    ref: BlockRef
    parent: str
    hashes: tuple[str, ...]


class Reader:
    """Questions to one node. All methods raise RpcError and RpcUnavailable."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._by_hash = supports(transport, Capability.READS_BY_HASH)
        self.block_receipts = supports(transport, Capability.BLOCK_RECEIPTS)

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        """The results, an RpcError for what the node refuses to answer; raises RpcUnavailable for a rate limit."""
        answers = ask_together(self._transport, calls, at_once=_BATCH)
        for answer in answers:
            if isinstance(answer, RpcError) and is_rate_limit(answer):
                raise RpcUnavailable(
                    f"{self._transport.label} limits how much may be asked: {answer.message}",
                    code="rate_limited", outcome="none",
                )  # fmt: skip
        return answers

    def headers(self, which: Sequence[int | str]) -> list[Header | None]:
        """Blocks by number or tag; None for one that the node does not have."""
        calls: list[Call] = [("eth_getBlockByNumber", [_block(one), False]) for one in which]
        return [None if answer is None else self._header(answer) for answer in self._demand(calls)]

    def _header(self, answer: Any) -> Header:
        try:
            ref = BlockRef(int(answer["number"], 16), answer["hash"].lower())
            return Header(ref, answer["parentHash"].lower(), tuple(map(str.lower, answer["transactions"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._nonsense("a block") from error

    def bodies(self, blocks: Sequence[BlockRef]) -> list[list[Json]]:
        """The eth transactions of each block."""
        answers = self._demand([("eth_getBlockByHash", [block.hash, True]) for block in blocks])
        if any(answer is None for answer in answers):
            raise self._nonsense("a block that it had named")
        return [answer["transactions"] for answer in answers]

    def receipts(self, hashes: Sequence[str]) -> list[Json | None]:
        """Receipts by hash of the eth transaction; None for one that is not mined, as far as the node knows."""
        answers = self._demand([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes])
        return [None if answer is None or answer.get("blockNumber") is None else answer for answer in answers]

    def receipts_of_blocks(self, blocks: Sequence[BlockRef]) -> list[list[Json]]:
        """All receipts of each block. Only where `block_receipts`."""
        answers = self._demand([("eth_getBlockReceipts", [block.hash]) for block in blocks])
        for block, answer in zip(blocks, answers, strict=True):
            if not isinstance(answer, list) or any(one.get("blockHash", "").lower() != block.hash for one in answer):
                raise self._nonsense("the receipts of a block that it had named")
        return answers

    def token_logs(self, blocks: Sequence[BlockRef], tokens: Iterable[str]) -> list[list[Json]]:
        """Every Transfer and Approval of the tokens in each block."""
        wanted = {"address": sorted(tokens), "topics": [[TRANSFER, APPROVAL]]}
        if not wanted["address"]:
            return [[] for _ in blocks]
        return self._logs_in(blocks, [wanted])

    def our_logs_in(self, blocks: Sequence[BlockRef], tokens: Iterable[str], accounts: Iterable[str]) -> list[Json]:
        """The Transfers and Approvals of accounts in these blocks."""
        wanted = _our_logs(tokens, accounts)
        return [log for logs in self._logs_in(blocks, wanted) for log in logs] if wanted else []

    def our_logs(self, first: int, last: int, tokens: Iterable[str], accounts: Iterable[str]) -> list[Json]:
        """The same in a range of blocks, in as few questions as the node allows."""
        found: list[Json] = []
        for wanted in _our_logs(tokens, accounts):
            found.extend(self._range(first, last, wanted))
        return found

    def state(self, block: BlockRef, accounts: Sequence[str], keys: Sequence[Allowance]) -> State:
        """Everything but the balances; allowances that the token does not tell are left out. Raises StateGone."""
        at = self._at(block)
        calls: list[Call] = [("eth_getTransactionCount", [account, at]) for account in accounts]
        calls.extend(("eth_getCode", [account, at]) for account in accounts)
        for token, owner, spender in keys:
            data = _ALLOWANCE + topic_of(owner)[2:] + topic_of(spender)[2:]
            calls.append(("eth_call", [{"to": token, "data": data}, at]))
        answers = self.ask(calls)
        count = len(accounts)
        nonces, codes, allowances = answers[:count], answers[count : 2 * count], answers[2 * count :]
        if not all(isinstance(answer, str) for answer in (*nonces, *codes)) or any(map(_is_gone, allowances)):
            raise StateGone
        return State(
            nonces={account: int(answer, 16) for account, answer in zip(accounts, nonces, strict=True)},
            codes={account: _code(answer) for account, answer in zip(accounts, codes, strict=True)},
            allowances={key: int(answer, 16) for key, answer in zip(keys, allowances, strict=True) if _is_word(answer)},
        )

    def balances(self, wanted: Sequence[tuple[BlockRef, Sequence[Holding]]]) -> list[dict[Holding, int] | None]:
        """The balances after each block; None for a block whose state is gone. A balance that a token does not tell is
        left out. Each block needs a holding of ether, by which the one is told from the other.
        """
        calls: list[Call] = []
        for block, holdings in wanted:
            at = self._at(block)
            for account, asset in holdings:
                if asset == ETH:
                    calls.append(("eth_getBalance", [account, at]))
                else:
                    calls.append(("eth_call", [{"to": asset, "data": _BALANCE_OF + topic_of(account)[2:]}, at]))
        answers = iter(self.ask(calls))
        return [_balances(holdings, answers) for _, holdings in wanted]

    def _at(self, block: BlockRef) -> Any:
        # By number, who asks has to look at the hashes again afterwards.
        return {"blockHash": block.hash} if self._by_hash else hex(block.number)

    def _demand(self, calls: Sequence[Call]) -> list[Any]:
        answers = self.ask(calls)
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return answers

    def _logs_in(self, blocks: Sequence[BlockRef], filters: Sequence[Mapping[str, Any]]) -> list[list[Json]]:
        calls: list[Call] = []
        for block in blocks:
            number = hex(block.number)
            where = {"blockHash": block.hash} if self._by_hash else {"fromBlock": number, "toBlock": number}
            calls.extend(("eth_getLogs", [{**one, **where}]) for one in filters)
        answers = self._demand(calls)
        # A node that has not got a block may say null.
        if not all(isinstance(answer, list) for answer in answers):
            raise self._nonsense("the logs of a block that it had named")
        count = len(filters)
        return [
            [log for answer in answers[index * count : (index + 1) * count] for log in answer]
            for index in range(len(blocks))
        ]

    def _range(self, first: int, last: int, wanted: Mapping[str, Any]) -> Iterator[Json]:
        span, refused = last - first + 1, last - first + 2
        while first <= last:
            end = min(last, first + span - 1)
            try:
                answer = self._transport.request(
                    "eth_getLogs", [{**wanted, "fromBlock": hex(first), "toBlock": hex(end)}]
                )
            except (RpcError, RpcUnavailable) as error:
                if end == first or not wants_smaller_range(error):
                    raise
                refused = end - first + 1
                span = refused // 2
                continue
            yield from answer
            # Blocks are not equally full, so the next range may be longer again, below what was refused.
            first, span = end + 1, min(span * 2, refused - 1)

    def _nonsense(self, wanted: str) -> RpcUnavailable:
        return RpcUnavailable(
            f"The node {self._transport.label} does not show {wanted}.",
            hint="It may lag behind, or be several nodes that disagree: it is asked again.", outcome="none",
        )  # fmt: skip


def _block(which: int | str) -> str:
    return hex(which) if isinstance(which, int) else which


def _our_logs(tokens: Iterable[str], accounts: Iterable[str]) -> list[Mapping[str, Any]]:
    addresses, topics = sorted(tokens), [topic_of(account) for account in accounts]
    if not addresses or not topics:
        return []
    return [
        {"address": addresses, "topics": [[TRANSFER, APPROVAL], topics]},
        {"address": addresses, "topics": [TRANSFER, None, topics]},
    ]


def _is_gone(answer: Any) -> bool:
    """Whether a call failed because the node has no state for it, and not because of what it called."""
    return isinstance(answer, RpcError) and reverts.from_error(answer) is None


def _is_word(answer: Any) -> bool:
    return isinstance(answer, str) and len(answer) == 66


def _code(code: str) -> str:
    if code == "0x" or code.startswith(_DELEGATION):
        return code.lower()
    return "0x" + keccak(bytes.fromhex(code[2:])).hex()


def _balances(holdings: Sequence[Holding], answers: Iterator[Any]) -> dict[Holding, int] | None:
    found: dict[Holding, int] = {}
    gone = False
    for holding in holdings:
        answer = next(answers)
        if holding[1] == ETH:
            if isinstance(answer, str):
                found[holding] = int(answer, 16)
            else:
                gone = True
        elif _is_word(answer):
            found[holding] = int(answer, 16)
        elif _is_gone(answer):
            gone = True
    return None if gone else found
