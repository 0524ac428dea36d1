"""Payments that their requester signs and anybody sends (EIP-3009): the verbs `authorize_payment` and
`submit_authorization`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actp.binding import Binding, Session
from actp.errors import InvalidInput, Reverted, SignatureRefused
from actp.intents import Intents, Payment, naming
from actp.kernel import Kernel
from actp.signatures import require_signature
from actp.signed import PaymentAuthorization
from actp.terms import require_seconds
from actp.token import Token
from actp.types import State
from actp.units import shown

__all__ = ["Relays"]


class Relays:
    """Authorized payments at one kernel, as one account signs or sends them."""

    def __init__(self, session: Session, *, kernel: Kernel, vault: str, token: Token, intents: Intents) -> None:
        self._session = session
        self._kernel = kernel
        self._vault = vault
        self._token = token
        self._intents = intents
        self._binding = Binding(session, "ACTPKernel", kernel.address)

    def authorize(self, *, valid_for: int = 3_600, **terms: Any) -> PaymentAuthorization:
        """See `ACTPClient.authorize_payment`."""
        self._kernel.require("authorize_payment")
        intent = self._intents.build(**terms)
        seconds = require_seconds(valid_for, "valid_for")
        if not seconds:
            raise InvalidInput("valid_for is 0 seconds.", hint="Give the relayer some time, such as 3600.")
        if not intent.keyed or self._intents.find(intent) is None:
            self._intents.check_times([intent])
        unsigned = PaymentAuthorization(
            chain_id=self._session.sender.chain_id,
            kernel=self._kernel.address,
            vault=self._vault,
            token=self._token.address,
            requester=intent.requester,
            order=intent.order,
            clauses=intent.clauses,
            valid_after=0,
            valid_before=self._session.now() + seconds,
            signature="0x",
        )
        typed = unsigned.typed_data(self._token.signing.domain)
        return replace(unsigned, signature="0x" + self._session.sender.signer.sign_typed_data(typed).hex())

    def submit(self, authorization: PaymentAuthorization) -> Payment:
        """See `ACTPClient.submit_authorization`."""
        self._kernel.require("submit_authorization")
        if not isinstance(authorization, PaymentAuthorization):
            raise InvalidInput(
                f"{shown(authorization)} is no PaymentAuthorization.", hint="PaymentAuthorization.from_json reads one."
            )
        self._check_place(authorization)
        order, clauses = authorization.order, authorization.clauses
        intent = self._intents.of(authorization.requester, order, clauses, keyed=True)
        found = self._intents.find(intent)
        if found is not None:
            return Payment(found.transaction_id, True, found.state)
        self._check_time(authorization)
        typed = authorization.typed_data(self._token.signing.domain)
        require_signature(self._session, authorization.requester, typed, authorization.signature)
        if self._token.signing.is_used(authorization.requester, authorization.nonce):
            raise SignatureRefused(
                "The authorization was used at the token already, or its requester cancelled it.",
                code="used",
                hint="Ask the requester for another one.",
            )
        signed = (authorization.valid_after, authorization.valid_before, bytes.fromhex(authorization.signature[2:]))
        arguments = (authorization.requester, order.fields(), clauses.fields(), signed)
        try:
            result = naming([intent], lambda: self._binding.send("createFundedWithAuthorization", *arguments))
        except Reverted as error:
            found = self._intents.await_found(intent) if error.name == "SaltUsed" else None
            if found is None:
                raise
            return Payment(found.transaction_id, True, found.state)
        return Payment(intent.transaction_id, False, State.COMMITTED, result)

    def _check_place(self, authorization: PaymentAuthorization) -> None:
        pairs = (
            ("chain", authorization.chain_id, self._session.sender.chain_id),
            ("kernel", authorization.kernel, self._kernel.address),
            ("vault", authorization.vault, self._vault),
            ("token", authorization.token, self._token.address),
        )
        for what, theirs, ours in pairs:
            if theirs != ours:
                raise SignatureRefused(
                    f"The authorization is for the {what} {theirs}, and this client's is {ours}.",
                    code=f"other_{what}",
                    hint="Send it with a client for the deployment that it was signed for.",
                )

    def _check_time(self, authorization: PaymentAuthorization) -> None:
        now = self._session.now()
        if now >= authorization.valid_before:
            raise SignatureRefused(
                f"The authorization was valid before {authorization.valid_before}, and the chain's time is {now}.",
                code="expired",
                hint="Ask the requester for another one.",
            )
        if now <= authorization.valid_after:
            raise SignatureRefused(
                f"The authorization is valid after {authorization.valid_after}, and the chain's time is {now}.",
                code="not_yet_valid",
                hint="Send it later.",
            )
