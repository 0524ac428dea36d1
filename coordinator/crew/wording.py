"""English for what a run reports. Pure: records in, text out, no widths and no colours."""

from __future__ import annotations

from datetime import UTC, datetime

from actp.units import USDC_DECIMALS, format_usdc
from coordinator.crew.durations import format_duration
from coordinator.crew.outcome import Rates
from coordinator.crew.plan import Action
from coordinator.crew.records import Decision, Moment, Opening, Step, VaultLine
from coordinator.crew.rules import APPROVER

__all__ = ["aligned", "clock", "headline", "opening_lines", "sentence", "short_ids", "vault_sentence"]


def aligned(amount: int) -> str:
    """An amount with its decimal point where it is in every other one, so that right-aligned columns line up."""
    text = format_usdc(amount)
    return text + " " * (USDC_DECIMALS - len(text.partition(".")[2]))


def clock(at: int) -> str:
    """The chain's time of day, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def _date_and_clock(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def short_ids(transaction_ids: tuple[str, ...]) -> str:
    """Enough of an id to tell transactions apart, and how many more there are; `--json` gives all of them."""
    first, *others = transaction_ids
    return f"{first[:6]}.. +{len(others)}" if others else f"{first[:6]}..{first[-4:]}"


def headline(moment: Moment) -> str:
    """When the steps that follow happen."""
    passed = f"{format_duration(moment.passed_seconds)} later" if moment.passed_seconds else "Start"
    return f"{passed} ({_date_and_clock(moment.at)} UTC)"


def _terms(rates: Rates) -> str:
    """The kernel's prices."""
    return (
        f"The platform takes {_percent(rates.fee_bps)} of each payout, at least {format_usdc(rates.min_fee)}; "
        f"a dispute needs a bond of {_percent(rates.bond_bps)}, at least {format_usdc(rates.min_bond)}."
    )


def _percent(bps: int) -> str:
    whole, hundredths = divmod(bps, 100)
    return f"{whole}.{hundredths:02d}".rstrip("0").rstrip(".") + "%"


def opening_lines(opening: Opening) -> tuple[str, ...]:
    """Who plays, where, on which terms."""
    treasury = next(account for account in opening.accounts if account.role == "treasury")
    providers = [account.name for account in opening.accounts if account.role == "provider"]
    return (
        f"{treasury.name} pays for {_listed(opening.agents)}; agents hold no keys. Providers: {_listed(providers)}.",
        "Agents ask the coordinator, which grants what its rules allow; where a rule wants a person's yes, a "
        f"{APPROVER} answers.",
        _terms(opening.rates),
        f"All amounts are test USDC on chain {opening.chain_id}, which lives in this process and ends with it.",
    )


def _listed(names: tuple[str, ...] | list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def sentence(step: Step) -> str:
    """Who did what, and who was paid."""
    actor, provider = step.actor, step.provider
    match step.action:
        case Action.REQUEST:
            return _request(step)
        case Action.APPROVE:
            return f"The {actor} says yes" + (f" {step.copies} times" if step.copies > 1 else "")
        case Action.REJECT:
            return f"The {actor} says no. {step.reason}"
        case Action.EXPIRE:
            return f"{step.reason}: the request of {step.agent} has ended, and what it held is free again"
        case Action.PAUSE:
            return f"The {actor} pauses {step.agent}"
        case Action.RESUME:
            return f"The {actor} lets {step.agent} go on"
        case Action.PAY if step.copies > 1:
            return f"{actor} pays all {step.copies} into escrow for {provider}, in one batch"
        case Action.PAY:
            return f"{actor} pays it into escrow for {provider}"
        case Action.PAY_UNHEARD:
            return f"{actor} pays it into escrow for {provider}, and the worker breaks as soon as the node has it"
        case Action.ASK_AGAIN:
            return f"{actor} asks again with the same key: the next worker finds it paid, and nothing is sent"
        case Action.START:
            return f"{actor} starts work"
        case Action.PAY_MILESTONE:
            return f"{actor} pays a milestone for {step.agent}: {_payout(step)}"
        case Action.DELIVER:
            what = f" all {step.copies} in one batch" if step.copies > 1 else ""
            return f"{actor} delivers{what}; may be disputed until {_date_and_clock(step.window_ends_at or step.at)}"
        case Action.ACCEPT:
            return f"{actor} accepts for {step.agent}: {_payout(step)}"
        case Action.SETTLE:
            what = f" all {step.copies} with one transfer" if step.copies > 1 else ""
            return f"{actor} settles{what} after the dispute window: {_payout(step)}"
        case Action.DISPUTE:
            whom = "" if actor == provider else f" for {step.agent}"
            return f"{actor} disputes{whom} and posts a bond: {step.text}"
        case Action.RULE:
            return f"{actor} {_ruling(step)}"
        case Action.AGREE:
            shares = f"{actor} gets {format_usdc(step.paid_to_treasury)}, {_payout(step)}"
            return f"{actor} and {provider} sign a split and end it: {shares}"
        case Action.RECLAIM:
            return f"{actor} takes the money back for {step.agent}: {provider} missed the deadline"
        case Action.BLOCK:
            return f"{actor} puts {provider} on the token's block-list"
        case Action.UNBLOCK:
            return f"{actor} takes {provider} off the block-list"
        case Action.WITHDRAW_CREDIT:
            return f"{actor} withdraws its credit"
        case Action.WITHDRAW_FEES:
            return f"{actor} withdraws the platform's fees"


def _request(step: Step) -> str:
    times = f" {step.copies} times" if step.copies > 1 else ""
    what = f"{step.actor} asks{times} for {step.text}" + (f" ({step.category})" if step.category else "")
    match step.decision:
        case Decision.WAITING:
            return f"{what}: above what it may spend without a yes"
        case Decision.GRANTED:
            return f"{what}: within all limits"
        case _:
            return f"{what}: {step.rule}. {step.reason}"


def _payout(step: Step) -> str:
    fee = f"fee {format_usdc(step.fee)}"
    if step.credited:
        return f"the token refuses to pay {step.provider}, so {format_usdc(step.credited)} becomes its credit, {fee}"
    return f"{step.provider} gets {format_usdc(step.paid_to_provider)}, {fee}"


def _ruling(step: Step) -> str:
    # The bond goes to the party that is not at fault, whoever posted it.
    requester = f"the requester gets {format_usdc(step.paid_to_treasury)}"
    provider = f"{step.provider} gets {format_usdc(step.paid_to_provider)}"
    at_fault = step.provider if step.provider_at_fault else "the requester"
    if step.provider_at_fault:
        requester += ", bond included"
    else:
        provider += ", bond included"
    return f"finds {at_fault} at fault: {requester}; {provider}; fee {format_usdc(step.fee)}"


def vault_sentence(line: VaultLine) -> str:
    """What the vault holds, and for what."""
    parts = (("escrows", line.escrows), ("bonds", line.bonds), ("credits", line.credits), ("fees", line.fees))
    owed = " + ".join(f"{format_usdc(amount)} {name}" for name, amount in parts if amount) or "nothing owed"
    held = format_usdc(line.balance)
    return f"vault {held} = {owed}" if line.ok else f"VAULT HOLDS {held} AND OWES {owed}"
