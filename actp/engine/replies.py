"""What a node's answer to eth_sendRawTransaction means: one table from error texts to classes."""

from __future__ import annotations

import re
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
    """The fees are too low for the node that says so. Behind a gateway another node may have taken the bytes."""
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


# The first match counts: geth, reth, Nethermind, anvil and public gateways word the same differently. What is not
# listed is UNKNOWN, because a gateway may answer with an error of its own after a node has taken the bytes.
_TEXTS: tuple[tuple[Reply, str], ...] = (
    (Reply.REJECTED, r"unknown transaction type|transaction type not supported|unsupported transaction type"),
    (Reply.ACCEPTED, r"already ?known|already imported|already in mempool|^(\w+: )?known transaction"),
    (Reply.NONCE_WAITING, r"replacement transaction underpriced|replacement fee too low|could not replace"),
    (Reply.NONCE_USED, r"nonce (is )?too low|nonce has already been used|old ?nonce"),
    (Reply.NONCE_AHEAD, r"nonce (is )?too high|nonce gap|future nonce"),
    (Reply.NO_FUNDS, r"insufficient (funds|balance)|sender doesn't have enough|overshot"),
    (Reply.UNDERPRICED, r"underpriced|less than block base fee|fee ?too ?low|gas price (too low|below minimum)"),
    (Reply.RATE_LIMITED, r"rate limit|too many requests|over rate|request limit"),
    (
        Reply.REJECTED,
        r"intrinsic gas|gas for floor data|exceeds block gas limit|gas limit too high|gas limit exceeds cap",
    ),
    (Reply.REJECTED, r"invalid (sender|signature|chain ?id)|invalid transaction (v, r, s|signature)|sender not an eoa"),
    (Reply.REJECTED, r"oversized data|max initcode size|nonce has max value|configured cap|negative value"),
    (Reply.REJECTED, r"higher than max fee per gas|failed to decode signed transaction|^rlp: |blocked by policy"),
    (Reply.REJECTED, r"method not found|method .* (does not exist|not supported|not whitelisted)"),
)
_RULES = tuple((reply, re.compile(text)) for reply, text in _TEXTS)


def classify(error: RpcError | RpcUnavailable) -> Reply:
    """The class of a failed broadcast. What no rule knows is UNKNOWN: only a listed text proves a refusal."""
    if isinstance(error, RpcUnavailable):
        if error.code == "rate_limited":
            return Reply.RATE_LIMITED
        return Reply.NOT_DELIVERED if error.outcome == "not_sent" else Reply.UNKNOWN
    if is_rate_limit(error):
        return Reply.RATE_LIMITED
    text = error.message.lower()
    return next((reply for reply, rule in _RULES if rule.search(text)), Reply.UNKNOWN)
