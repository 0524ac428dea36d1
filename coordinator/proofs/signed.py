"""The signed bytes: whose they are, that they are what the receipt is about, and that they do what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from actp.errors import ActpError
from actp.units import keccak
from coordinator.canonical import sha256
from coordinator.intents.models import Intent
from coordinator.proofs import asking
from coordinator.proofs.asking import Sent
from coordinator.proofs.claims import EffectsClaim, Execution, ProofClaim, same
from coordinator.proofs.reporting import Findings, Path
from coordinator.types import Effects

__all__ = ["check_signed"]

_AT: Path = ("parts", "execution")


@dataclass(frozen=True, slots=True)
class _Signed:
    sender: str
    chain_id: int
    nonce: int
    to: str
    value: int
    data: bytes


def check_signed(claim: ProofClaim, execution: Execution, intent: Intent | None, found: Findings) -> None:
    """Compares the signed bytes with the head, the receipt, the call and, if that could be read, the intent."""
    index, head, receipt, call = claim.index, claim.head, execution.receipt, execution.call
    raw = bytes.fromhex(execution.raw[2:])
    at: Path = (*_AT, "raw")
    hashed = "0x" + keccak(raw).hex()
    found.fact(
        index, at, "hash of the bytes", "the signed bytes have the hash of the receipt", hashed == receipt.tx_hash
    )
    signed = _decode(raw)
    if signed is None:
        found.wrong(index, at, "signed bytes", "They are no eth transaction.")
        return
    to, value = same(signed.to, call.to), signed.value == call.value
    found.fact(index, at, "signed by", "the wallet signed them", same(signed.sender, head.wallet))
    found.fact(index, at, "signed for", "for this chain", signed.chain_id == head.chain_id)
    found.fact(index, (*_AT, "nonce"), "nonce", "with this nonce", signed.nonce == execution.nonce)
    found.fact(index, (*_AT, "call", "to"), "sent to", "to this account", to)
    found.fact(index, (*_AT, "call", "value"), "value", "with this value", value)
    found.fact(index, (*_AT, "call", "dataHash"), "data", "with this data", sha256(signed.data) == call.data_hash)
    text = "the receipt is of an eth transaction of the wallet to this account"
    holds = same(receipt.sender, head.wallet) and same(receipt.to, signed.to)
    found.fact(index, (*_AT, "receipt", "from"), "receipt's accounts", text, holds)
    if intent is not None:
        _check_asked(claim, execution, intent, signed, found)


def _check_asked(claim: ProofClaim, execution: Execution, intent: Intent, signed: _Signed, found: Findings) -> None:
    """The intent's body asks for this call and these effects."""
    index, head = claim.index, claim.head
    sent = Sent(head.chain_id, head.wallet, signed.to, signed.data, execution.effects)
    try:
        calls = asking.calls(intent, sent)
        number = asking.transaction_id(intent, sent)
    except ActpError as error:
        found.wrong(index, ("parts", "intent", "body"), "asked for", f"Nothing carries it out: {error.message}")
        return
    asked = any(
        (to is None or same(to, signed.to)) and (value, data) == (signed.value, signed.data)
        for to, value, data in calls
    )
    found.fact(index, ("parts", "intent", "body"), "asked for", "the call is what was asked for", asked)
    text = "the escrow is that which was asked for"
    found.fact(index, ("head", "transactionId"), "transactionId", text, same(head.transaction_id, number))
    wanted = asking.effects(intent, sent)
    if wanted is not None:
        text = "the effects are those that were asked for"
        found.fact(index, (*_AT, "effects"), "effects", text, _keys(wanted) == _keys(execution.effects))


def _keys(effects: Effects | EffectsClaim) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Both kinds in one form."""
    return (
        [
            (one.asset.lower(), one.source.lower(), one.target.lower(), one.amount, one.creditable)
            for one in effects.movements
        ],
        [(one.token.lower(), one.owner.lower(), one.spender.lower(), one.to, one.used) for one in effects.allowances],
    )


def _decode(raw: bytes) -> _Signed | None:
    """The fields of a signed eth transaction, and whose signature it is; None if it is none."""
    from eth_account import Account
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes
    from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # ships no types

    try:
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        sender = Account.recover_transaction(raw)
    except (ValueError, TypeError, KeyError, RLPException):
        return None
    to = fields["to"]
    return _Signed(
        sender,
        int(fields["chainId"]),
        int(fields["nonce"]),
        to if isinstance(to, str) else "0x" + bytes(to).hex(),
        int(fields["value"]),
        bytes(HexBytes(fields["data"])),
    )
