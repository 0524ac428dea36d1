"""A contract at an address, as one account sees it: typed reads, simulations and sends. Sends go through
`actp.engine`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from actp import artifacts, reverts
from actp.decoding import Event, EventDecoder
from actp.engine import Sender
from actp.errors import ActpError, NoCode, RpcError
from actp.rpc import Transport
from actp.types import Receipt

__all__ = ["Binding", "Session", "TxResult", "hex32"]


@dataclass(frozen=True, slots=True)
class TxResult:
    """A mined eth transaction that did what was asked.

    `gas_used` and `effective_gas_price` (wei) are its own; `events` are those of kernel and vault, in order. `prior`
    are the eth transactions that had to be mined first, such as an approval of tokens.
    """

    tx_hash: str
    block: int
    block_hash: str
    gas_used: int
    effective_gas_price: int
    events: tuple[Event, ...]
    prior: tuple[TxResult, ...] = ()

    def after(self, prior: tuple[TxResult, ...]) -> TxResult:
        """The same result, with what was mined before it."""
        return replace(self, prior=prior)


class Session:
    """One account on one chain: what all contract objects of a client share. May be used from several threads."""

    def __init__(self, transport: Transport, sender: Sender, decoder: EventDecoder, *, genesis: str) -> None:
        """`genesis` is the hash of the chain's first block."""
        self.transport = transport
        self.genesis = genesis
        self.sender = sender
        self.decoder = decoder

    @property
    def address(self) -> str:
        """The account that signs and pays for gas."""
        return self.sender.address

    def now(self) -> int:
        """The chain's time, in unix seconds: what a block that is mined now would carry."""
        # The newest block may be hours old on a chain that mines only when there is something to mine. Nodes that
        # know no pending block answer with an error or with null.
        newest = self._timestamp("latest")
        try:
            return max(newest or 0, self._timestamp("pending") or 0)
        except RpcError:
            return newest or 0

    def result(self, receipt: Receipt) -> TxResult:
        """What a caller gets to see of a receipt."""
        return TxResult(
            tx_hash=receipt.tx_hash,
            block=receipt.block_number,
            block_hash=receipt.block_hash,
            gas_used=receipt.gas_used,
            effective_gas_price=receipt.effective_gas_price,
            events=self.decoder.decode_all(receipt.logs),
        )

    def _timestamp(self, tag: str) -> int | None:
        block = self.transport.request("eth_getBlockByNumber", [tag, False])
        return None if block is None else int(block["timestamp"], 16)


@dataclass(frozen=True)
class Binding:
    """The contract `name` (of an artifact) at `address`."""

    session: Session = field(repr=False)
    name: str
    address: str

    def read(self, function: str, *arguments: Any) -> Any:
        """What a view returns, or a call if it were sent now: one value, or a tuple of several.

        Addresses are checksummed, bytes are bytes. Raises Reverted, NoCode, and ConfigError if another contract is
        there.
        """
        answer = self._call(function, arguments)
        if not answer:
            raise NoCode(self.name, self.address)
        values = artifacts.load(self.name).decode_result(function, answer)
        return values[0] if len(values) == 1 else values

    def simulate(self, function: str, *arguments: Any) -> None:
        """Runs a call on the newest state without sending it. Raises Reverted if the contract would refuse."""
        self._call(function, arguments)

    def _call(self, function: str, arguments: tuple[Any, ...]) -> bytes:
        call = {"from": self.session.address, "to": self.address, "data": "0x" + self._data(function, arguments).hex()}
        try:
            return bytes.fromhex(self.session.transport.request("eth_call", [call, "latest"])[2:])
        except RpcError as error:
            refusal = reverts.from_error(error, outcome="not_sent")
            if refusal is None:
                raise
            raise refusal from error

    def send(self, function: str, *arguments: Any) -> TxResult:
        """Sends a call and waits until it is mined and has succeeded. See `actp.engine.Sender.send` for the errors;
        ActpError if it was mined without doing anything.
        """
        return self.session.result(self.send_raw(function, *arguments))

    def send_raw(self, function: str, *arguments: Any) -> Receipt:
        """As `send`, with the receipt as it is."""
        receipt = self.session.sender.send(self.address, self._data(function, arguments))
        # Whatever changes something in these contracts emits an event; a call to an address without code succeeds too.
        if not any(log.address == self.address for log in receipt.logs):
            raise ActpError(
                f"The eth transaction {receipt.tx_hash} is mined and did nothing: it has no event of the {self.name} "
                f"at {self.address}.",
                code="no_effect",
                hint="Check that the contract is still there: a development chain may have been set back before it.",
            )
        return receipt

    def _data(self, function: str, arguments: tuple[Any, ...]) -> bytes:
        return artifacts.load(self.name).call_data(function, arguments)


def hex32(value: bytes) -> str:
    """bytes32 as 0x hex."""
    return "0x" + value.hex()
