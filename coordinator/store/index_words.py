"""The words of the escrow index. No I/O."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ActionState", "Due", "Ending", "Operation"]


class Due(StrEnum):
    """What anybody may do about an escrow, from some second on."""

    SETTLE = "settle"
    """Pay the provider: the dispute window is over, or nothing is left to be paid."""
    REFUND = "refund"
    """Pay the requester: deadline and grace have passed, and nothing was delivered."""
    CLOSE = "close"
    """End a dispute on which nobody has ruled in time."""


class Ending(StrEnum):
    """How an escrow has ended."""

    RELEASED = "released"
    """Settled after the delivery, or with nothing left."""
    REFUNDED = "refunded"
    """Cancelled after it was funded."""
    WITHDRAWN = "withdrawn"
    """Cancelled before it was funded."""
    LEFT_EARLY = "left_early"
    """The requester has walked away, and paid the penalty."""
    RULED = "ruled"
    """A resolver has ruled on a dispute."""
    TIMED_OUT = "timed_out"
    """Nobody has ruled on a dispute in time."""
    BY_CONSENT = "by_consent"
    """Both parties have signed a split."""


class Operation(StrEnum):
    """What was done about an escrow: the words of intents, and some for what no intent asks for."""

    OPEN_ESCROW = "open_escrow"
    """Created without funds."""
    QUOTE_ESCROW = "quote_escrow"
    ACCEPT_QUOTE = "accept_quote"
    CREATE_ESCROW = "create_escrow"
    """Funded: in the same step, or later."""
    CREATE_MILESTONE_ESCROW = "create_milestone_escrow"
    ACCEPT_ESCROW = "accept_escrow"
    DELIVER_ESCROW = "deliver_escrow"
    RELEASE_ESCROW = "release_escrow"
    REFUND_ESCROW = "refund_escrow"
    CANCEL_ESCROW = "cancel_escrow"
    """Cancelled before it was funded."""
    ANNOUNCE_CANCELLATION = "announce_cancellation"
    RELEASE_MILESTONE = "release_milestone"
    REFUND_MILESTONE = "refund_milestone"
    DISPUTE_ESCROW = "dispute_escrow"
    POST_BOND = "post_bond"
    RESOLVE_DISPUTE = "resolve_dispute"
    CLOSE_DISPUTE = "close_dispute"
    SETTLE_BY_CONSENT = "settle_by_consent"
    ANCHOR_ATTESTATION = "anchor_attestation"
    UNKNOWN = "unknown"
    """Known from the chain's state alone."""


class ActionState(StrEnum):
    """How far it is that somebody does what is due about an escrow."""

    CLAIMED = "claimed"
    """An operation is on its way; nobody else begins one."""
    FAILED = "failed"
    """It did not work; it is tried again when its time comes."""
    DONE = "done"
    """It worked; events will say so in a moment."""
