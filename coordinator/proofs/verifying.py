"""Verifying a file of proofs: hashes, signatures and the chain of links from the file alone, and from a node whatever
the blockchain knows. What could not be checked is said, never passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from actp.engine import receipts
from actp.errors import RpcError
from actp.rpc import Transport, genesis_hash
from actp.rpc import chain_id as chain_id_of
from actp.units import keccak
from coordinator.canonical import canonical, sha256
from coordinator.errors import ProofError
from coordinator.proofs.documents import Document, first_difference, offset_of, read_document
from coordinator.proofs.keys import signer_of
from coordinator.proofs.locating import changed_byte
from coordinator.proofs.making import FORMAT, GENESIS_LINK
from coordinator.proofs.parts import PARTS, receipt_part
from coordinator.types import ETH

__all__ = ["Check", "Report", "Result", "verify"]


class Result(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `link` is the link's number in its chain, `byte` the first one that is wrong (or
    the first of the range `byte` to `until` in which it is), counted from 0.
    """

    name: str
    result: Result
    detail: str = ""
    link: int | None = None
    byte: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was checked, in order."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; see `not_checked` for what nobody looked at."""
        return all(check.result is not Result.WRONG for check in self.checks)

    @property
    def wrong(self) -> tuple[Check, ...]:
        """What is wrong, the first byte in the file first."""
        found = [check for check in self.checks if check.result is Result.WRONG]
        return tuple(sorted(found, key=lambda check: (check.byte is None, check.byte or 0)))

    @property
    def not_checked(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.result is Result.NOT_CHECKED)


def verify(raw: bytes, transport: Transport | None = None, *, signer: str | None = None) -> Report:
    """Checks a file as `coordinator proof export` writes it.

    `transport` leads to a node of the chain, `signer` is the address whose proofs they should be. Raises
    RpcUnavailable if the node does not answer.
    """
    try:
        document = read_document(raw)
    except ProofError as error:
        words = error.message.split()
        position = int(words[1]) if words[0] == "Byte" else None
        return Report((Check("file", Result.WRONG, error.message, byte=position),))
    verifier = _Verifier(document, transport, signer)
    verifier.run()
    return Report(tuple(verifier.checks))


class _Verifier:
    def __init__(self, document: Document, transport: Transport | None, signer: str | None) -> None:
        self._document = document
        self._transport = transport
        self._signer = signer
        self.checks: list[Check] = []
        self._link: int | None = None
        self._sound: set[int] = set()
        """The links whose every byte is what was signed."""

    def run(self) -> None:
        self._say("file", "canonical JSON of the known format")
        if self._signer is None:
            self._unchecked("whose key", "No signer was named: the signatures show only that one key made them.")
        for index, link in enumerate(self._document.links):
            seq = link["head"].get("seq")
            self._link = seq if isinstance(seq, int) else None
            if not self._head(index, link):
                continue
            self._chain(index, link)
            if link["head"].get("kind") != "proof":
                self._sound.add(index)
            elif self._parts(index, link):
                self._sound.add(index)
                self._consistent(index, link)
        self._link = None
        self._revisions()
        if self._transport is None:
            self._unchecked("chain", "No node was named: nothing was compared with the blockchain.")
        else:
            self._with_node(self._transport)

    # ---------------------------------------------------------------- from the file alone

    def _head(self, index: int, link: dict[str, Any]) -> bool:
        """Whether the head is what was signed."""
        head, stated = canonical(link["head"]), link["proofHash"]
        computed = sha256(head)
        expected = link["head"].get("signer")
        if computed == stated:
            if signer_of(stated, link["signature"]) != expected:
                self._wrong_at(index, ("signature",), "signature", "It is not the signer's over this hash.")
                return False
        elif signer_of(computed, link["signature"]) == expected:
            self._wrong_text(index, ("proofHash",), stated, computed, "hash")
            return False
        else:
            # If the signature fits the stated hash then the hash is right, and the head was changed.
            self._wrong_in(index, ("head",), head, stated, "hash", "The head is not what was signed")
            return False
        if link["head"].get("format") != FORMAT:
            self._wrong_at(index, ("head", "format"), "format", f"It is not {FORMAT}.")
            return False
        if self._signer is not None and str(expected).lower() != self._signer.lower():
            self._wrong_at(index, ("head", "signer"), "whose key", f"{expected} signed, and not {self._signer}.")
            return False
        self._say("signature", f"signed by {expected}")
        return True

    def _chain(self, index: int, link: dict[str, Any]) -> None:
        seq, previous = link["head"]["seq"], link["head"]["previous"]
        before = self._document.links[index - 1] if index else None
        if seq == 1:
            fits = previous == GENESIS_LINK.proof_hash
        elif before is not None and before["head"].get("seq") == seq - 1:
            fits = previous == before["proofHash"]
        elif before is not None and before["head"].get("seq", seq) >= seq:
            fits = False
        else:
            self._unchecked("order", f"Link {seq - 1} is not in the file.")
            return
        if fits:
            self._say("order", f"follows link {seq - 1}" if seq > 1 else "is the first link")
        else:
            self._wrong_at(index, ("head", "previous"), "order", "It does not follow the link before it.")

    def _parts(self, index: int, link: dict[str, Any]) -> bool:
        """Whether the parts are those that the head names."""
        parts, sound = link.get("parts", {}), True
        for name in PARTS:
            stated, path = link["head"].get(f"{name}Hash"), ("parts", name)
            if name not in parts:
                sound = False
                self._wrong_at(index, ("head",), f"{name}Hash", f"The part {name} is missing.")
            elif parts[name] is None and stated is None:
                self._say(f"{name}Hash", "it never came to that")
            elif sha256(canonical(parts[name])) == stated:
                self._say(f"{name}Hash", stated)
            else:
                sound = False
                text = canonical(parts[name])
                self._wrong_in(index, path, text, str(stated), f"{name}Hash", f"The part {name} was changed")
        return sound

    def _consistent(self, index: int, link: dict[str, Any]) -> None:
        """What the parts say of one another."""
        head, execution = link["head"], (link.get("parts") or {}).get("execution")
        if execution is None:
            return
        at = ("parts", "execution")
        raw = bytes.fromhex(execution["raw"][2:])
        receipt = execution["receipt"]
        facts: list[tuple[tuple[str | int, ...], str, bool]] = [
            ((*at, "raw"), "the signed bytes have the hash of the receipt", _hash(raw) == receipt["txHash"]),
            (("head", "txHash"), "the head names the same eth transaction", head["txHash"] == receipt["txHash"]),
            (("head", "block"), "the head names the receipt's block", head["block"] == receipt["block"]),
            (
                ("head", "outcome"),
                "the outcome fits the receipt",
                receipt["succeeded"] or head["outcome"] != "confirmed",
            ),
        ]
        signed = _decode(raw)
        if signed is None:
            self._wrong_at(index, (*at, "raw"), "signed bytes", "They are no eth transaction.")
            return
        call = execution["call"]
        facts += [
            ((*at, "raw"), "the wallet signed them", signed["from"] == head["wallet"]),
            ((*at, "raw"), "for this chain", signed["chainId"] == head["chainId"]),
            ((*at, "nonce"), "with this nonce", signed["nonce"] == execution["nonce"]),
            ((*at, "call", "to"), "to this account", signed["to"].lower() == call["to"].lower()),
            ((*at, "call", "value"), "with this value", str(signed["value"]) == call["value"]),
            ((*at, "call", "dataHash"), "with this data", sha256(signed["data"]) == call["dataHash"]),
        ]
        for path, text, holds in facts:
            if holds:
                self._say("consistent", text)
            else:
                self._wrong_at(index, path, "consistent", f"Not so: {text}.")

    def _revisions(self) -> None:
        """Proofs that a later link of the file takes back."""
        taken_back = self._taken_back()
        for index, link in enumerate(self._document.links):
            if index in self._sound and link["proofHash"] in taken_back and link["head"].get("kind") == "proof":
                self._link = link["head"]["seq"]
                later = [
                    one
                    for one in self._document.links[index + 1 :]
                    if one["head"].get("kind") == "proof" and one["head"]["operation"] == link["head"]["operation"]
                ]
                if later:
                    self._say("valid", f"taken back by link {taken_back[link['proofHash']]}, and proved again")
                else:
                    self._wrong_at(index, ("proofHash",), "valid", "A later link takes it back: its block is gone.")
        self._link = None

    def _taken_back(self) -> dict[str, int]:
        """Hashes of proofs that a later link takes back, and that link's number."""
        return {
            link["head"]["proof"]: link["head"]["seq"]
            for index, link in enumerate(self._document.links)
            if index in self._sound and link["head"].get("kind") == "reopened"
        }

    # ---------------------------------------------------------------- with a node

    def _with_node(self, transport: Transport) -> None:
        first = self._document.links[0]["head"]
        served = chain_id_of(transport)
        if served != first.get("chainId"):
            self._wrong_at(0, ("head", "chainId"), "chain", f"The node serves chain {served}.")
            return
        if genesis_hash(transport, served).lower() != str(first.get("genesis")).lower():
            self._wrong_at(0, ("head", "genesis"), "chain", "The node's chain has another first block.")
            return
        self._say("chain", f"chain {served} with the same first block")
        taken_back = self._taken_back()
        for index, link in enumerate(self._document.links):
            self._link = link["head"].get("seq")
            if index not in self._sound:
                self._unchecked("blockchain", "What the link says is not what was signed.")
                continue
            execution = (link.get("parts") or {}).get("execution")
            if link["head"].get("kind") == "finalized":
                self._final(transport, index, link)
            elif execution is not None and link["proofHash"] not in taken_back:
                self._executed(transport, index, link, execution)
            elif execution is None and link["head"].get("kind") == "proof":
                self._unchecked("blockchain", "Nothing was mined for it, so the blockchain cannot tell.")
        self._link = None

    def _executed(self, transport: Transport, index: int, link: dict[str, Any], execution: dict[str, Any]) -> None:
        at = ("parts", "execution", "receipt")
        tx_hash = execution["receipt"]["txHash"]
        receipt = receipts.fetch(transport, tx_hash)
        if receipt is None:
            self._wrong_at(index, (*at, "txHash"), "receipt", f"The node knows no mined eth transaction {tx_hash}.")
            return
        told, stated = canonical(receipt_part(receipt)), canonical(execution["receipt"])
        if told != stated:
            start = self._start(index, at)
            position = start + first_difference(told, stated)
            self._add("receipt", Result.WRONG, "The node tells another receipt.", position)
            return
        self._say("receipt", "as the node tells it")
        block = transport.request("eth_getBlockByNumber", [hex(receipt.block_number), False])
        if block is None or block["hash"] != receipt.block_hash:
            self._wrong_at(index, (*at, "block"), "block", "The block is not on the node's chain.")
            return
        self._say("block", f"{receipt.block_number} is on the chain")
        self._balances(transport, index, execution)

    def _balances(self, transport: Transport, index: int, execution: dict[str, Any]) -> None:
        told = (execution["delta"] or {}).get("balances")
        if told is None:
            self._unchecked("balances", "The proof holds no balances.")
            return
        path = ("parts", "execution", "delta", "balances", "deltas")
        for asset, changes in told["deltas"].items():
            for account, change in changes.items():
                name = f"change of {account}'s {asset}"
                before, after = (_balance(transport, account, asset, told[when]) for when in ("before", "after"))
                if before is None or after is None:
                    self._unchecked(name, "The node does not tell the state of these blocks.")
                elif after - before == int(change):
                    self._say(name, f"{change} from block {told['before']} to {told['after']}")
                else:
                    self._wrong_at(index, (*path, asset, account), name, f"By the node it is {after - before}.")

    def _final(self, transport: Transport, index: int, link: dict[str, Any]) -> None:
        stated = link["head"].get("block") or {}
        ask: Callable[[str], Any] = lambda tag: transport.request("eth_getBlockByNumber", [tag, False])  # noqa: E731
        block = ask(hex(stated["number"]))
        if block is None or block["hash"] != stated["hash"]:
            self._wrong_at(index, ("head", "block"), "final", "The block is not on the node's chain.")
            return
        try:
            final = ask("finalized")
        except RpcError:
            final = None
        if final is None or int(final["number"], 16) < stated["number"]:
            self._unchecked("final", "The node does not call the block final (yet).")
        else:
            self._say("final", f"block {stated['number']} is final")

    # ---------------------------------------------------------------- what is found

    def _say(self, name: str, detail: str) -> None:
        self._add(name, Result.OK, detail)

    def _unchecked(self, name: str, detail: str) -> None:
        self._add(name, Result.NOT_CHECKED, detail)

    def _wrong_at(self, index: int, path: tuple[str | int, ...], name: str, detail: str) -> None:
        self._add(name, Result.WRONG, detail, self._start(index, path))

    def _wrong_text(self, index: int, path: tuple[str | int, ...], stated: str, wanted: str, name: str) -> None:
        position = self._start(index, path) + 1 + first_difference(stated.encode(), wanted.encode())
        self._add(name, Result.WRONG, f"It should be {wanted}.", position)

    def _wrong_in(
        self, index: int, path: tuple[str | int, ...], text: bytes, wanted: str, name: str, detail: str
    ) -> None:
        start = self._start(index, path)
        position = changed_byte(text, wanted)
        if position is not None:
            self._add(name, Result.WRONG, f"{detail}.", start + position)
        else:
            end = start + len(text)
            self._add(name, Result.WRONG, f"{detail}, in more than one byte.", start, end)

    def _start(self, index: int, path: tuple[str | int, ...]) -> int:
        try:
            return offset_of(self._document.content, ("links", index, *path))
        except (KeyError, TypeError):
            return offset_of(self._document.content, ("links", index))

    def _add(self, name: str, result: Result, detail: str, byte: int | None = None, until: int | None = None) -> None:
        self.checks.append(Check(name, result, detail, self._link, byte, until))


def _hash(raw: bytes) -> str:
    return "0x" + keccak(raw).hex()


def _decode(raw: bytes) -> dict[str, Any] | None:
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
    return {
        "from": sender,
        "chainId": int(fields["chainId"]),
        "nonce": int(fields["nonce"]),
        "to": to if isinstance(to, str) else "0x" + bytes(to).hex(),
        "value": int(fields["value"]),
        "data": bytes(HexBytes(fields["data"])),
    }


def _balance(transport: Transport, account: str, asset: str, block: int) -> int | None:
    """What an account had at the end of a block; None if the node does not tell."""
    question: tuple[str, list[Any]]
    if asset == ETH:
        question = ("eth_getBalance", [account, hex(block)])
    else:
        data = "0x70a08231" + account[2:].lower().rjust(64, "0")  # balanceOf(address)
        question = ("eth_call", [{"to": asset, "data": data}, hex(block)])
    try:
        return int(transport.request(*question), 16)
    except (RpcError, TypeError, ValueError):
        return None
