"""E, R and B: what had to happen by the effects, what happened by the receipt, and whether the delta guard's verdict
follows from them. Everything is computed here once more, from the claims alone; the balances are the node's to tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.guard.happenings import APPROVAL, CREDIT, OWED, TRANSFER
from coordinator.guard.wording import DERIVED_AGAIN, NOT_DERIVED
from coordinator.proofs.claims import (
    AllowanceClaim,
    Delta,
    Deltas,
    Execution,
    Holdings,
    LogClaim,
    MovementClaim,
    ProofClaim,
    ReceiptClaim,
    same,
)
from coordinator.proofs.reporting import Findings, Path
from coordinator.types import ETH, IntentType

__all__ = ["check_accounts", "fees_of", "flat", "transfers_of"]

_ETH = ETH.lower()
_AT: Path = ("parts", "execution", "delta")
_SETTLED_BY_BODY = frozenset(
    {
        IntentType.TRANSFER_ETH,
        IntentType.TRANSFER_ERC20,
        IntentType.APPROVE_ERC20,
        IntentType.CREATE_ESCROW,
        IntentType.CREATE_ESCROW_BATCH,
        IntentType.CREATE_MILESTONE_ESCROW,
    }
)
"""What others can do does not change what these do."""
_WORST = 10**9


@dataclass(frozen=True, slots=True)
class _Books:
    """What was computed of one eth transaction, beside what its proof says. `again`: somebody changed what it does
    before it was mined, and E is not what the effects say; `doubtful`: nobody can tell whether somebody did.
    """

    wallet: str
    delta: Delta
    expected: Holdings
    allowances: tuple[AllowanceClaim, ...]
    accounts: frozenset[str]
    moved: Holdings
    approvals: tuple[tuple[str, str, str, int], ...]
    told: Holdings
    residual: Holdings
    again: bool
    doubtful: bool

    @property
    def signed(self) -> Holdings:
        """What it had to change; nothing if it was refused."""
        return self.expected if self.delta.succeeded else {}

    @property
    def differences(self) -> Holdings:
        """R less E, where that concerns the wallet or whom the effects name."""
        if not self.delta.succeeded:
            return {}
        changes = {one: self.moved.get(one, 0) - self.expected.get(one, 0) for one in {*self.moved, *self.expected}}
        return {one: change for one, change in changes.items() if change and one[0] in self.accounts}

    @property
    def gift(self) -> bool:
        """Whether nothing differs but that the wallet has got more."""
        return all(account == self.wallet and change > 0 for (account, _), change in self.differences.items())

    @property
    def ungranted(self) -> bool:
        """Whether an allowance was given that nobody signed, or one that was signed was not given."""
        if not self.delta.succeeded:
            return False
        granted, used = set(), set()
        for token, owner, spender, to, amount in _keys(self.allowances):
            if to is not None:
                granted.add((token, owner, spender, to))
            if amount:
                used.add((token, owner, spender))
        # Tokens may report what is left of an allowance when it is used.
        strange = [one for one in self.approvals if one not in granted and one[:3] not in used]
        return any(owner == self.wallet for _, owner, _, _ in strange) or not granted <= set(self.approvals)

    @property
    def seen(self) -> set[tuple[str, str]]:
        """The holdings that have to be explained: what it changed of the wallet's, and whom it paid in tokens."""
        seen = {one for one in (*self.signed, *self.moved) if one[0] == self.wallet}
        seen.add((self.wallet, _ETH))
        if self.delta.scope == "block" and not self.again:
            seen.update(one for one, change in self.signed.items() if change > 0 and one[1] != _ETH)
        return seen

    @property
    def variance(self) -> int:
        """How far R and B are from E, in basis points of E, by the worst holding."""
        worst = 0
        for one in self.seen | self.told.keys():
            signed = self.signed.get(one, 0)
            off = abs(self.moved.get(one, 0) - signed) + abs(self.residual.get(one, 0))
            if off:
                worst = max(worst, off * 10_000 // abs(signed) if signed else 10_000)
        return min(worst, _WORST)


def check_accounts(claim: ProofClaim, execution: Execution, delta: Delta, found: Findings) -> None:
    """Whether E, R, B and the verdict of a proof are what follows from the rest of it."""
    _check_subject(claim, execution, delta, found)
    books = _books(claim, execution, delta, found)
    _check_receipt(claim.index, execution.receipt, books, found)
    _check_verdict(claim.index, books, found)


def _check_subject(claim: ProofClaim, execution: Execution, delta: Delta, found: Findings) -> None:
    """The verdict is about this eth transaction and no other."""
    receipt = execution.receipt
    for name, text, holds in (
        ("operation_id", "the verdict is on this operation", delta.operation_id == claim.head.operation),
        ("sender", "the verdict is on the wallet's", same(delta.sender, claim.head.wallet)),
        ("nonce", "the verdict is on this nonce", delta.nonce == execution.nonce),
        ("tx_hash", "the verdict is on this eth transaction", same(delta.tx_hash, receipt.tx_hash)),
        ("block", "the verdict is on this block", delta.block == receipt.block),
        ("succeeded", "the verdict says as the receipt whether it succeeded", delta.succeeded == receipt.succeeded),
    ):
        found.fact(claim.index, (*_AT, name), f"verdict's {name}", text, holds)
    balances, block = delta.balances, receipt.block.number
    around = balances.before < block <= balances.after and (
        delta.scope == "span" or (balances.before, balances.after) == (block - 1, block)
    )
    found.fact(claim.index, (*_AT, "balances"), "verdict's blocks", "the balances are those around the block", around)


def _books(claim: ProofClaim, execution: Execution, delta: Delta, found: Findings) -> _Books:
    """E of the effects, compared with what the verdict says it was, and all else that is needed."""
    wallet, told = claim.head.wallet.lower(), flat(delta.expected.deltas)
    tokens = {asset for _, asset in (*told, *flat(delta.receipt.deltas), *flat(delta.balances.deltas))} - {_ETH}
    tokens |= {one.asset.lower() for one in execution.effects.movements} - {_ETH}
    tokens |= {one.token.lower() for one in execution.effects.allowances}
    logs = execution.receipt.logs
    kept, allowances = _due(execution, tokens)
    expected, accounts = _net(kept), {one for each in execution.effects.movements for one in (each.source, each.target)}
    moved = _moved(execution, wallet, tokens)
    again = (told, _keys(delta.expected.allowances)) != (expected, _keys(allowances))
    at: Path = (*_AT, "expected")
    changeable = claim.head.type not in _SETTLED_BY_BODY
    if again and changeable and DERIVED_AGAIN in delta.notes and _only(told, moved, wallet):
        text = "Others changed what it does before it was mined. What it had to do then only the chain's state tells."
        found.unchecked("E", text)
        expected, allowances, accounts = told, delta.expected.allowances, {account for account, _ in told}
    else:
        found.fact(claim.index, at, "E", "what had to happen is what the effects say", not again)
        again = False
    strange = {log.address.lower() for log in logs if _concerns(log, wallet)} - tokens
    if strange:
        found.unchecked("other tokens", f"No verdict is on what {', '.join(sorted(strange))} says of the wallet.")
    return _Books(
        wallet, delta, expected, allowances, frozenset({wallet, *(one.lower() for one in accounts)}), moved,
        tuple(_events(logs, APPROVAL, tokens)), flat(delta.balances.deltas), flat(delta.balances.residual), again,
        changeable and any(note.startswith(NOT_DERIVED) for note in delta.notes),
    )  # fmt: skip


def _check_receipt(index: int, receipt: ReceiptClaim, books: _Books, found: Findings) -> None:
    """R is what the receipt says."""
    told = books.delta.receipt
    at: Path = (*_AT, "receipt")
    parts = (told.l1_fee, told.operator_fee) == (receipt.l1_fee, receipt.operator_fee)
    status = told.status == ("succeeded" if receipt.succeeded else "reverted")
    found.fact(index, (*at, "status"), "R: status", "R says as the receipt whether it succeeded", status)
    found.fact(index, (*at, "fee"), "R: fee", "the fee is that of the receipt", told.fee in fees_of(receipt))
    found.fact(index, (*at, "l1_fee"), "R: parts of the fee", "its parts are those of the receipt", parts)
    moved = flat(told.deltas) == books.moved
    found.fact(index, (*at, "deltas"), "R: what moved", "what moved is what the receipt's logs say", moved)


def _check_verdict(index: int, books: _Books, found: Findings) -> None:
    """The verdict follows from E, R and B."""
    delta, verdict = books.delta, books.delta.verdict
    at: Path = (*_AT, "verdict")
    differs = bool(books.differences) and (books.ungranted or not books.gift)
    doubtful = books.doubtful and not any(
        account == books.wallet and books.moved.get((account, asset), 0) < 0 for account, asset in books.differences
    )
    missing = delta.receipt.fee is None or not books.seen <= books.told.keys()
    lost = any(books.residual.get(one, 0) < 0 for one in books.seen | books.told.keys())
    breach = verdict == "breach"
    text = "what happened is what had to happen, or the verdict says that it is not"
    found.fact(index, at, "R is E", text, not differs or breach or (doubtful and verdict == "incomplete"))
    text = "no allowance was given but as signed, or the verdict says so"
    found.fact(index, at, "allowances", text, not books.ungranted or breach)
    text = "nothing is gone without an explanation, or the verdict says so"
    found.fact(index, (*_AT, "balances", "residual"), "B: nothing gone", text, not lost or breach)
    text = "the balances of all that it changed were read, or the verdict says that they were not"
    found.fact(index, (*_AT, "balances", "deltas"), "B: complete", text, not missing or verdict != "ok")
    text = "a breach has a cause"
    found.fact(index, at, "cause of a breach", text, not breach or differs or books.ungranted or lost)
    if verdict == "incomplete" and not missing and not differs:
        found.unchecked("incomplete", "What the node did not tell of its block, nobody can see any more.")
    text = "the variance is that of E, R and B"
    found.fact(index, (*_AT, "variance_bps"), "variance", text, delta.variance_bps == books.variance)


def fees_of(receipt: ReceiptClaim) -> tuple[int | None, ...]:
    """What its sender may have paid, by this receipt: where there is no L1 fee, either the chain takes none or the
    receipt does not tell all of it (None).
    """
    fee = receipt.gas_used * receipt.effective_gas_price
    if receipt.l1_fee is None:
        return fee, None
    return (None,) if receipt.operator_fee is None else (fee + receipt.l1_fee + receipt.operator_fee,)


def flat(deltas: Deltas) -> Holdings:
    """Changes by (account, asset)."""
    nets: Holdings = {}
    for asset, changes in deltas.items():
        for account, change in changes.items():
            _add(nets, account, asset, change)
    return nets


def transfers_of(logs: Iterable[LogClaim], tokens: set[str]) -> Holdings:
    """What the Transfer events of these tokens change in the end, zeros left out."""
    nets: Holdings = {}
    for token, source, target, amount in _events(logs, TRANSFER, tokens):
        _add(nets, source, token, -amount)
        _add(nets, target, token, amount)
    return {one: change for one, change in nets.items() if change}


def _moved(execution: Execution, wallet: str, tokens: set[str]) -> Holdings:
    if not execution.receipt.succeeded:
        return {}
    nets = transfers_of(execution.receipt.logs, tokens)
    _add(nets, wallet, ETH, -execution.call.value)
    _add(nets, execution.call.to, ETH, execution.call.value)
    return {one: change for one, change in nets.items() if change}


def _due(execution: Execution, tokens: set[str]) -> tuple[list[MovementClaim], tuple[AllowanceClaim, ...]]:
    """The effects without what the token refused and the contract that was called noted as a debt instead."""
    logs, contract = execution.receipt.logs, {execution.call.to.lower()}
    credits = [(account, amount) for _, _, account, amount in _events(logs, CREDIT, contract)]
    owed = [(account, amount) for _, _, account, amount in _events(logs, OWED, contract)]
    done = list(_events(logs, TRANSFER, tokens))
    kept, allowances = [], list(execution.effects.allowances)
    for one in execution.effects.movements:
        asset, source, target = one.asset.lower(), one.source.lower(), one.target.lower()
        if (asset, source, target, one.amount) in done:
            done.remove((asset, source, target, one.amount))
        elif one.creditable and (target, one.amount) in credits:
            credits.remove((target, one.amount))
            continue
        elif one.creditable and (source, one.amount) in owed:
            owed.remove((source, one.amount))
            use = (asset, source, target, None, one.amount)
            allowances = [each for each in allowances if _keys([each]) != [use]]
            continue
        kept.append(one)
    return kept, tuple(allowances)


def _events(logs: Iterable[LogClaim], kind: str, addresses: set[str]) -> Iterable[tuple[str, str, str, int]]:
    """(contract, second topic's account, third topic's account, number) of the events of this kind."""
    for log in logs:
        event = log.event
        if event is not None and event[0] == kind and log.address.lower() in addresses:
            yield log.address.lower(), *event[1:]


def _concerns(log: LogClaim, account: str) -> bool:
    return log.event is not None and log.event[0] in (TRANSFER, APPROVAL) and account in log.event[1:3]


def _net(movements: Iterable[MovementClaim]) -> Holdings:
    nets: Holdings = {}
    for one in movements:
        _add(nets, one.source, one.asset, -one.amount)
        _add(nets, one.target, one.asset, one.amount)
    return {one: change for one, change in nets.items() if change}


def _keys(changes: Iterable[AllowanceClaim]) -> list[tuple[str, str, str, int | None, int]]:
    return [(one.token.lower(), one.owner.lower(), one.spender.lower(), one.to, one.used) for one in changes]


def _only(expected: Holdings, moved: Holdings, wallet: str) -> bool:
    """Whether R is E, for the wallet and for whom E names."""
    accounts = {wallet, *(account for account, _ in expected)}
    return expected == {one: change for one, change in moved.items() if one[0] in accounts}


def _add(nets: Holdings, account: str, asset: str, amount: int) -> None:
    one = (account.lower(), asset.lower())
    nets[one] = nets.get(one, 0) + amount
