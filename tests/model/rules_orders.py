"""Orders that their requester names with a salt: opened, funded, batched, paid by what was signed for the token."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.drafts import ClauseDraft, OrderDraft, any_clauses, order_drafts
from tests.model.governance_model import DAY
from tests.model.kernel_core import State
from tests.model.kernel_model import KernelModel
from tests.model.machine_base import MachineBase
from tests.model.strategies import PARTIES, amounts, any_amounts, any_deadlines, any_windows, deadlines, often, windows
from tests.model.terms import Authorization, Clauses, Order, Permit
from tests.model.token_model import TOKEN, VAULT, ZERO, Account
from tests.model.world import ACTORS, KERNEL, Call

PERMIT = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
RECEIVE = (
    "ReceiveWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
CANCEL = "CancelAuthorization(address authorizer,bytes32 nonce)"
SPLIT_SIGNATURE = "uint8,bytes32,bytes32"

requesters = st.sampled_from((*PARTIES[:2] * 3, *PARTIES))
sound_orders = order_drafts(st.sampled_from(PARTIES[2:]), amounts, deadlines, windows)
any_orders = st.one_of(
    sound_orders,
    sound_orders,
    sound_orders,
    order_drafts(
        st.sampled_from((*PARTIES[2:] * 5, *PARTIES, TOKEN, KERNEL, VAULT, ZERO)),
        any_amounts,
        any_deadlines,
        any_windows,
    ),
)
salts = st.sampled_from((*["new"] * 9, "used", "new, whatever stands against it"))
"""What stops new money is ended first for a new one, mostly."""


class Orders(MachineBase):
    """Rules for everything that opens or pays an order."""

    @precondition(lambda self: self.has_room())
    @rule(
        via=st.sampled_from(("createFunded", "createFundedWith", "createFundedWith", "createSalted")),
        requester=requesters,
        draft=any_orders,
        clause_draft=any_clauses,
        salt=salts,
        pays=st.integers(0, 4),
    )
    def open_order(
        self, via: str, requester: Account, draft: OrderDraft, clause_draft: ClauseDraft, salt: str, pays: int
    ) -> None:
        """Work that follows a schedule mostly begins at once, with some of its parts paid."""
        order, clauses = self._drawn(requester, draft, clause_draft, salt)
        self.open(via, requester, order, clauses)
        tx = self.model.transactions.get(self.world.id_of_salt(requester, order.salt))
        if pays > 0 and tx is not None and tx.schedule and tx.state is State.COMMITTED:
            self.go_to(tx, State.IN_PROGRESS)
            for index in range(min(pays - 1, len(tx.schedule))):
                self.kernel(requester, "payMilestone", KernelModel.pay_milestone, tx.id, index)

    def _drawn(
        self, requester: Account, draft: OrderDraft, clause_draft: ClauseDraft, salt: str
    ) -> tuple[Order, Clauses]:
        used = self.used_salts(requester) if salt == "used" else []
        if salt == "new":
            self.let_money_in()
        order = draft.order(self.harness.now, used[0] if used else self.fresh_salt())
        return order, clause_draft.clauses(self.harness.now, order.amount, order.deadline)

    @precondition(lambda self: self.has_room())
    @rule(
        requester=requesters,
        drafts=st.one_of(
            st.lists(sound_orders, min_size=2, max_size=4), st.lists(sound_orders, min_size=3, max_size=4),
            st.lists(any_orders, max_size=3),
        ),
        twins=st.sampled_from((False,) * 9 + (True,)),
        deliver=often,
    )  # fmt: skip
    def open_batch(self, requester: Account, drafts: list[OrderDraft], twins: bool, deliver: bool) -> None:
        """All or none, with one transfer; mostly delivered at once, so that several wait to be settled."""
        if deliver:
            self.let_money_in()
        orders = [draft.order(self.harness.now, self.fresh_salt(place)) for place, draft in enumerate(drafts)]
        if twins and orders:
            orders.append(drafts[0].order(self.harness.now, orders[0].salt))
        self.open_batch_of(requester, orders)
        ids = [self.world.id_of_salt(requester, order.salt) for order in orders]
        if deliver and ids and ids[0] in self.model.transactions:
            for provider in sorted({order.provider for order in orders} & {*PARTIES}):
                self.deliver_all(provider, ids)

    @precondition(lambda self: self.has_room())
    @rule(
        requester=requesters,
        draft=any_orders,
        clause_draft=any_clauses,
        salt=salts,
        flaw=st.sampled_from(
            (*[None] * 6, "expired", "last second", "forged", "old nonce", "too little", "sent before", "sent before")
        ),
    )
    def open_with_permit(
        self, requester: Account, draft: OrderDraft, clause_draft: ClauseDraft, salt: str, flaw: str | None
    ) -> None:
        order, clauses = self._drawn(requester, draft, clause_draft, salt)
        deadline = self.harness.now + {"expired": -1, "last second": 0}.get(flaw or "", DAY)
        nonce = self.model.token.nonce(requester) + (flaw == "old nonce")
        value = order.amount - (flaw == "too little" and order.amount > 0)
        permit = Permit(value, deadline, "stranger" if flaw == "forged" else requester, nonce)
        signature = self.world.sign(
            permit.signer, TOKEN, PERMIT, (requester, VAULT, permit.value, permit.nonce, permit.deadline)
        )
        words = (permit.value, permit.deadline, *_split(signature))
        if flaw == "sent before":
            # Anybody may send it straight to the token, which must not stop the payment.
            direct = Call(
                "stranger", TOKEN, f"permit(address,address,uint256,uint256,{SPLIT_SIGNATURE})",
                (requester, VAULT, *words),
            )  # fmt: skip
            self.harness.call(
                direct, lambda model, now: model.token.permit(now, requester, value, deadline, permit.signer, nonce)
            )
        self.harness.open(
            Call(requester, KERNEL, "createFundedWithPermit", (order.words(), clauses.words(), words)),
            lambda model, now: model.create_funded_with_permit(now, requester, order, clauses, permit),
            [self.world.id_of_salt(requester, order.salt)],
        )

    @precondition(lambda self: self.has_room())
    @rule(
        requester=st.sampled_from((*PARTIES, "provider_b", "provider_b")),
        relayer=st.sampled_from(("stranger", "stranger", "mediator", *ACTORS)),
        draft=any_orders,
        clause_draft=any_clauses,
        salt=salts,
        flaw=st.sampled_from(
            (*[None] * 9, "too early", "first second", "too late", "last second", "forged", "other price",
             "other provider", "other clauses", "other chain", "transfer", "compact", "empty", "canceled")
        ),
    )  # fmt: skip
    def open_with_authorization(
        self,
        requester: Account,
        relayer: Account,
        draft: OrderDraft,
        clause_draft: ClauseDraft,
        salt: str,
        flaw: str | None,
    ) -> None:
        """A relayer sends what the requester signed, unless it tries to change something."""
        order, clauses = self._drawn(requester, draft, clause_draft, salt)
        now = self.harness.now
        valid_after = {"too early": now, "first second": now - 1}.get(flaw or "", 0)
        valid_before = {"too late": now, "last second": now + 1}.get(flaw or "", now + DAY)
        signature = self._authorize(requester, order, clauses, (valid_after, valid_before), flaw)
        is_good = flaw in (None, "too early", "first second", "too late", "last second", "canceled")
        authorization = Authorization(valid_after, valid_before, requester if is_good else None)
        if flaw == "canceled":
            self._cancel_authorization(requester, order, clauses)
        words = (valid_after, valid_before, signature)
        self.harness.open(
            Call(
                relayer, KERNEL, "createFundedWithAuthorization",
                (requester, order.words(), clauses.words(), words),
            ),
            lambda model, now: model.create_funded_with_authorization(
                now, relayer, requester, order, clauses, authorization
            ),
            [self.world.id_of_salt(requester, order.salt)],
        )  # fmt: skip

    def _authorize(
        self, requester: Account, order: Order, clauses: Clauses, valid: tuple[int, int], flaw: str | None
    ) -> bytes:
        """What the requester signed: other terms than those that are sent, if that is the flaw."""
        signed_order, signed_clauses = order, clauses
        if flaw == "other provider":
            signed_order = Order("mediator", *order.words()[1:])
        if flaw == "other clauses":
            signed_clauses = Clauses("issuer", clauses.timeout_requester_bps, clauses.agents, clauses.milestones)
        nonce = self.world.terms_hash(
            requester, signed_order, signed_clauses, chain_id=1 if flaw == "other chain" else 0
        )
        amount = order.amount + (flaw == "other price")
        signature = self.world.sign(
            "issuer" if flaw == "forged" else requester,
            TOKEN,
            RECEIVE.replace("Receive", "Transfer") if flaw == "transfer" else RECEIVE,
            (requester, VAULT, amount, *valid, nonce),
        )
        return {"compact": signature[:64], "empty": b""}.get(flaw or "", signature)

    def _cancel_authorization(self, requester: Account, order: Order, clauses: Clauses) -> None:
        nonce = self.world.terms_hash(requester, order, clauses)
        signature = self.world.sign(requester, TOKEN, CANCEL, (requester, nonce))
        call = Call(
            "stranger", TOKEN, f"cancelAuthorization(address,bytes32,{SPLIT_SIGNATURE})",
            (requester, nonce, *_split(signature)),
        )  # fmt: skip
        terms = (requester, order, clauses)
        self.harness.call(call, lambda model, now: model.token.cancel_authorization(requester, terms))


def _split(signature: bytes) -> tuple[int, bytes, bytes]:
    """v, r and s."""
    return signature[64], signature[:32], signature[32:64]
