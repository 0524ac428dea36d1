"""Rules on how much, and how often: of one operation, of what is open, of what is lost, and within a time."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.policy.facts import Counts, Facts
from coordinator.policy.known import MissingFact, amount_of, counterparty_of, leaving, number, share_bps, total_of
from coordinator.policy.reasons import above, deny
from coordinator.policy.settings import PolicySettings, RateCaps
from coordinator.types import ETH, IntentType, Reason, Ruling

__all__ = [
    "agent_rate",
    "amount_is_sound",
    "approval_over",
    "max_amount",
    "max_concentration_bps",
    "max_contract_exposure",
    "max_counterparty_exposure",
    "max_daily_loss",
    "max_drawdown_bps",
    "max_fee_wei",
    "max_token_exposure",
    "wallet_rate",
]


def amount_is_sound(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The amount is an amount, whatever is set: no other rule may be passed with a negative one."""
    number(facts.subject.amount, "amount")
    return None


def max_amount(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The largest amount of one operation."""
    if settings.max_amount is None:
        return None
    amount, limit = leaving(facts), settings.max_amount.get(facts.subject.asset, 0)
    return above("max_amount", f"The amount of {facts.subject.asset}", amount, limit)


def approval_over(facts: Facts, settings: PolicySettings) -> Reason | None:
    """What somebody has to approve."""
    if settings.approval_over is None:
        return None
    amount, limit = leaving(facts), settings.approval_over.get(facts.subject.asset, 0)
    return above("approval_over", f"The amount of {facts.subject.asset}", amount, limit, Ruling.REQUIRE_APPROVAL)


def max_concentration_bps(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The largest share of the wallet's balance that one operation may take."""
    limit, amount = settings.max_concentration_bps, leaving(facts)
    if limit is None or amount == 0:
        return None
    asset = facts.subject.asset
    share = share_bps(amount, amount_of(facts.balances, asset, "balances"))
    if share is None:
        return deny("max_concentration_bps", f"The wallet holds no {asset}.", limit)
    return above("max_concentration_bps", f"The share of the wallet's {asset}, in bps,", share, limit)


def max_fee_wei(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The most that the eth transaction may cost in fees, by the policy and by the request itself."""
    limits = [one for one in (settings.max_fee_wei, facts.fee_limit) if one is not None]
    if not limits:
        return None
    return above("max_fee_wei", "The fee in wei", number(facts.max_fee_wei, "max_fee_wei"), min(limits))


def max_token_exposure(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The most of an asset in open escrows."""
    if settings.max_token_exposure is None or not _locks(facts):
        return None
    asset = facts.subject.asset
    open_now = total_of(facts.locked, asset, "locked")
    return _exposure(
        "max_token_exposure", f"What open escrows hold of {asset}", facts, settings.max_token_exposure, open_now
    )


def max_contract_exposure(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The most of an asset in open escrows of one contract."""
    if settings.max_contract_exposure is None or not _locks(facts):
        return None
    asset, contract = facts.subject.asset, facts.call.to
    open_now = total_of(facts.locked_at, (contract, asset), "locked_at")
    what = f"What open escrows of {contract} hold of {asset}"
    return _exposure("max_contract_exposure", what, facts, settings.max_contract_exposure, open_now)


def max_counterparty_exposure(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The most of an asset in open escrows with one counterparty."""
    if settings.max_counterparty_exposure is None or not _locks(facts):
        return None
    asset, party = facts.subject.asset, counterparty_of(facts)
    open_now = total_of(facts.locked_with, (party, asset), "locked_with")
    what = f"What open escrows with {party} hold of {asset}"
    return _exposure("max_counterparty_exposure", what, facts, settings.max_counterparty_exposure, open_now)


def max_daily_loss(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The most that may be lost in a day, with what this operation may lose: its fee, and a bond.

    A loss beyond the limit stops all spending, whatever the asset, and everything that may add to it; what only brings
    money back or ends an escrow still passes while its own fee does.
    """
    if settings.max_daily_loss is None:
        return None
    amount, asset = leaving(facts), facts.subject.asset
    for at_risk, limit in sorted(settings.max_daily_loss.items()):
        more = number(facts.max_fee_wei, "max_fee_wei") if at_risk == ETH else 0
        if facts.type == IntentType.DISPUTE_ESCROW and at_risk == asset:
            more += amount
        loss = total_of(facts.lost_today, at_risk, "lost_today") + more
        if more or amount:
            reason = above("max_daily_loss", f"Today's loss of {at_risk}", loss, limit)
            if reason is not None:
                return reason
    return None


def max_drawdown_bps(facts: Facts, settings: PolicySettings) -> Reason | None:
    """How far wallet and open escrows together may fall below the most that they ever were."""
    limit, amount = settings.max_drawdown_bps, leaving(facts)
    if limit is None or amount == 0:
        return None
    asset = facts.subject.asset
    now = amount_of(facts.balances, asset, "balances") + total_of(facts.locked, asset, "locked")
    peak = max(amount_of(facts.peaks, asset, "peaks"), now)
    # What goes into an escrow is still the treasury's, until it is paid out.
    left = now if facts.subject.locks else now - amount
    drawdown = share_bps(peak - left, peak)
    if drawdown is None:
        return deny("max_drawdown_bps", f"The treasury never had any {asset}.", limit)
    return above("max_drawdown_bps", f"The drawdown of {asset} from its peak, in bps,", drawdown, limit)


def agent_rate(facts: Facts, settings: PolicySettings) -> Reason | None:
    """How many operations an agent may start."""
    return _rate("agent_rate", f"of {facts.agent}", settings.agent_rate, facts.agent_counts, "agent_counts")


def wallet_rate(facts: Facts, settings: PolicySettings) -> Reason | None:
    """How many operations may be started from the wallet, by all agents."""
    return _rate("wallet_rate", f"from {facts.wallet}", settings.wallet_rate, facts.wallet_counts, "wallet_counts")


def _exposure(rule: str, what: str, facts: Facts, limits: Mapping[str, int], open_now: int) -> Reason | None:
    return above(rule, what, open_now + leaving(facts), limits.get(facts.subject.asset, 0))


def _rate(rule: str, whose: str, caps: RateCaps | None, counts: Counts | None, fact: str) -> Reason | None:
    if caps is None:
        return None
    if counts is None:
        raise MissingFact(fact)
    windows = (
        ("minute", caps.minute, counts.minute),
        ("hour", caps.hour, counts.hour),
        ("day", caps.day, counts.day),
    )
    for window, cap, count in windows:
        if cap is not None:
            reason = above(
                rule, f"The number of operations {whose} within a {window}", number(count, f"{fact}.{window}") + 1, cap
            )
            if reason is not None:
                return reason
    return None


def _locks(facts: Facts) -> bool:
    return facts.subject.locks and leaving(facts) > 0
