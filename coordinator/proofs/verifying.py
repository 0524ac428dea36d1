"""Verifying a file of proofs: hashes, signatures and the chain of links from the file alone, everything in a proof that
follows from the rest of it, and from a node whatever the blockchain knows. What could not be checked is said, never
passed over, and so is what nobody but the signer knows.
"""

from __future__ import annotations

from typing import Any

from actp.rpc import Transport
from coordinator.canonical import canonical, sha256
from coordinator.errors import ProofError
from coordinator.proofs.agreeing import check_agreement
from coordinator.proofs.claims import (
    FinalizedHead,
    Head,
    Misshapen,
    ProofClaim,
    ProofHead,
    ReopenedHead,
    read_head,
    read_proof,
    same,
)
from coordinator.proofs.documents import Document, read_document
from coordinator.proofs.keys import signer_of
from coordinator.proofs.making import FORMAT, GENESIS_LINK
from coordinator.proofs.on_chain import OnChain
from coordinator.proofs.parts import PARTS
from coordinator.proofs.reporting import Check, Findings, Report, Result

__all__ = ["Check", "Report", "Result", "verify"]

_CLOCKS_DIFFER = 60
"""Seconds by which the clocks of several processes that prove may differ."""
_STATED = (
    "who asked, under which key and trace; what the policy's rules looked at, and who approved; what the simulation "
    "showed; why something failed; what the notes say; when a link was made; that the contracts are the deployment's."
)


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
    verifier = _Verifier(document, signer)
    verifier.read()
    verifier.compare(transport)
    return Report(tuple(verifier.found.checks))


class _Verifier:
    def __init__(self, document: Document, signer: str | None) -> None:
        self.found = Findings(document)
        self._links = document.links
        self._signer = signer
        self._heads: dict[int, Head] = {}
        """The links whose every byte is what was signed, and has the form that it should have, by place."""
        self._claims: dict[int, ProofClaim] = {}

    def read(self) -> None:
        """Everything that the file alone tells."""
        found = self.found
        found.say("file", "canonical JSON of the known format")
        if self._signer is None:
            found.unchecked("whose key", "No signer was named: the signatures show only that one key made them.")
        for index, link in enumerate(self._links):
            found.link = _seq(link)
            head = self._head(index, link)
            if head is None:
                continue
            self._order(index, head)
            if not isinstance(head, ProofHead):
                self._heads[index] = head
            elif self._parts(index, link) and (claim := self._claim(index, link, head)) is not None:
                self._heads[index], self._claims[index] = head, claim
                check_agreement(claim, found)
        found.link = None
        self._revisions()
        if self._claims:
            found.stated("the signer's word", _STATED)

    def compare(self, transport: Transport | None) -> None:
        """Everything that a node tells. Raises RpcUnavailable."""
        found = self.found
        if transport is None:
            found.unchecked("chain", "No node was named: nothing was compared with the blockchain.")
            return
        chain = OnChain(transport, found)
        if any(not chain.is_of(index, head) for index, head in list(self._heads.items())[:1]):
            return
        taken_back = self._taken_back()
        for index, link in enumerate(self._links):
            head, claim = self._heads.get(index), self._claims.get(index)
            found.link = _seq(link)
            if head is None:
                found.unchecked("blockchain", "What the link says is not what was signed.")
            elif isinstance(head, FinalizedHead):
                if any(taken_back.get(one, 0) > head.seq for one in head.proofs):
                    text = "A later link takes a proof of it back, as where a development chain is set back."
                    found.unchecked("final", text)
                else:
                    chain.final(index, head)
            elif claim is not None and claim.proof_hash not in taken_back:
                chain.proof(claim, (link["parts"]["execution"] or {}).get("receipt", {}))
        found.link = None

    # ---------------------------------------------------------------- one link

    def _head(self, index: int, link: dict[str, Any]) -> Head | None:
        """What the head says, if it is what was signed."""
        found = self.found
        head, stated = canonical(link["head"]), link["proofHash"]
        computed = sha256(head)
        expected = link["head"].get("signer")
        if computed == stated:
            if signer_of(stated, link["signature"]) != expected:
                found.wrong(index, ("signature",), "signature", "It is not the signer's over this hash.")
                return None
        elif signer_of(computed, link["signature"]) == expected:
            found.wrong_text(index, ("proofHash",), stated, computed, "hash")
            return None
        else:
            # If the signature fits the stated hash then the hash is right, and the head was changed.
            found.wrong_in(index, ("head",), head, stated, "hash", "The head is not what was signed")
            return None
        if link["head"].get("format") != FORMAT:
            found.wrong(index, ("head", "format"), "format", f"It is not {FORMAT}.")
            return None
        if self._signer is not None and not same(str(expected), self._signer):
            found.wrong(index, ("head", "signer"), "whose key", f"{expected} signed, and not {self._signer}.")
            return None
        try:
            read = read_head(link["head"])
        except Misshapen as error:
            found.wrong(index, error.path, "shape", f"{error.message}.")
            return None
        found.say("signature", f"signed by {expected}")
        return read

    def _order(self, index: int, head: Head) -> None:
        """It follows the link before it."""
        found = self.found
        before = self._links[index - 1] if index else None
        first = self._heads.get(0)
        if first is not None:
            text = "of the same wallet and chain as the first link"
            same_chain = (head.chain_id, head.genesis, head.wallet) == (first.chain_id, first.genesis, first.wallet)
            found.fact(index, ("head", "wallet"), "whose chain", text, same_chain)
        earlier = self._heads.get(index - 1)
        if earlier is not None:
            text = "made after the link before it"
            later = head.made_at >= earlier.made_at - _CLOCKS_DIFFER
            found.fact(index, ("head", "madeAt"), "time", text, later)
        seq, previous = head.seq, head.previous
        if seq == 1 or previous == GENESIS_LINK.proof_hash:
            fits = seq == 1 and previous == GENESIS_LINK.proof_hash
        elif before is not None and before["head"].get("seq") == seq - 1:
            fits = previous == before["proofHash"]
        elif before is not None and before["head"].get("seq", seq) >= seq:
            fits = False
        else:
            found.unchecked("order", f"Link {seq - 1} is not in the file.")
            return
        if fits:
            found.say("order", f"follows link {seq - 1}" if seq > 1 else "is the first link")
        else:
            found.wrong(index, ("head", "previous"), "order", "It does not follow the link before it.")

    def _parts(self, index: int, link: dict[str, Any]) -> bool:
        """Whether the parts are those that the head names."""
        found = self.found
        parts, sound = link.get("parts", {}), True
        for name in PARTS:
            stated, path = link["head"].get(f"{name}Hash"), ("parts", name)
            if name not in parts:
                sound = False
                found.wrong(index, ("head",), f"{name}Hash", f"The part {name} is missing.")
            elif parts[name] is None and stated is None:
                found.say(f"{name}Hash", "it never came to that")
            elif sha256(canonical(parts[name])) == stated:
                found.say(f"{name}Hash", stated)
            else:
                sound = False
                text = canonical(parts[name])
                found.wrong_in(index, path, text, str(stated), f"{name}Hash", f"The part {name} was changed")
        return sound

    def _claim(self, index: int, link: dict[str, Any], head: ProofHead) -> ProofClaim | None:
        try:
            return read_proof(index, link, head)
        except Misshapen as error:
            self.found.wrong(index, error.path, "shape", f"{error.message}.")
            return None

    # ---------------------------------------------------------------- all links together

    def _revisions(self) -> None:
        """Each operation has one proof that stands, and what other links say of proofs can be."""
        taken_back = self._taken_back()
        places = {claim.proof_hash: index for index, claim in self._claims.items()}
        standing: dict[int, int] = {}
        nonces: dict[int, int] = {}
        for index, head in self._heads.items():
            self.found.link = head.seq
            claim = self._claims.get(index)
            if isinstance(head, ReopenedHead):
                self._reopened(index, head, self._claims.get(places.get(head.proof, -1)))
            elif isinstance(head, FinalizedHead):
                self._finalized(index, head, [self._claims[places[one]] for one in head.proofs if one in places])
            elif claim is not None and claim.proof_hash in taken_back:
                self._superseded(index, claim, taken_back[claim.proof_hash])
            elif claim is not None:
                number = claim.head.operation
                text = "no other proof of this operation stands"
                self.found.fact(
                    index, ("head", "operation"), "one proof", text, standing.setdefault(number, index) == index
                )
                if claim.execution is not None:
                    text = "no other proof is of this nonce"
                    once = nonces.setdefault(claim.execution.nonce, index) == index
                    self.found.fact(index, ("parts", "execution", "nonce"), "one nonce", text, once)
        self.found.link = None

    def _superseded(self, index: int, claim: ProofClaim, by: int) -> None:
        later = any(one.index > index and one.head.operation == claim.head.operation for one in self._claims.values())
        if later:
            self.found.say("valid", f"taken back by link {by}, and proved again")
        else:
            self.found.wrong(index, ("proofHash",), "valid", "A later link takes it back: its block is gone.")

    def _reopened(self, index: int, head: ReopenedHead, claim: ProofClaim | None) -> None:
        if claim is None:
            self.found.unchecked("takes back", f"The proof {head.proof} is not in the file.")
            return
        text = f"link {claim.head.seq}, which is older and of the same block"
        holds = claim.index < index and claim.head.block == head.block
        self.found.fact(index, ("head", "proof"), "takes back", text, holds)

    def _finalized(self, index: int, head: FinalizedHead, claims: list[ProofClaim]) -> None:
        """`claims` are those of its proofs that the file has."""
        taken_back = self._taken_back()
        holds = all(
            one.head.seq < head.seq <= taken_back.get(one.proof_hash, head.seq)
            and one.head.block is not None
            and one.head.block.number <= head.block.number
            for one in claims
        )
        if claims:
            text = "its proofs are older, stand, and their blocks are not above this one"
            self.found.fact(index, ("head", "proofs"), "covers", text, holds)
        else:
            self.found.unchecked("covers", "None of its proofs is in the file.")

    def _taken_back(self) -> dict[str, int]:
        """Hashes of proofs that a link takes back, and that link's number."""
        return {head.proof: head.seq for head in self._heads.values() if isinstance(head, ReopenedHead)}


def _seq(link: dict[str, Any]) -> int | None:
    """The link's number, if it says one."""
    seq = link["head"].get("seq")
    return seq if isinstance(seq, int) else None
