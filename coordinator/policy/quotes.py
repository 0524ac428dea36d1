"""Rules on prices: what was quoted, when, and what such a service usually costs."""

from __future__ import annotations

from coordinator.policy.facts import Facts
from coordinator.policy.known import leaving, number, share_bps
from coordinator.policy.reasons import above, deny
from coordinator.policy.settings import PolicySettings
from coordinator.types import Reason, Ruling

__all__ = ["max_quote_age_seconds", "max_slippage_bps", "oracle_deviation_bps"]


def max_slippage_bps(facts: Facts, settings: PolicySettings) -> Reason | None:
    """How far the amount may be above the quoted one."""
    limit = settings.max_slippage_bps
    if limit is None or not _is_quoted(facts):
        return None
    quoted = number(facts.quoted_amount, "quoted_amount")
    slippage = share_bps(max(leaving(facts) - quoted, 0), quoted)
    if slippage is None:
        return deny("max_slippage_bps", "It was quoted as costing nothing, and does cost something.", limit)
    return above("max_slippage_bps", "The slippage from the quote, in bps,", slippage, limit)


def max_quote_age_seconds(facts: Facts, settings: PolicySettings) -> Reason | None:
    """How far the time of the quote may be from now: one from the future would stay fresh for ever."""
    limit = settings.max_quote_age_seconds
    if limit is None or not _is_quoted(facts):
        return None
    age = abs(number(facts.now, "now") - number(facts.quoted_at, "quoted_at"))
    return above("max_quote_age_seconds", "The distance of the quote's time from now, in seconds,", age, limit)


def oracle_deviation_bps(facts: Facts, settings: PolicySettings) -> Reason | None:
    """How far quote and amount may be from the reference price of the service, up or down, before somebody looks."""
    limit = settings.oracle_deviation_bps
    if limit is None or not (_is_quoted(facts) or facts.service is not None):
        return None
    name, ask = "oracle_deviation_bps", Ruling.REQUIRE_APPROVAL
    if facts.reference_amount is None:
        return Reason(name, "No reference price of this service is known.", ask, limit)
    reference = number(facts.reference_amount, "reference_amount")
    prices = [leaving(facts)]
    if facts.quoted_amount is not None:
        prices.append(number(facts.quoted_amount, "quoted_amount"))
    deviation = share_bps(max(abs(price - reference) for price in prices), reference)
    if deviation is None:
        return Reason(name, "It costs something, and the reference price is nothing.", ask, limit)
    return above(name, "The deviation from the reference price, in bps,", deviation, limit, ask)


def _is_quoted(facts: Facts) -> bool:
    """Half a quote is one too, so that leaving a half out is no way around the rules on quotes."""
    return facts.quoted_amount is not None or facts.quoted_at is not None
