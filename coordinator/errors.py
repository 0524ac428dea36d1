"""Every error that `coordinator` raises on purpose, besides those of `actp`.

    ActpError
    `- CoordinatorError
       |- InvalidIntent          an intent that can be refused without asking the chain
       |  `- UnsupportedProtocol no intent of this type is served here
       |- WrongState             the escrow is not in a state in which this can be done
       |- MissingRole            the wallet is not the party (or arbiter) who may do this
       |- UnknownOperation       there is no operation of this number
       |- NotWaiting             the operation waits for no approval (any more)
       |- OwnApproval            whoever asked for an operation may not approve it
       |- AgentPaused            agent or treasury is paused
       |- LedgerConflict         another process was faster; nothing was changed
       |- ReorgTooDeep           the chain was reorganised further back than the escrow index can go
       |- RulesChanged           the budget's rules are newer than those that were applied
       |- UnknownApproval        there is no approval of this name
       |- ForbiddenChange        a reservation cannot go from this state to that one
       |- ProofError             a proof that cannot be read
       `- TrackerError           a shared budget denies, or its ledger cannot do it (in coordinator.tracker)

A denial is a value (`Decision`), not an error. Each error has a `code`, a `hint`, `retryable` and `outcome`, as in
`actp.errors`.
"""

from __future__ import annotations

from actp.errors import ActpError

__all__ = [
    "AgentPaused",
    "CoordinatorError",
    "ForbiddenChange",
    "InvalidIntent",
    "LedgerConflict",
    "MissingRole",
    "NotWaiting",
    "OwnApproval",
    "ProofError",
    "ReorgTooDeep",
    "RulesChanged",
    "UnknownApproval",
    "UnknownOperation",
    "UnsupportedProtocol",
    "WrongState",
]


class CoordinatorError(ActpError):
    """Base of the coordinator's errors. Nothing was sent, unless `outcome` says otherwise."""

    default_code = "coordinator_error"
    default_outcome = "not_sent"


class InvalidIntent(CoordinatorError, ValueError):
    """An intent that can be refused without asking the chain."""

    default_code = "invalid_intent"


class UnsupportedProtocol(InvalidIntent):
    """No intent of this type is served here."""

    default_code = "unsupported_protocol"


class WrongState(CoordinatorError):
    """The escrow is not in a state in which this can be done."""

    default_code = "wrong_state"


class MissingRole(CoordinatorError):
    """The wallet is not the party (or arbiter) who may do this."""

    default_code = "missing_role"


class UnknownOperation(CoordinatorError):
    """There is no operation of this number."""

    default_code = "unknown_operation"


class NotWaiting(CoordinatorError):
    """The operation waits for no approval, or not any more."""

    default_code = "not_waiting"


class OwnApproval(CoordinatorError):
    """Whoever asked for an operation may not approve it."""

    default_code = "own_approval"


class AgentPaused(CoordinatorError):
    """The agent or the whole treasury is paused, until somebody resumes it."""

    default_code = "paused"


class LedgerConflict(CoordinatorError):
    """Another process changed the same rows first; nothing was changed."""

    default_code = "ledger_conflict"


class ReorgTooDeep(CoordinatorError):
    """The chain was reorganised further back than the escrow index can go; nothing was changed."""

    default_code = "reorg_too_deep"


class RulesChanged(CoordinatorError):
    """The budget's rules are newer than those that were applied; nothing was decided."""

    default_code = "rules_changed"


class UnknownApproval(CoordinatorError):
    """There is no approval of this name."""

    default_code = "unknown_approval"


class ForbiddenChange(CoordinatorError):
    """A reservation cannot go from the state in which it is to that one."""

    default_code = "forbidden_change"


class ProofError(CoordinatorError):
    """A proof that cannot be read."""

    default_code = "proof_error"
