"""What a node of the chain says about proofs: receipts byte by byte, blocks, balances, and what others did in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actp.engine import receipts
from actp.engine.exchange import ask_all
from actp.errors import RpcError
from actp.pool.capabilities import Capability, supports
from actp.rpc import Transport, genesis_hash
from actp.rpc import chain_id as chain_id_of
from coordinator.canonical import canonical
from coordinator.guard.happenings import TRANSFER
from coordinator.proofs.accounting import flat, transfers_of
from coordinator.proofs.claims import (
    BlockClaim,
    Delta,
    Execution,
    FinalizedHead,
    Head,
    Holdings,
    LogClaim,
    ProofClaim,
    ReceiptClaim,
    same,
)
from coordinator.proofs.documents import first_difference
from coordinator.proofs.parts import receipt_part
from coordinator.proofs.reporting import Findings, Path
from coordinator.types import ETH

__all__ = ["OnChain"]

_AT: Path = ("parts", "execution")
_BALANCES: Path = (*_AT, "delta", "balances")


class OnChain:
    """Compares claims with the chain of one node. Methods raise RpcUnavailable."""

    def __init__(self, transport: Transport, found: Findings) -> None:
        self._transport = transport
        self._found = found
        self._by_hash = supports(transport, Capability.READS_BY_HASH)
        self._blocks: dict[int, Mapping[str, Any] | None] = {}

    def is_of(self, index: int, head: Head) -> bool:
        """Whether the node serves the chain that this link of the file names."""
        served = chain_id_of(self._transport)
        if served != head.chain_id:
            self._found.wrong(index, ("head", "chainId"), "chain", f"The node serves chain {served}.")
        elif not same(genesis_hash(self._transport, served), head.genesis):
            self._found.wrong(index, ("head", "genesis"), "chain", "The node's chain has another first block.")
        else:
            self._found.say("chain", f"chain {served} with the same first block")
            return True
        return False

    def proof(self, claim: ProofClaim, receipt: Mapping[str, Any]) -> None:
        """A proof that nobody takes back; `receipt` is the one in it, as it is written."""
        execution = claim.execution
        if execution is None:
            self._simulated(claim, None)
            self._found.unchecked("blockchain", "Nothing was mined for it, so the blockchain cannot tell.")
            return
        if not self._mined(claim.index, execution.receipt, receipt):
            return
        self._simulated(claim, execution.receipt.block.number)
        if execution.delta is None:
            self._found.unchecked("balances", "The proof holds no balances.")
        else:
            self._balances(claim.index, execution, execution.delta)

    def final(self, index: int, head: FinalizedHead) -> None:
        """A link that says that blocks are final."""
        stated = head.block
        block = self._block(stated.number)
        if block is None or not same(block["hash"], stated.hash):
            self._found.wrong(index, ("head", "block"), "final", "The block is not on the node's chain.")
            return
        try:
            final = self._transport.request("eth_getBlockByNumber", ["finalized", False])
        except RpcError:
            final = None
        if final is None or int(final["number"], 16) < stated.number:
            self._found.unchecked("final", "The node does not call the block final (yet).")
        else:
            self._found.say("final", f"block {stated.number} is final")

    # ---------------------------------------------------------------- what was mined

    def _mined(self, index: int, claimed: ReceiptClaim, written: Mapping[str, Any]) -> bool:
        """Whether the node has this receipt, in a block of its chain."""
        found, at = self._found, (*_AT, "receipt")
        receipt = receipts.fetch(self._transport, claimed.tx_hash)
        if receipt is None:
            text = f"The node knows no mined eth transaction {claimed.tx_hash}."
            found.wrong(index, (*at, "txHash"), "receipt", text)
            return False
        told, stated = canonical(receipt_part(receipt)), canonical(written)
        if told != stated:
            found.wrong_at(
                found.start(index, at) + first_difference(told, stated), "receipt", "The node tells another receipt."
            )
            return False
        found.say("receipt", "as the node tells it")
        block = self._block(claimed.block.number)
        if block is None or not same(block["hash"], claimed.block.hash):
            found.wrong(index, (*at, "block"), "block", "The block is not on the node's chain.")
            return False
        found.say("block", f"{claimed.block.number} is on the chain")
        return True

    def _simulated(self, claim: ProofClaim, mined: int | None) -> None:
        """On what block it was simulated. One that is not on the chain is no lie by itself: it may have been replaced
        before anything was mined, as the newest one often is on chains that show blocks before they are sealed.
        """
        simulation, name = claim.simulation, "simulated on"
        if simulation is None:
            return
        at: Path = ("parts", "simulation", "block")
        stated = simulation.block
        block = self._block(stated.number)
        there = block is not None and same(block["hash"], stated.hash)
        if simulation.on_chain is None and there:
            self._found.say(name, f"block {stated.number}, which is on the chain")
        elif simulation.on_chain:
            text = f"block {stated.number}, below the one that mined it"
            self._found.fact(claim.index, at, name, text, there and mined is not None and stated.number < mined)
        elif there:
            self._found.wrong(claim.index, at, name, "The proof says that the block was replaced, and it was not.")
        else:
            self._found.unchecked(name, f"Block {stated.number} of the chain is another one, as it may be replaced.")

    # ---------------------------------------------------------------- balances

    def _balances(self, index: int, execution: Execution, delta: Delta) -> None:
        """B is what the node's states say, and what is left of it unexplained is what the block leaves so."""
        told, found = delta.balances, self._found
        blocks = [self._block(told.before), self._block(told.after)]
        for asset, changes in told.deltas.items():
            for account, change in changes.items():
                name = f"change of {account}'s {asset}"
                before, after = (self._balance(account, asset, block) for block in blocks)
                if before is None or after is None:
                    found.unchecked(name, "The node does not tell the state of these blocks.")
                elif after - before == change:
                    found.say(name, f"{change} from block {told.before} to {told.after}")
                else:
                    text = f"By the node it is {after - before}."
                    found.wrong(index, (*_BALANCES, "deltas", asset, account), name, text)
        if delta.scope == "span":
            found.unchecked("residual", "The balances span several blocks, of which only the newest was looked at.")
            return
        try:
            flows = self._flows(execution.receipt.block, flat(told.deltas).keys())
        except (RpcError, KeyError, TypeError, ValueError):
            found.unchecked("residual", "The node does not tell everything that its block did.")
            return
        rest = {one: change - flows.get(one, 0) for one, change in flat(told.deltas).items()}
        holds = {one: left for one, left in rest.items() if left} == flat(told.residual)
        text = "what the block did to these accounts explains their balances, but for what is said"
        found.fact(index, (*_BALANCES, "residual"), "residual", text, holds)

    def _flows(self, block: BlockClaim, holdings: Iterable[tuple[str, str]]) -> Holdings:
        """What everything in a block, ours and others', did to these. Raises RpcError, KeyError, TypeError, ValueError
        for what a node does not tell.
        """
        wanted = set(holdings)
        tokens = {asset for _, asset in wanted} - {ETH.lower()}
        flows: Holdings = {}
        if tokens:
            where = {"blockHash": block.hash}
            if not self._by_hash:
                where = {"fromBlock": hex(block.number), "toBlock": hex(block.number)}
            query = {"address": sorted(tokens), "topics": [TRANSFER], **where}
            logs = self._transport.request("eth_getLogs", [query])
            claims = [LogClaim(address=log["address"], topics=tuple(log["topics"]), data=log["data"]) for log in logs]
            flows = transfers_of(claims, tokens)
        accounts = {account for account, asset in wanted if asset == ETH.lower()}
        body = self._transport.request("eth_getBlockByHash", [block.hash, True])["transactions"]
        touching = [one for one in body if {one["from"].lower(), (one.get("to") or "").lower()} & accounts]
        answers = ask_all(self._transport, [("eth_getTransactionReceipt", [one["hash"]]) for one in touching])
        for transaction, answer in zip(touching, answers, strict=True):
            if isinstance(answer, RpcError):
                raise answer
            receipt = receipts.parse(answer)
            moves = [(transaction["from"], -_fee(answer))]
            if receipt.succeeded:
                value = int(transaction["value"], 16)
                moves += [(transaction["from"], -value), (transaction.get("to") or "", value)]
            for account, change in moves:
                key = (account.lower(), ETH.lower())
                flows[key] = flows.get(key, 0) + change
        return flows

    def _balance(self, account: str, asset: str, block: Mapping[str, Any] | None) -> int | None:
        """What an account had at the end of a block; None if the node does not tell."""
        if block is None:
            return None
        at: Any = {"blockHash": block["hash"]} if self._by_hash else block["number"]
        question: tuple[str, list[Any]]
        if asset == ETH:
            question = ("eth_getBalance", [account, at])
        else:
            data = "0x70a08231" + account[2:].lower().rjust(64, "0")  # balanceOf(address)
            question = ("eth_call", [{"to": asset, "data": data}, at])
        try:
            return int(self._transport.request(*question), 16)
        except (RpcError, TypeError, ValueError):
            return None

    def _block(self, number: int) -> Mapping[str, Any] | None:
        """The block of this number, None if the chain is not that long. Each is asked for once."""
        if number not in self._blocks:
            answer = self._transport.request("eth_getBlockByNumber", [hex(number), False])
            self._blocks[number] = answer if isinstance(answer, dict) else None
        return self._blocks[number]


def _fee(answer: dict[str, Any]) -> int:
    """All that the sender paid, as far as the receipt tells. Raises ValueError if it does not tell all of it."""
    receipt = receipts.parse(answer)
    fee = receipt.gas_used * receipt.effective_gas_price
    if receipt.l1_fee is None:
        return fee
    if receipt.operator_fee is None:
        raise ValueError(receipt.tx_hash)
    return fee + receipt.l1_fee + receipt.operator_fee
