"""What stands for a purpose where its text may be erased later."""

from __future__ import annotations

import hashlib

__all__ = ["purpose_hash"]


def purpose_hash(salt: str, purpose: str) -> str:
    """SHA-256, as 0x hex, of the salt's text and the purpose's. Salts are of one length and drawn anew for each
    request: without its salt nobody can find out by trying which purpose a hash stands for.
    """
    return "0x" + hashlib.sha256((salt + purpose).encode()).hexdigest()
