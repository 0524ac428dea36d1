"""Who answers: people who are asked for approvals, and providers who cancel, deliver, dispute and are paid."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from actp.errors import Reverted
from actp.kernel_views import transaction_of
from actp.proofs import ruling_proof
from actp.reads import Read, read_all
from actp.types import State
from coordinator.budget.words import ReservationState
from coordinator.store import asks, reservations
from scripts.soak.market.plan import Market
from scripts.soak.siege.crowd import Crowd, Party

__all__ = ["Approvers", "Providers"]

_PAGE = 500
_KEEP, _CANCEL, _PAY, _SPLIT = "keep", "cancel", "pay", "split"
_ENDS = ((_KEEP, _CANCEL, _PAY, _SPLIT), (40, 35, 15, 10))
_AGAIN_AFTER = 5.0
_LOOK_EVERY = 3.0


class Approvers:
    """They say yes to most, no to some, and leave the rest to expire."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.answers: Counter[str] = Counter()

    def answer(self) -> None:
        market = self._market
        with market.ledger.read() as connection:
            waiting = asks.waiting(connection, market.account)
        for one in waiting:
            choice = random.Random(one.approval_id).random()
            if choice < 0.6:
                market.authority.approve(one.approval_id, "boss")
                self.answers["yes"] += 1
            elif choice < 0.8:
                market.authority.reject(one.approval_id, "boss", "not today")
                self.answers["no"] += 1


@dataclass(slots=True)
class _Deal:
    """An escrow, what its provider is going to do, and when something was sent for it."""

    transaction_id: str
    amount: int
    party: Party
    end: str
    delivered: bool = False
    over: bool = False
    sent_at: float = 0.0


class Providers:
    """Each escrow whose funding is final gets an end, or none. What vanished in a reorganisation is sent again."""

    def __init__(self, market: Market, crowd: Crowd, parties: Sequence[Party], admin: Party) -> None:
        self._market = market
        self._crowd = crowd
        self._kernel = market.client.kernel.address
        self._parties = {one.address: one for one in parties}
        self._admin = admin
        self._deals: dict[str, _Deal] = {}
        self._looked_at = float("-inf")
        self.late = False
        """Whether the windows of deliveries are over."""
        self.done: Counter[str] = Counter()

    @property
    def left(self) -> int:
        """How many are not where they are to end; as long as windows run, delivered is far enough for the paid ones."""
        return sum(not (one.over or self._waits(one)) for one in self._deals.values())

    @property
    def kept(self) -> int:
        """How many stay as they are."""
        return sum(one.end == _KEEP for one in self._deals.values())

    def look(self) -> None:
        """Decides about what is spent for good by now."""
        market = self._market
        if time.monotonic() - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = time.monotonic()
        after = 0
        while True:
            with market.ledger.read() as connection:
                page = reservations.in_states(
                    connection,
                    market.account,
                    (ReservationState.COMMITTED,),
                    after=after,
                    settled=False,
                    limit=_PAGE,
                )
            for row in page:
                if row.transaction_id not in self._deals:
                    end = random.Random(row.transaction_id).choices(*_ENDS)[0]
                    deal = _Deal(row.transaction_id, row.amount, self._parties[row.provider], end, over=end == _KEEP)
                    self._deals[row.transaction_id] = deal
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def act(self, most: int) -> None:
        """A step of some of those that are not over, as the chain stands."""
        now = time.monotonic()
        due = [one for one in self._deals.values() if not one.over and now - one.sent_at > _AGAIN_AFTER]
        due = [one for one in due if not self._waits(one)][:most]
        reads = [
            Read("ACTPKernel", self._kernel, "getTransaction", (bytes.fromhex(one.transaction_id[2:]),)) for one in due
        ]
        answers = read_all(self._market.client.transport, reads) if reads else []
        for deal, answer in zip(due, answers, strict=True):
            if not isinstance(answer, Reverted):  # else its block is gone for a moment
                deal.sent_at = now
                self._step(deal, transaction_of(answer).state)

    def _waits(self, deal: _Deal) -> bool:
        """For its window to be over."""
        return deal.end == _PAY and deal.delivered and not self.late

    def _step(self, deal: _Deal, state: State) -> None:
        if state.final:
            deal.over = True
            self.done[deal.end] += 1
        elif deal.end == _CANCEL:
            self._transition(deal, deal.party, State.CANCELLED)
        elif state is State.COMMITTED:
            self._transition(deal, deal.party, State.DELIVERED)
        elif deal.end == _PAY:
            deal.delivered = True
            if self.late:
                self._transition(deal, deal.party, State.SETTLED)
        elif deal.end == _SPLIT and state is State.DELIVERED:
            self._transition(deal, deal.party, State.DISPUTED)
        elif deal.end == _SPLIT and state is State.DISPUTED:
            part = random.Random(deal.transaction_id + "part").randint(0, deal.amount)
            proof = ruling_proof(part, deal.amount - part, bool(part % 2), None, None)
            self._transition(deal, self._admin, State.SETTLED, proof)

    def _transition(self, deal: _Deal, party: Party, state: State, proof: bytes = b"") -> None:
        arguments = (bytes.fromhex(deal.transaction_id[2:]), state.value, proof)
        self._crowd.call(party, deal.end, "ACTPKernel", self._kernel, "transitionState", *arguments)
