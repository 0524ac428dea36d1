"""What is due now, by the chain's time, for those for whom a bot works. Writes and sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from coordinator.settlement.choosing import Candidate, Group, grouped
from coordinator.settlement.served import Served
from coordinator.settlement.settings import SettlementSettings
from coordinator.store import Ledger, index_credits, index_escrows, settlements, treasuries, wallets
from coordinator.store.index_credits import Credit
from coordinator.store.index_escrows import Escrow
from coordinator.store.index_words import Due

__all__ = ["Looking", "Planned"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done at one kernel: `groups` of escrows, and `credits` to be pushed to their owners."""

    served: Served
    groups: tuple[Group, ...]
    credits: tuple[Credit, ...] = ()


class Looking:
    """Looks at the index of each kernel that a bot serves."""

    def __init__(self, ledger: Ledger, served: Sequence[Served], settings: SettlementSettings) -> None:
        self._ledger = ledger
        self._served = tuple(served)
        self._settings = settings

    def due(self, chain_now: int) -> list[Planned]:
        """What is due at each kernel at this time of the chain's. As many queries whatever the index holds. Raises
        StoreError.
        """
        settings, planned = self._settings, []
        with self._ledger.read() as connection:
            parties = self._parties(connection)
            for served in self._served:
                found = self._found(connection, served, chain_now, parties)
                failed = settlements.attempts(connection, served.kernel_id, [one.transaction_id for one in found])
                candidates = [
                    Candidate(
                        one.transaction_id,
                        one.due_kind,
                        one.provider,
                        one.due_at or 0,
                        failed.get((one.due_kind, one.transaction_id), 0),
                    )
                    for one in found
                    if one.due_kind is not None
                ]
                owed: list[Credit] = []
                if settings.credits and served.keeps:
                    owed = index_credits.owed(connection, served.kernel_id, payees=parties, limit=settings.most)
                groups = grouped(candidates, settings.batch if served.batches else 1)
                if groups or owed:
                    planned.append(Planned(served, tuple(groups), tuple(owed)))
        return planned

    def _found(self, connection: Connection, served: Served, chain_now: int, parties: list[str] | None) -> list[Escrow]:
        """Each kind by itself, and what failed before apart from what did not: what costs more than the limits allow
        stays due, and must not take the places of what does not.
        """
        now, most = self._ledger.now(), self._settings.most
        return [
            one
            for kind in Due
            if kind in self._settings.kinds
            for tried in ((False, True) if kind is Due.SETTLE else (None,))
            for one in index_escrows.due(
                connection, served.kernel_id, [kind], chain_now=chain_now, now=now, parties=parties, limit=most,
                tried=tried,
            )
        ]  # fmt: skip

    def _parties(self, connection: Connection) -> list[str] | None:
        """Whose escrows; None for everybody's."""
        whom = self._settings.whom
        if whom.everyone:
            return None
        names = set(whom.parties)
        if whom.treasuries:
            chains = {one.client.chain_id for one in self._served}
            known = [*wallets.accounts(connection), *treasuries.accounts(connection)]
            names |= {one.wallet for one in known if one.chain_id in chains}
        return sorted(names)
