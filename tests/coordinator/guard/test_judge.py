"""The rules against a small model of a chain: every planted breach is found, and nothing else is called one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actp.units import keccak, to_checksum
from coordinator.guard import Kind, Scope, Sent, State, Verdict
from coordinator.guard.comparing import differences
from coordinator.guard.evidence import Holding
from coordinator.guard.happenings import APPROVAL, CREDIT, OWED, TRANSFER, Happened
from coordinator.guard.judge import judge_segment
from coordinator.guard.segment import Segment
from coordinator.guard.standing import UNLIMITED, judge_allowances
from coordinator.guard.strangers import use_signatures
from coordinator.types import ETH, AllowanceChange, BlockRef, Effects, Movement

US, ALSO_US, PAYEE, VAULT, THIEF, TOKEN, OTHER = (to_checksum("0x" + f"{n:02x}" * 20) for n in range(1, 8))
OURS = frozenset({US, ALSO_US})


def block(number: int) -> BlockRef:
    return BlockRef(number, "0x" + f"{number:064x}")


@dataclass
class Model:
    """Balances as a chain keeps them, and what receipts say of what changes them."""

    balances: dict[Holding, int] = field(default_factory=lambda: defaultdict(lambda: 10**9))
    happened: list[Happened] = field(default_factory=list)
    planted: bool = False
    number: int = 1
    nonce: int = 0

    def move(self, asset: str, source: str, target: str, amount: int) -> None:
        self.balances[(source, asset)] -= amount
        self.balances[(target, asset)] += amount

    def mined(self, sender: str, fee: int = 21, **more: Any) -> Happened:
        tx_hash = "0x" + keccak(len(self.happened).to_bytes(4, "big")).hex()
        one = Happened(tx_hash, block(self.number), len(self.happened), True, sender, TOKEN, fee, value=0)
        for name, value in more.items():
            setattr(one, name, value)
        self.balances[(sender, ETH)] -= fee
        self.happened.append(one)
        return one

    def ours(self, sender: str, effects: Effects, **more: Any) -> Happened:
        self.nonce += 1
        one = self.mined(sender, **more)
        one.sent = Sent(self.nonce, sender, self.nonce, (one.tx_hash,), effects)
        one.effects = effects
        return one

    # ---- what may happen: (kind, asset, sender, amount)

    def honest_payment(self, asset: str, sender: str, amount: int) -> None:
        one = self.ours(sender, Effects((Movement(asset, sender, PAYEE, amount),)))
        self.move(asset, sender, PAYEE, amount)
        if asset == ETH:
            one.to, one.value = PAYEE, amount
        else:
            one.transfers.append((asset, sender, PAYEE, amount))

    def refund(self, asset: str, sender: str, amount: int) -> None:
        one = self.ours(sender, Effects((Movement(TOKEN, VAULT, sender, amount),)))
        self.move(TOKEN, VAULT, sender, amount)
        one.transfers.append((TOKEN, VAULT, sender, amount))

    def revert(self, asset: str, sender: str, amount: int) -> None:
        self.ours(sender, Effects((Movement(asset, sender, PAYEE, amount),)), succeeded=False)

    def to_ourselves(self, asset: str, sender: str, amount: int) -> None:
        one = self.ours(sender, Effects((Movement(TOKEN, sender, ALSO_US, amount),)))
        self.move(TOKEN, sender, ALSO_US, amount)
        one.transfers.append((TOKEN, sender, ALSO_US, amount))

    def dust(self, asset: str, sender: str, amount: int) -> None:
        one = self.mined(THIEF)
        self.move(asset, THIEF, sender, amount)
        if asset == ETH:
            one.to, one.value = sender, amount
        else:
            one.transfers.append((asset, THIEF, sender, amount))

    def nothing_said_loudly(self, asset: str, sender: str, amount: int) -> None:
        one = self.mined(THIEF)
        one.transfers.append((TOKEN, sender, THIEF, 0))
        one.approvals.append((TOKEN, sender, THIEF, 0))

    def among_strangers(self, asset: str, sender: str, amount: int) -> None:
        self.move(TOKEN, THIEF, PAYEE, amount)
        self.mined(THIEF).transfers.append((TOKEN, THIEF, PAYEE, amount))

    def gift(self, asset: str, sender: str, amount: int) -> None:
        """What no receipt shows: it could hide a loss of the same holding, so no breach is planted beside it."""
        self.balances[(sender, asset)] += amount

    # ---- what may not

    def theft(self, asset: str, sender: str, amount: int) -> None:
        self.planted = True
        self.move(TOKEN, sender, THIEF, amount)
        self.mined(THIEF).transfers.append((TOKEN, sender, THIEF, amount))

    def stolen_and_given_back(self, asset: str, sender: str, amount: int) -> None:
        self.planted = True
        entries = [(TOKEN, sender, THIEF, amount), (TOKEN, THIEF, sender, amount)]
        self.mined(THIEF).transfers.extend(entries)

    def hidden_fee(self, asset: str, sender: str, amount: int) -> None:
        self.planted = True
        self.honest_payment(TOKEN, sender, amount)
        self.balances[(sender, ETH)] -= amount

    def silent_loss(self, asset: str, sender: str, amount: int) -> None:
        self.planted = True
        self.balances[(sender, asset)] -= amount

    def short_payment(self, asset: str, sender: str, amount: int) -> None:
        """A token that says the whole amount and delivers less."""
        self.planted = True
        self.honest_payment(TOKEN, sender, amount)
        self.balances[(PAYEE, TOKEN)] -= 1

    def fee_on_transfer(self, asset: str, sender: str, amount: int) -> None:
        self.planted = True
        one = self.ours(sender, Effects((Movement(TOKEN, sender, PAYEE, amount + 1),)))
        self.move(TOKEN, sender, PAYEE, amount)
        self.move(TOKEN, sender, OTHER, 1)
        one.transfers.extend([(TOKEN, sender, PAYEE, amount), (TOKEN, sender, OTHER, 1)])

    def wrong_payee(self, asset: str, sender: str, amount: int) -> None:
        self.planted = True
        one = self.ours(sender, Effects((Movement(TOKEN, sender, PAYEE, amount),)))
        self.move(TOKEN, sender, THIEF, amount)
        one.transfers.append((TOKEN, sender, THIEF, amount))

    def approval(self, asset: str, sender: str, amount: int) -> None:
        self.planted = True
        self.mined(THIEF).approvals.append((TOKEN, sender, THIEF, amount))


HONEST = [
    Model.honest_payment, Model.refund, Model.revert, Model.to_ourselves, Model.dust, Model.nothing_said_loudly,
    Model.among_strangers,
]  # fmt: skip
PLANTED = [
    Model.theft, Model.stolen_and_given_back, Model.hidden_fee, Model.silent_loss, Model.short_payment,
    Model.fee_on_transfer, Model.wrong_payee, Model.approval,
]  # fmt: skip

steps = st.tuples(
    st.sampled_from(HONEST), st.sampled_from([ETH, TOKEN]), st.sampled_from([US, ALSO_US]), st.integers(1, 9)
)
gifts = st.tuples(st.just(Model.gift), st.sampled_from([ETH, TOKEN]), st.sampled_from([US, ALSO_US]), st.integers(1, 9))


def judged(blocks, *, merged: bool = False):  # type: ignore[no-untyped-def]
    """Runs the blocks; their segments one by one, or as one span without the balances of those who were paid."""
    model, segments = Model(), []
    holdings = [(account, asset) for account in (US, ALSO_US, PAYEE) for asset in (ETH, TOKEN)]
    for steps_of_block in blocks:
        before, first = {holding: model.balances[holding] for holding in holdings}, len(model.happened)
        model.number += 1
        for action, *arguments in steps_of_block:
            action(model, *arguments)
        after = {holding: model.balances[holding] for holding in holdings}
        segments.append(Segment(block(model.number - 1), block(model.number), before, after, model.happened[first:]))
    if merged:
        segments = [
            Segment(segments[0].since, segments[-1].until, segments[0].before, segments[-1].after, model.happened)
        ]
    results = [judge_segment(one, OURS) for one in segments]
    verdicts = [verdict for some, _ in results for verdict in some]
    return model, verdicts, [finding for _, some in results for finding in some]


@given(st.lists(st.lists(steps | gifts, max_size=6), min_size=2, max_size=4), st.booleans())
def test_honest_blocks_are_never_a_breach(blocks, merged) -> None:  # type: ignore[no-untyped-def]
    _, verdicts, findings = judged(blocks, merged=merged)
    assert [finding for finding in findings if finding.breach] == []
    assert all(verdict.verdict is Verdict.OK for verdict in verdicts)
    assert {verdict.scope for verdict in verdicts} <= {Scope.SPAN if merged else Scope.BLOCK}


@given(
    st.lists(st.lists(steps, max_size=5), min_size=2, max_size=3),
    st.sampled_from(PLANTED), steps, st.data(), st.booleans(),
)  # fmt: skip
def test_every_planted_breach_is_found(blocks, plant, step, data, merged) -> None:  # type: ignore[no-untyped-def]
    chosen = data.draw(st.integers(0, len(blocks) - 1))
    where = data.draw(st.integers(0, len(blocks[chosen])))
    blocks[chosen].insert(where, (plant, *step[1:]))
    model, verdicts, findings = judged(blocks, merged=merged)
    assert model.planted
    if merged and plant is Model.short_payment:
        return  # whose balances nobody read, nobody compares
    assert any(finding.breach for finding in findings)
    broken = {finding.operation_id for finding in findings if finding.breach and finding.operation_id is not None}
    assert broken <= {verdict.operation_id for verdict in verdicts if verdict.verdict is Verdict.BREACH}


@given(st.lists(steps, max_size=6), st.sampled_from([Model.theft, Model.stolen_and_given_back, Model.approval]))
def test_a_strangers_theft_is_not_laid_at_our_door(others, plant) -> None:  # type: ignore[no-untyped-def]
    _, verdicts, findings = judged([[*others, (plant, TOKEN, US, 3)], []])
    assert any(finding.breach for finding in findings)
    assert all(verdict.verdict is Verdict.OK for verdict in verdicts)


@pytest.mark.parametrize("known", [True, False])
def test_effects_that_were_derived_again_are_compared_with_whom_they_paid(known: bool) -> None:
    model = Model()
    before = {holding: model.balances[holding] for holding in ((US, ETH), (US, TOKEN), (PAYEE, TOKEN))}
    model.short_payment(TOKEN, US, 5)
    (one,) = model.happened
    one.effects = Effects(one.effects.movements)
    after = {holding: model.balances[holding] for holding in before}
    if not known:
        del before[(PAYEE, TOKEN)]
    (verdict,), _ = judge_segment(Segment(block(0), block(1), before, after, [one]), OURS)
    assert verdict.verdict is (Verdict.BREACH if known else Verdict.OK)


# ---- single rules


def happened(effects: Effects, *transfers: tuple[str, str, str, int], **more: Any) -> Happened:
    one = Happened("0x01", block(2), 0, True, US, VAULT, 1, value=0, transfers=list(transfers), effects=effects)
    one.sent = Sent(1, US, 1, ("0x01",), effects)
    for name, value in more.items():
        setattr(one, name, value)
    return one


def payout(amount: int, *, creditable: bool = True) -> Effects:
    return Effects((Movement(TOKEN, VAULT, PAYEE, amount, creditable),))


@pytest.mark.parametrize(
    ("effects", "transfers", "credits", "fits"),
    [
        (payout(9), [(TOKEN, VAULT, PAYEE, 9)], [], True),
        (payout(9), [], [(PAYEE, 9)], True),
        (payout(9), [], [], False),
        (payout(9), [], [(PAYEE, 8)], False),
        (payout(9), [], [(THIEF, 9)], False),
        (payout(9, creditable=False), [], [(PAYEE, 9)], False),
        (payout(9), [(TOKEN, VAULT, PAYEE, 9)], [(PAYEE, 9)], True),
        (payout(9), [(TOKEN, VAULT, THIEF, 9)], [(PAYEE, 9)], False),
        (Effects((*payout(9).movements, *payout(9).movements)), [(TOKEN, VAULT, PAYEE, 9)], [(PAYEE, 9)], True),
        (Effects((*payout(9).movements, *payout(9).movements)), [], [(PAYEE, 9)], False),
    ],
)
def test_a_credit_stands_for_a_payment_that_the_token_refused(effects, transfers, credits, fits) -> None:  # type: ignore[no-untyped-def]
    assert (differences(happened(effects, *transfers, credits=credits), OURS) == []) is fits


def allowance(to: int | None = None, used: int = 0) -> AllowanceChange:
    return AllowanceChange(TOKEN, US, VAULT, to, used)


@pytest.mark.parametrize(
    ("transfers", "owed", "creditable", "left"),
    [
        ([(TOKEN, US, VAULT, 9)], [], True, 91),
        ([], [(US, 9)], True, 100),
        ([], [], True, None),
        ([], [(US, 8)], True, None),
        ([], [(THIEF, 9)], True, None),
        ([], [(US, 9)], False, None),
        ([(TOKEN, US, THIEF, 9)], [(US, 9)], True, None),
        ([(TOKEN, US, VAULT, 9)], [(US, 9)], True, 91),
    ],
)
def test_a_bond_that_is_owed_stands_for_one_that_the_token_refused(transfers, owed, creditable, left) -> None:  # type: ignore[no-untyped-def]
    bond = Effects((Movement(TOKEN, US, VAULT, 9, creditable),), (allowance(used=9),))
    one = happened(bond, *transfers, owed=owed)
    assert (differences(one, OURS) == []) is (left is not None)
    for actual in () if left is None else (91, 100):
        states = (State(allowances={(TOKEN, US, VAULT): held}) for held in (100, actual))
        found, _ = judge_allowances(*states, [one], block(1), block(2))
        assert (found == []) is (actual == left)


@pytest.mark.parametrize(
    ("start", "changes", "end", "fits"),
    [
        (5, [], 5, True),
        (5, [], 6, False),
        (5, [], 4, False),
        (5, [allowance(used=2)], 3, True),
        (5, [allowance(used=2)], 5, False),
        (5, [allowance(to=9), allowance(used=9)], 0, True),
        (5, [allowance(used=5), allowance(to=9)], 9, True),
        (UNLIMITED, [allowance(used=2)], UNLIMITED, True),
        (UNLIMITED, [allowance(used=2)], UNLIMITED - 2, True),
        (UNLIMITED, [allowance(used=2)], UNLIMITED - 3, False),
        (0, [allowance(to=UNLIMITED), allowance(used=2)], UNLIMITED, True),
    ],
)
def test_allowances_follow_what_was_signed(start, changes, end, fits) -> None:  # type: ignore[no-untyped-def]
    key = (TOKEN, US, VAULT)
    ours = [happened(Effects(allowances=(change,))) for change in changes]
    reverted = happened(Effects(allowances=(allowance(to=1),)), succeeded=False)
    states = State(allowances={key: start}), State(allowances={key: end})
    found, _ = judge_allowances(*states, [*ours, reverted], block(1), block(2))
    assert [one.kind for one in found] == ([] if fits else [Kind.ALLOWANCE_CHANGED])


def test_what_a_token_reports_of_a_used_allowance_is_no_approval() -> None:
    effects = Effects((Movement(TOKEN, US, VAULT, 3),), (allowance(used=3),))
    one = happened(effects, (TOKEN, US, VAULT, 3), approvals=[(TOKEN, US, VAULT, 7)])
    assert differences(one, OURS) == []
    one.approvals = [(TOKEN, US, THIEF, 7)]
    assert len(differences(one, OURS)) == 1


def test_an_allowance_that_was_not_granted_is_not_what_was_signed() -> None:
    effects = Effects(allowances=(allowance(to=9),))
    assert differences(happened(effects, approvals=[(TOKEN, US, VAULT, 9)]), OURS) == []
    assert len(differences(happened(effects), OURS)) == 1


def test_a_signature_must_fit_in_every_part() -> None:
    effects = Effects((Movement(TOKEN, US, VAULT, 3),), (allowance(to=3), allowance(used=3)))
    signature = Sent(9, US, None, (), effects)
    fitting = ([(TOKEN, US, VAULT, 3), (TOKEN, THIEF, VAULT, 8)], [(TOKEN, US, VAULT, 3)])
    others = [
        ([(TOKEN, US, VAULT, 3), (TOKEN, US, VAULT, 3)], []),
        ([(TOKEN, US, VAULT, 3)], [(TOKEN, US, THIEF, 3)]),
        ([(TOKEN, ALSO_US, VAULT, 3)], []),
        ([(OTHER, US, VAULT, 3)], []),
    ]
    for transfers, approvals in (fitting, *others):
        one = Happened("0x02", block(2), 0, transfers=transfers, approvals=approvals)
        use_signatures([one], [signature], OURS)
        assert (one.sent is signature) is ((transfers, approvals) == fitting)
        if one.sent is not None:
            assert differences(one, OURS) == []


def test_the_topics_are_those_of_their_events() -> None:
    for topic, event in (
        (TRANSFER, "Transfer(address,address,uint256)"),
        (APPROVAL, "Approval(address,address,uint256)"),
        (CREDIT, "CreditAccrued(bytes32,address,uint256)"),
        (OWED, "BondOwed(bytes32,address,uint256)"),
    ):
        assert topic == "0x" + keccak(event.encode()).hex()
