"""Requests as the authority gets them."""

from __future__ import annotations

from coordinator.budget.words import Ask


def an_ask(**given) -> Ask:
    """A well-formed request."""
    content = {
        "agent": "ann",
        "key": "k1",
        "provider": "0x" + "22" * 20,
        "amount": 10_000_000,
        "category": "data",
        "purpose": "Papers",
        "body_hash": "0x" + "ab" * 32,
        "number": 7,
        "transaction_id": "0x" + "cd" * 32,
        **given,
    }
    return Ask(**content)
