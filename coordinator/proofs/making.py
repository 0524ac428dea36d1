"""From what is known of an operation to a link of its wallet's chain of proofs. Pure: no clock, no store, no node.

A link is a head (canonical JSON), the head's hash (`proof_hash`) and a signature over that hash. A head names the hash
of the link before it, so that none can be changed, dropped or put in between. There are three kinds:

- `proof`: how an operation ended; its head holds the hashes of the parts (`coordinator.proofs.parts`);
- `reopened`: the block that a proof rests on is gone, and the proof says nothing any more;
- `finalized`: the blocks of these proofs are final.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.canonical import canonical, sha256
from coordinator.proofs.keys import ProofKey
from coordinator.proofs.parts import PARTS, block_part
from coordinator.types import BlockRef

__all__ = ["FORMAT", "GENESIS_LINK", "Link", "Proof", "ProofChain", "ProofRequest", "finalized", "prove", "reopened"]

FORMAT = "actp-proof/1"


@dataclass(frozen=True, slots=True)
class ProofChain:
    """Whose chain of proofs it is."""

    chain_id: int
    genesis: str
    wallet: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain ends: the number and the hash of its last link."""

    seq: int
    proof_hash: str


GENESIS_LINK = Link(0, "0x" + "00" * 32)
"""What the first link of a chain follows."""


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """What to prove: `head` from `parts.head_of`, `parts` by name (those of `PARTS`), as plain data or None."""

    operation_id: int
    head: Mapping[str, Any]
    parts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """A link of a chain. `head` and `parts` are canonical JSON; `parts` is None for links of other kinds than proof."""

    kind: str
    seq: int
    operation_id: int | None
    head: bytes
    parts: bytes | None
    proof_hash: str
    previous: str
    signature: str

    @property
    def link(self) -> Link:
        return Link(self.seq, self.proof_hash)


def prove(
    requests: Sequence[ProofRequest], *, chain: ProofChain, last: Link, key: ProofKey, made_at: int
) -> list[Proof]:
    """A proof for each request, in order, after `last`."""
    proofs: list[Proof] = []
    for request in requests:
        written = {name: canonical(request.parts.get(name)) for name in PARTS}
        head = {
            **request.head,
            **{f"{name}Hash": None if part == b"null" else sha256(part) for name, part in written.items()},
        }
        parts = b"{" + b",".join(b'"%s":%s' % (name.encode(), written[name]) for name in sorted(written)) + b"}"
        proofs.append(_link("proof", head, request.operation_id, parts, chain, last, key, made_at))
        last = proofs[-1].link
    return proofs


def reopened(
    proof_hash: str, operation_id: int, block: BlockRef, *, chain: ProofChain, last: Link, key: ProofKey, made_at: int
) -> Proof:
    """The link that takes a proof back because its block is gone."""
    head = {"proof": proof_hash, "block": block_part(block)}
    return _link("reopened", head, operation_id, None, chain, last, key, made_at)


def finalized(
    proof_hashes: Sequence[str], block: BlockRef, *, chain: ProofChain, last: Link, key: ProofKey, made_at: int
) -> Proof:
    """The link that says that the blocks of these proofs are final, as `block` is, which is not below them."""
    head = {"proofs": list(proof_hashes), "block": block_part(block)}
    return _link("finalized", head, None, None, chain, last, key, made_at)


def _link(
    kind: str,
    head: Mapping[str, Any],
    operation_id: int | None,
    parts: bytes | None,
    chain: ProofChain,
    last: Link,
    key: ProofKey,
    made_at: int,
) -> Proof:
    written = canonical(
        {
            **head,
            "format": FORMAT,
            "kind": kind,
            "chainId": chain.chain_id,
            "genesis": chain.genesis,
            "wallet": chain.wallet,
            "seq": last.seq + 1,
            "previous": last.proof_hash,
            "madeAt": made_at,
            "signer": key.address,
        }
    )
    proof_hash = sha256(written)
    return Proof(kind, last.seq + 1, operation_id, written, parts, proof_hash, last.proof_hash, key.sign(proof_hash))
