"""What the store remembers of one account, read back as it was signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from actp.encoding import payload_of
from actp.engine.intents import TRANSFER_GAS, Attempt, Intent, Job, Submission
from actp.engine.store import Store, attempts, outbox
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.types import EthTransaction

__all__ = ["Account", "Remembering", "restored"]


@dataclass(frozen=True, slots=True)
class Account:
    """An account on a chain, which its first block names."""

    chain_id: int
    address: str
    genesis: str


class Remembering:
    """The reads of a lane: none needs its turn."""

    store: Store
    account: Account
    id: int

    def find(self, tx_hash: str) -> Submission | None:
        """The open submission that this hash belongs to, in its newest form."""
        with self.store.read() as connection:
            attempt = attempts.find(connection, self.id, tx_hash)
            job = None if attempt is None else outbox.by_id(connection, attempt.intent_id)
            if job is None or job.status is not IntentStatus.OPEN:
                return None
            return restored(connection, self.account, [job])[0]

    def seen(self, tx_hash: str) -> bool:
        """Whether these bytes were signed before."""
        with self.store.read() as connection:
            return attempts.exists(connection, self.id, tx_hash)

    def job(self, intent_id: int) -> Job | None:
        """The outbox row of a submission."""
        with self.store.read() as connection:
            return outbox.by_id(connection, intent_id)

    def submission(self, intent_id: int) -> Submission | None:
        """What was signed for an intent, None if nothing was."""
        with self.store.read() as connection:
            job = outbox.by_id(connection, intent_id)
            found = [] if job is None else restored(connection, self.account, [job])
        return found[0] if found else None


def restored(connection: Connection, account: Account, jobs: Sequence[Job]) -> list[Submission]:
    """What was signed for these jobs; those for which nothing was are left out."""
    signed = attempts.of_intents(connection, [job.id for job in jobs])
    return [_newest(account, job, signed[job.id]) for job in jobs if signed[job.id]]


def _newest(account: Account, job: Job, signed: Sequence[Attempt]) -> Submission:
    """The newest signature of one job with the earlier ones; those of a nonce that it gave up do not count."""
    nonce = signed[-1].nonce
    earlier: tuple[Submission, ...] = ()
    for one in signed:
        if one.nonce == nonce and one.state is not AttemptState.REFUSED:
            earlier = (*earlier, _submission(account, job.intent, one, earlier))
    return earlier[-1] if earlier else _submission(account, job.intent, signed[-1], ())


def _submission(account: Account, intent: Intent, one: Attempt, earlier: tuple[Submission, ...]) -> Submission:
    fields = EthTransaction(
        account.chain_id, one.nonce, intent.to, intent.value, intent.data, one.gas, one.max_fee, one.tip
    )
    nothing = replace(fields, to=account.address, value=0, data=b"")
    # The bytes themselves say which of the two they are.
    cancels = one.gas == TRANSFER_GAS and nothing != fields and payload_of(nothing) in one.raw
    return Submission(
        account.address, one.nonce, one.tx_hash, nothing if cancels else fields, one.raw, account.genesis, earlier,
        one.intent_id, cancels, one.signed_at,
    )  # fmt: skip
