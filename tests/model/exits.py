"""Every funded state has an exit that needs nobody's consent after a known time."""

from __future__ import annotations

from tests.model.harness import Harness
from tests.model.kernel_model import DISPUTE_TIMEOUT, FINAL, REFUND_GRACE, KernelModel, State, Transaction
from tests.model.token_model import TOKEN, VAULT
from tests.model.world import KERNEL, Call

STRANGER = "stranger"


def check_exits(harness: Harness, *, block_parties: bool) -> None:
    """Ends every funded transaction by a stranger's calls and time alone, then undoes all of it.

    The kernel is paused, the vault takes no new escrows, and the token works again. With `block_parties` it freezes
    everyone who is to be paid: then they are owed credits, which can be withdrawn once they are free.
    """
    title = "nobody does anything any more" + (", and the token blocks the parties" if block_parties else "")
    with harness.detour(title):
        _make_hostile(harness, block_parties)
        for transaction_id in harness.open_funded():
            _end(harness, harness.model.transactions[transaction_id])
        _unblock(harness)
        owed = {account for account, amount in harness.model.credits.items() if amount > 0}
        for account in sorted(owed - {VAULT}):
            call = Call(STRANGER, KERNEL, "withdrawCredit", (account,))
            harness.call(call, lambda model, now, payee=account: model.withdraw_credit(now, STRANGER, payee))
        _check_nothing_left(harness)
    harness.tally.exits += 1


def _make_hostile(harness: Harness, block_parties: bool) -> None:
    model = harness.model
    admin, issuer = model.admin, model.token.issuer
    if model.token.paused:
        harness.arrange(Call(issuer, TOKEN, "unpause"), lambda model, now: model.token.pause(issuer, False))
    _unblock(harness)
    if block_parties:
        parties = {party for tx in model.transactions.values() for party in tx.parties}
        for account in sorted(parties - model.token.blocked):
            call = Call(issuer, TOKEN, "blacklist", (account,))
            harness.arrange(call, lambda model, now, party=account: model.token.blacklist(issuer, party, True))
    if not model.paused:
        harness.arrange(Call(admin, KERNEL, "pause"), lambda model, now: model.set_paused(now, admin, True))
    if model.vault_approved:
        approval = Call(admin, KERNEL, "approveEscrowVault", (VAULT, False))
        harness.arrange(approval, lambda model, now: model.approve_vault(now, admin, VAULT, False))


def _unblock(harness: Harness) -> None:
    issuer = harness.model.token.issuer
    for account in sorted(harness.model.token.blocked):
        call = Call(issuer, TOKEN, "unBlacklist", (account,))
        harness.arrange(call, lambda model, now, party=account: model.token.blacklist(issuer, party, False))


def _end(harness: Harness, tx: Transaction) -> None:
    """A stranger tries in the last second in which it must not succeed, then in the first in which it must."""
    match tx.state:
        case State.DELIVERED:
            assert tx.window_ends_at is not None
            call = Call(STRANGER, KERNEL, "releaseEscrow", (tx.id,))
            last_refusal = tx.window_ends_at
        case State.DISPUTED:
            call = Call(STRANGER, KERNEL, "closeTimedOutDispute", (tx.id,))
            last_refusal = tx.updated_at + DISPUTE_TIMEOUT
        case State.IN_PROGRESS if tx.held == 0:
            call = Call(STRANGER, KERNEL, "releaseEscrow", (tx.id,))
            last_refusal = harness.now - 1
        case _:
            call = Call(STRANGER, KERNEL, "transitionState", (tx.id, int(State.CANCELLED), b""))
            last_refusal = tx.deadline + REFUND_GRACE
    for moment in (last_refusal, last_refusal + 1):
        harness.wait_until(moment)
        harness.call(call, lambda model, now: _end_in_model(model, now, tx.id, call))
        if harness.model.transactions[tx.id].state in FINAL:
            return
    harness.fail(f"a stranger cannot end {tx.state.name} at {last_refusal + 1}")


def _end_in_model(model: KernelModel, now: int, transaction_id: bytes, call: Call) -> None:
    match call.function:
        case "releaseEscrow":
            model.release_escrow(now, STRANGER, transaction_id)
        case "closeTimedOutDispute":
            model.close_timed_out(now, STRANGER, transaction_id)
        case _:
            model.transition(now, STRANGER, transaction_id, State.CANCELLED, b"")


def _check_nothing_left(harness: Harness) -> None:
    facts = harness.compare()
    for tx in facts.transactions.values():
        if tx.escrow.held != 0 or (tx.escrow.amount != 0 and tx.state not in FINAL):
            harness.fail(f"{tx.escrow.held} of {tx.transaction_id.hex()} stay locked in {tx.state.name}")
    # What the vault was to pay to itself stays where it is.
    owed = facts.liabilities() - facts.fees - facts.credits[VAULT]
    if owed != 0:
        harness.fail(f"the vault still owes {owed} to others than the fee recipient")
