"""What a node's answer to eth_sendRawTransaction means: one table from error texts to classes."""

from __future__ import annotations

from enum import Enum

from actp.errors import RpcError, RpcUnavailable
from actp.rpc import is_rate_limit

__all__ = ["Reply", "classify"]


class Reply(Enum):
    """What became of a broadcast, and so what may be done next."""

    ACCEPTED = "accepted"
    """The node has the eth transaction, now or from an earlier broadcast of the same bytes."""
    NONCE_USED = "nonce used"
    """An eth transaction with this nonce is mined. It may be this very one, after a lost reply."""
    NONCE_WAITING = "nonce waiting"
    """Another eth transaction with this nonce waits at the node, and these bytes were not taken."""
    NONCE_AHEAD = "nonce ahead"
    """An earlier nonce is missing at this node."""
    UNDERPRICED = "underpriced"
    """The fees are too low for the node; nothing was taken."""
    RATE_LIMITED = "rate limited"
    """The node did not look at it: the same bytes again, later."""
    NO_FUNDS = "no funds"
    """The account cannot pay for it; nothing was taken."""
    REJECTED = "rejected"
    """The node refused it for a reason that sending it again will not change."""
    NOT_DELIVERED = "not delivered"
    """There was no connection, so the node never saw it."""
    UNKNOWN = "unknown"
    """No usable answer: it may have been taken."""


# The first match counts: geth, reth, Nethermind, anvil and public gateways word the same differently.
_TEXTS: tuple[tuple[Reply, tuple[str, ...]], ...] = (
    (Reply.ACCEPTED, ("already known", "already imported", "alreadyknown", "known transaction", "already in mempool")),
    (Reply.NONCE_WAITING, ("replacement transaction underpriced", "replacement fee too low", "could not replace")),
    (Reply.NONCE_USED, ("nonce too low", "nonce is too low", "nonce has already been used", "oldnonce", "old nonce")),
    (Reply.NONCE_AHEAD, ("nonce too high", "nonce is too high", "nonce gap", "future nonce", "invalid nonce")),
    (Reply.NO_FUNDS, ("insufficient funds", "insufficient balance", "sender doesn't have enough", "overshot")),
    (Reply.UNDERPRICED, ("underpriced", "less than block base fee", "fee cap less than", "fee too low", "feetoolow")),
    (Reply.RATE_LIMITED, ("rate limit", "too many requests", "over rate", "request limit")),
    (Reply.UNKNOWN, ("timeout", "timed out", "deadline exceeded", "internal error", "txpool is full", "try again")),
)  # fmt: skip


def classify(error: RpcError | RpcUnavailable) -> Reply:
    """The class of a failed broadcast. What no rule knows is REJECTED if a node said so, else UNKNOWN."""
    if isinstance(error, RpcUnavailable):
        if error.code == "rate_limited":
            return Reply.RATE_LIMITED
        return Reply.NOT_DELIVERED if error.outcome == "not_sent" else Reply.UNKNOWN
    if is_rate_limit(error):
        return Reply.RATE_LIMITED
    text = error.message.lower()
    for reply, needles in _TEXTS:
        if any(needle in text for needle in needles):
            return reply
    # -32603 is an internal error by the standard: the node may have failed after it had taken the transaction.
    return Reply.UNKNOWN if error.rpc_code == -32603 else Reply.REJECTED
