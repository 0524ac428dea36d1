"""What a settlement bot does, for whom, and what it may cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from actp.engine.fees import FeePolicy
from actp.errors import InvalidInput
from actp.payments import MAX_BATCH
from actp.units import require_address, shown
from coordinator.policy import PolicySettings
from coordinator.store.index_words import Due
from coordinator.types import ETH

__all__ = ["DEFAULT_BATCH", "EVERYONE", "GasLimits", "SettlementSettings", "Whom"]

DEFAULT_BATCH = 50
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Whom:
    """Whose escrows: those of these `parties`, as requester or provider, and with `treasuries` those of every wallet
    that the store works for; of `everyone` without looking at parties.
    """

    parties: frozenset[str] = frozenset()
    treasuries: bool = False
    everyone: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "parties", frozenset(require_address(one, "a party") for one in self.parties))
        if self.everyone and (self.parties or self.treasuries):
            raise InvalidInput("Everyone has all parties: name either.", hint="Leave the other parties out.")
        if not (self.everyone or self.parties or self.treasuries):
            raise InvalidInput("A settlement bot has to know for whom.", hint="Name parties, treasuries or everyone.")

    def __str__(self) -> str:
        if self.everyone:
            return "everyone"
        return ", ".join([*(["treasury"] if self.treasuries else []), *sorted(self.parties)])


EVERYONE = Whom(everyone=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class GasLimits:
    """The most that may be paid for gas, in wei; None leaves a limit out.

    `per_gas` bounds the fee per gas, `per_escrow` what an eth transaction may cost, divided by the escrows that it is
    about, `per_day` what all of a wallet's may cost within a UTC day. Costs count as they are signed: gas limit times
    the highest fee, and on OP-stack chains the L1 data fee. Raises InvalidInput unless positive.
    """

    per_gas: int | None = None
    per_escrow: int | None = None
    per_day: int | None = None

    def __post_init__(self) -> None:
        for name in ("per_gas", "per_escrow", "per_day"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
                raise InvalidInput(f"The limit {name} must be a positive int of wei, not {shown(value)}.")

    def fee_policy(self, base: FeePolicy, batch: int) -> FeePolicy:
        """The engine's caps, which are checked on what is signed."""
        policy = base
        if self.per_gas is not None:
            policy = replace(policy, max_fee_per_gas=min(self.per_gas, policy.max_fee_per_gas))
        if self.per_escrow is not None:
            policy = replace(policy, max_total_wei=min(self.per_escrow * batch, policy.max_total_wei))
        return policy

    def policy_of(self, base: PolicySettings | None) -> PolicySettings | None:
        """The rules by which the operations of a bot are judged, besides those of its wallet."""
        if self.per_day is None:
            return base
        rules = PolicySettings() if base is None else base
        known: Mapping[str, int] = rules.max_daily_loss or {}
        return replace(rules, max_daily_loss={**known, ETH: min(self.per_day, known.get(ETH, self.per_day))})


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementSettings:
    """One bot. `batch` is how many escrows one eth transaction settles at most, where the kernel has batches;
    `kinds` what is done about what is due. With `credits` it pushes what kernels owe to those for whom it works, with
    `fees` it takes the fees that accrued once there are `least_fees` base units, where its wallet may.

    At most `most` escrows are begun in one step. What failed waits `first_pause` seconds, then twice as long each time,
    up to `longest_pause`. What another wallet of the store has claimed and not ended for `stale_seconds` is taken over.
    """

    whom: Whom
    kinds: frozenset[Due] = frozenset(Due)
    batch: int = DEFAULT_BATCH
    credits: bool = False
    fees: bool = False
    least_fees: int = 1
    gas: GasLimits = field(default_factory=GasLimits)
    most: int = 2_500
    first_pause: float = 15.0
    longest_pause: float = 3_600.0
    stale_seconds: float = 600.0

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= MAX_BATCH:
            raise InvalidInput(f"A batch has 1 to {MAX_BATCH} escrows, not {shown(self.batch)}.")
        if self.most < 1 or self.least_fees < 1:
            raise InvalidInput("`most` and `least_fees` are at least 1.")
        if not 0 < self.first_pause <= self.longest_pause <= _DAY or self.stale_seconds <= 0:
            raise InvalidInput("Pauses are positive, and at most a day.")
