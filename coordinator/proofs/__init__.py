"""Proofs of what happened: chained per wallet, signed by a key of its own, verifiable by anybody. See README.md."""

from __future__ import annotations

from coordinator.proofs.keys import ProofKey
from coordinator.proofs.making import Link, Proof, ProofChain, ProofRequest, finalized, prove, reopened

__all__ = ["Link", "Proof", "ProofChain", "ProofKey", "ProofRequest", "finalized", "prove", "reopened"]
