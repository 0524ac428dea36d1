"""Ending a transaction by a split that both parties sign: the verbs `sign_split` and `settle_by_consent`."""

from __future__ import annotations

from dataclasses import replace

from actp.binding import Binding, Session, TxResult
from actp.errors import InvalidInput, SignatureRefused
from actp.kernel import Kernel
from actp.signatures import require_signature
from actp.signed import SplitConsent
from actp.terms import require_seconds
from actp.types import Transaction
from actp.units import require_address, require_base_units, shown
from actp.vault import EscrowVault

__all__ = ["Consents"]


class Consents:
    """Splits by consent at one kernel, as one account signs or sends them."""

    def __init__(self, session: Session, *, kernel: Kernel, vault: EscrowVault) -> None:
        self._session = session
        self._kernel = kernel
        self._vault = vault
        self._binding = Binding(session, "ACTPKernel", kernel.address)

    def sign(
        self,
        transaction_id: str,
        requester_amount: int,
        provider_amount: int,
        valid_until: int,
        *,
        party: str | None = None,
    ) -> SplitConsent:
        """See `ACTPClient.sign_split`."""
        self._kernel.require("sign_split")
        signer = self._session.address if party is None else require_address(party, "party")
        unsigned = SplitConsent(
            chain_id=self._session.sender.chain_id,
            kernel=self._kernel.address,
            transaction_id=transaction_id,
            requester_amount=require_base_units(requester_amount, "requester_amount"),
            provider_amount=require_base_units(provider_amount, "provider_amount"),
            valid_until=require_seconds(valid_until, "valid_until"),
            signer=signer,
            signature="0x",
        )
        record = self._kernel.get_transaction(transaction_id)
        unsigned = replace(unsigned, transaction_id=record.transaction_id)
        self._check_terms(unsigned, record)
        if signer not in (record.requester, record.provider):
            raise InvalidInput(
                f"{signer} is no party of {transaction_id}.",
                hint="Sign with the key of its requester or its provider; for a contract wallet name it as party.",
            )
        typed = unsigned.typed_data()
        consent = replace(unsigned, signature="0x" + self._session.sender.signer.sign_typed_data(typed).hex())
        if signer != self._session.address:
            require_signature(self._session, signer, typed, consent.signature)
        return consent

    def settle(self, *consents: SplitConsent) -> TxResult:
        """See `ACTPClient.settle_by_consent`."""
        self._kernel.require("settle_by_consent")
        if not consents or not all(isinstance(consent, SplitConsent) for consent in consents):
            raise InvalidInput(
                f"{shown(consents)} are no consents.", hint="Give what sign_split returned, or SplitConsent.from_json."
            )
        first = consents[0]
        for other in consents[1:]:
            if replace(other, signer=first.signer, signature=first.signature) != first:
                raise InvalidInput("The consents are to different splits.", hint="Let both parties sign the same one.")
        self._check_place(first)
        record = self._kernel.get_transaction(first.transaction_id)
        self._check_terms(first, record)
        signatures = {record.requester: "", record.provider: ""}
        for consent in consents:
            if consent.signer not in signatures:
                raise SignatureRefused(
                    f"{consent.signer} is no party of {first.transaction_id}.",
                    code="wrong_signer",
                    hint="Its requester and its provider have to sign.",
                )
            require_signature(self._session, consent.signer, consent.typed_data(), consent.signature)
            signatures[consent.signer] = consent.signature[2:]
        missing = [party for party, signed in signatures.items() if not signed and party != self._session.address]
        if missing:
            raise InvalidInput(
                f"The consent of {' and '.join(missing)} is missing.",
                hint="Each party has to sign, except for the one that sends.",
            )
        return self._binding.send(
            "settleByConsent",
            bytes.fromhex(record.transaction_id[2:]),
            first.requester_amount,
            first.provider_amount,
            first.valid_until,
            bytes.fromhex(signatures[record.requester]),
            bytes.fromhex(signatures[record.provider]),
        )

    def _check_place(self, consent: SplitConsent) -> None:
        pairs = (
            ("chain", consent.chain_id, self._session.sender.chain_id),
            ("kernel", consent.kernel, self._kernel.address),
        )
        for what, theirs, ours in pairs:
            if theirs != ours:
                raise SignatureRefused(
                    f"The consent is for the {what} {theirs}, and this client's is {ours}.",
                    code=f"other_{what}",
                    hint="Send it with a client for the deployment that it was signed for.",
                )

    def _check_terms(self, consent: SplitConsent, record: Transaction) -> None:
        if not record.funded:
            raise InvalidInput(
                f"The transaction {record.transaction_id} is {record.state.name}, and holds nothing to split.",
                hint="Read its state again (kernel.get_transaction).",
            )
        held, total = self._vault.remaining(record.escrow_id), consent.requester_amount + consent.provider_amount
        if total != held:
            raise InvalidInput(
                f"The split sums to {total} base units, and the escrow holds {held}.",
                hint="The two amounts have to sum to what it holds; the fee is taken from the provider's.",
            )
        now = self._session.now()
        if consent.valid_until < now:
            raise SignatureRefused(
                f"The consent was valid up to {consent.valid_until}, and the chain's time is {now}.",
                code="expired",
                hint="Sign again with a later valid_until.",
            )
