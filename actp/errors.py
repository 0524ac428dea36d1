"""Every error that `actp` raises on purpose.

    ActpError
    |- ConfigError            a setting, a key or a file is missing or malformed
    |  |- WrongChain          the node serves another chain than the one asked for
    |  |- NoCode              there is no contract at an address
    |  `- ArtifactMismatch    the code at an address was built from other sources
    |- InvalidInput           an argument that can be refused without asking the chain (also a ValueError)
    |- RpcError               the node answered, with an error
    |- RpcUnavailable         the node did not answer
    |- InsufficientFunds      an account holds less than the call needs
    |  `- MissingAllowance    ... or has approved less (in actp.token)
    |- UnsupportedByKernel    the kernel is of a generation that lacks the call
    |- UnsupportedByToken     the token takes no signatures of this kind
    |- IdempotencyConflict    the idempotency key belongs to a payment with other terms
    |- UnacceptedClauses      a transaction has an arbiter or a time-out split that this provider does not accept
    |- SignatureRefused       something signed is not for here, not for now, or not by whom it says
    |- PartialBatch           some of a list is done, and the rest is not (or not known)
    |- UnknownTransaction     the kernel has no transaction of this id
    |- Reverted               a contract refused the call, with its decoded error
    |- StaleCursor            the events that a cursor stands for are no longer part of the chain (in actp.events)
    |- FeeTooHigh             sending would cost more than the cap allows
    |- SendError              the node refused the eth transaction, which was therefore not sent
    `- OutcomeUnknown         the eth transaction may or may not have been mined: look before you send again

Each has a `code` (stable, for programs), a `hint` (what to do), `retryable` (the same call may work later) and an
`outcome`: what became of the eth transaction that the call was about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

__all__ = [
    "ActpError",
    "ArtifactMismatch",
    "ConfigError",
    "FeeTooHigh",
    "IdempotencyConflict",
    "InsufficientFunds",
    "InvalidInput",
    "NoCode",
    "Outcome",
    "OutcomeUnknown",
    "PartialBatch",
    "Reverted",
    "RpcError",
    "RpcUnavailable",
    "SendError",
    "SignatureRefused",
    "UnacceptedClauses",
    "UnknownTransaction",
    "UnsupportedByKernel",
    "UnsupportedByToken",
    "WrongChain",
]

Outcome = Literal["not_sent", "reverted", "unknown", "none"]
"""`not_sent`: no eth transaction left this process. `reverted`: it is mined and failed. `unknown`: it may be mined.
`none`: the call was not about sending one."""


class ActpError(Exception):
    """Base of all errors of this package. `message` says what is wrong, `hint` says what to do."""

    default_code = "actp_error"
    default_outcome: Outcome = "none"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        retryable: bool = False,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code if code is not None else self.default_code
        self.hint = hint
        self.retryable = retryable
        self.outcome: Outcome = outcome if outcome is not None else self.default_outcome

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        # What contracts and nodes say often ends without a full stop.
        end = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{self.message}{end} {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default rebuilds from `args` alone, which fails for subclasses with more required arguments.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(cls: type[ActpError], args: tuple[Any, ...], attributes: dict[str, Any]) -> ActpError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ConfigError(ActpError):
    """A setting, a key or a file is missing or malformed."""

    default_code = "config"
    default_outcome: Outcome = "not_sent"


class WrongChain(ConfigError):
    """The node serves chain `actual`, and chain `expected` was asked for."""

    default_code = "wrong_chain"

    def __init__(self, expected: int, actual: int, *, endpoint: str = "", hint: str = "") -> None:
        where = f" {endpoint}" if endpoint else ""
        super().__init__(
            f"The node{where} serves chain {actual}, not chain {expected}.",
            hint=hint or "Point the RPC URL at the right network, or choose the network that the node serves.",
        )
        self.expected = expected
        self.actual = actual


class NoCode(ConfigError):
    """There is no contract at `address`."""

    default_code = "no_code"

    def __init__(self, name: str, address: str, *, hint: str = "") -> None:
        super().__init__(
            f"There is no contract at {address} ({name}).",
            hint=hint or "Check the address and the network, or deploy with scripts/deploy.py.",
        )
        self.name = name
        self.address = address


class ArtifactMismatch(ConfigError):
    """The code at an address was built from other sources than the artifact at hand."""

    default_code = "artifact_mismatch"


class InvalidInput(ActpError, ValueError):
    """An argument that can be refused without asking the chain."""

    default_code = "invalid_input"
    default_outcome: Outcome = "not_sent"


class RpcError(ActpError):
    """The node answered with a JSON-RPC error: its number, its text and its data, as it sent them."""

    default_code = "rpc_error"

    def __init__(
        self, rpc_code: int, message: str, data: Any = None, *, hint: str = "", retryable: bool = False
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.rpc_code = rpc_code
        self.data = data


class RpcUnavailable(ActpError):
    """The node did not answer, or not with JSON-RPC. Retryable unless the endpoint itself is wrong.

    If the request was to send an eth transaction, `outcome` is `not_sent` when the node certainly did not take it and
    `unknown` else. `code` is `rate_limited` for HTTP 429,
    `timeout` when the node took too long, `too_large` for HTTP 413.
    """

    default_code = "rpc_unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        retryable: bool = True,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, retryable=retryable, outcome=outcome)


class InsufficientFunds(ActpError):
    """`account` has `has` of `asset` and the call needs `needs` (wei for ETH, else base units). Nothing was sent."""

    default_code = "insufficient_funds"
    default_outcome: Outcome = "not_sent"

    def __init__(self, account: str, *, asset: str, has: int, needs: int, message: str = "", hint: str = "") -> None:
        unit = "wei" if asset == "ETH" else "base units"
        super().__init__(
            message or f"{account} has {has} {unit} of {asset} and needs {needs}.",
            hint=hint or f"Send at least {needs - has} {unit} of {asset} to {account}.",
        )
        self.account = account
        self.asset = asset
        self.has = has
        self.needs = needs


class UnsupportedByKernel(ActpError):
    """The kernel is of a generation that lacks the call."""

    default_code = "unsupported_by_kernel"
    default_outcome: Outcome = "not_sent"


class UnsupportedByToken(ActpError):
    """The token takes no signatures of this kind (EIP-2612 or EIP-3009)."""

    default_code = "unsupported_by_token"
    default_outcome: Outcome = "not_sent"


class IdempotencyConflict(ActpError):
    """The idempotency key belongs to the payment `transaction_id`, from which `differing` terms differ."""

    default_code = "idempotency_conflict"
    default_outcome: Outcome = "not_sent"

    def __init__(self, transaction_id: str, differing: Sequence[str]) -> None:
        super().__init__(
            f"The idempotency key belongs to the payment {transaction_id}, which has other terms: "
            f"{', '.join(differing)}.",
            hint="Give the terms of the first call (deadline included) to find it, or another key for another payment.",
        )
        self.transaction_id = transaction_id
        self.differing = tuple(differing)


class UnacceptedClauses(ActpError):
    """A transaction has an arbiter (None for none) or a time-out split that this client does not work under."""

    default_code = "unaccepted_clauses"
    default_outcome: Outcome = "not_sent"

    def __init__(self, transaction_id: str, arbiter: str | None, timeout_requester_bps: int) -> None:
        judge = "no arbiter" if arbiter is None else f"the arbiter {arbiter}, who alone rules on its disputes,"
        super().__init__(
            f"The transaction {transaction_id} has {judge} and gives the requester {timeout_requester_bps} of 10000 "
            "when nobody rules. This client does not accept that.",
            hint="If you do, create the client with accepted_arbiters=[...] or highest_timeout_requester_bps=...; if "
            "not, leave the transaction alone, or cancel it as its provider.",
        )
        self.transaction_id = transaction_id
        self.arbiter = arbiter
        self.timeout_requester_bps = timeout_requester_bps


class SignatureRefused(ActpError):
    """A signed authorization or consent that would be refused. `code` says why: other_chain, other_kernel, other_token,
    expired, not_yet_valid, used, wrong_signer.
    """

    default_code = "signature_refused"
    default_outcome: Outcome = "not_sent"


class PartialBatch(ActpError):
    """A list was sent in several eth transactions, and one of them failed: `done` are the results so far, `pending` the
    transaction ids of the rest. `outcome` is that of the one that failed, which is the `__cause__`.
    """

    default_code = "partial_batch"

    def __init__(self, done: Sequence[Any], pending: Sequence[str], cause: ActpError, *, hint: str) -> None:
        super().__init__(
            f"{len(done)} of {len(done) + len(pending)} are done. Then: {cause.message}",
            hint=hint,
            retryable=cause.retryable,
            outcome=cause.outcome,
        )
        self.done = tuple(done)
        self.pending = tuple(pending)


class UnknownTransaction(ActpError):
    """The kernel has no transaction of this id."""

    default_code = "unknown_transaction"
    default_outcome: Outcome = "not_sent"


class Reverted(ActpError):
    """A contract refused the call.

    `name` is the contract's own error (`AmountOutOfBounds`), `arguments` its decoded values by name, `raw` the revert
    data as 0x hex (`"0x"` when the contract gave none), `state` the state that the error says the transaction is in.
    `outcome` is `not_sent` if the call was only simulated and
    `reverted` if it was mined, in which case `tx_hash` names it.
    """

    default_code = "reverted"
    default_outcome: Outcome = "not_sent"

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        raw: str = "0x",
        message: str = "",
        hint: str = "",
        outcome: Outcome | None = None,
        tx_hash: str | None = None,
        state: str | None = None,
    ) -> None:
        values = dict(arguments or {})
        shown = ", ".join(f"{key}={value}" for key, value in values.items())
        super().__init__(message or (f"{name}: {shown}" if shown else name), hint=hint, outcome=outcome)
        self.name = name
        self.arguments = values
        self.raw = raw
        self.tx_hash = tx_hash
        self.state = state


class SendError(ActpError):
    """The node refused the eth transaction; it was not sent and its nonce is free again."""

    default_code = "send_error"
    default_outcome: Outcome = "not_sent"


class OutcomeUnknown(ActpError):
    """The eth transaction was handed over and not seen mined in time: it may still be.

    `tx_hashes` are all hashes signed for `nonce`. Look them up before you send the same payment again.
    """

    default_code = "outcome_unknown"
    default_outcome: Outcome = "unknown"

    def __init__(self, message: str, *, tx_hashes: Sequence[str], nonce: int, hint: str = "") -> None:
        super().__init__(
            message,
            hint=hint or "Do not send it again: look up these hashes first, one of them may be mined later.",
        )
        self.tx_hashes = tuple(tx_hashes)
        self.nonce = nonce


class FeeTooHigh(ActpError):
    """Sending would cost `asked` wei (per gas, or in all, as the message says), and the caller's cap is `cap`.

    Nothing was sent. Fees move, so the same call may work later.
    """

    default_code = "fee_too_high"
    default_outcome: Outcome = "not_sent"

    def __init__(self, message: str, *, asked: int, cap: int, hint: str = "") -> None:
        super().__init__(message, hint=hint, retryable=True)
        self.asked = asked
        self.cap = cap
