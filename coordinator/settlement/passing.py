"""What one pass of a bot did, and what of it people are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.settlement.following import Outcome
from coordinator.settlement.lateness import Lateness, lateness_of
from coordinator.settlement.reasons import BY_LIMITS
from coordinator.store.alerts import AlertKind, Draft
from coordinator.store.index_words import Due

__all__ = ["Pass", "alerts_of", "trouble_alert"]

_DONE = {Due.SETTLE: "settled", Due.REFUND: "refunded", Due.CLOSE: "closed"}


@dataclass(frozen=True, slots=True)
class Pass:
    """What has ended since the pass before, how many escrows something was begun about, and how many credits and fees
    are being withdrawn; `waits` says why no more was begun.
    """

    outcomes: tuple[Outcome, ...] = ()
    begun: int = 0
    withdrawn: int = 0
    waits: str | None = None
    late: Lateness | None = field(init=False)

    def __post_init__(self) -> None:
        late = lateness_of(one.late for one in self.outcomes if one.late is not None)
        object.__setattr__(self, "late", late)

    @property
    def did_something(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.outcomes or self.begun or self.withdrawn)

    def __str__(self) -> str:
        ours = Counter(_DONE[one.kind] for one in self.outcomes if one.done and one.ours)
        others = sum(one.done and not one.ours for one in self.outcomes)
        failed = Counter(one.code for one in self.outcomes if not one.done)
        parts = [f"{word} {count}" for word, count in sorted(ours.items())]
        parts += [f"done by others {others}"] if others else []
        parts += [f"not done {sum(failed.values())} ({_counted(failed)})"] if failed else []
        parts += [f"begun {self.begun}"] if self.begun else []
        parts += [f"withdrawing {self.withdrawn}"] if self.withdrawn else []
        parts += [str(self.late)] if self.late is not None else []
        return ", ".join(parts) or "nothing"


def alerts_of(outcomes: Sequence[Outcome]) -> list[Draft]:
    """What people are told of what could not be done, once for each escrow: that it fails with others says nothing
    about it, and neither do the costs of gas.
    """
    return [
        Draft(
            AlertKind.SETTLEMENT,
            f"{one.served.kernel_id}-{one.kind.value}-{one.transaction_id}",
            f"An escrow cannot be {_DONE[one.kind]}",
            f"Transaction {one.transaction_id} at the kernel {one.served} on chain {one.served.client.chain_id} is "
            f"due, and could not be {_DONE[one.kind]}: {one.code}. {one.reason} It is tried again.",
        )
        for one in outcomes
        if not one.done and one.alone and one.code not in BY_LIMITS
    ]


def trouble_alert(wallet: str, code: str, reason: str, day: int) -> Draft:
    """Says that a bot begins nothing, once for each reason and UTC day."""
    return Draft(AlertKind.SETTLEMENT, f"{wallet}-{code}-{day}", "The settlement bot waits", reason)


def _counted(found: Counter[str | None]) -> str:
    return ", ".join(f"{count} {code}" for code, count in found.most_common(5))
