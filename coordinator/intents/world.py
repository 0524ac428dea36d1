"""What building needs to know: the wallet, the contracts, and what the chain says about the escrows of a batch.

A World lives as long as its client. `prepare` reads all that a batch of intents needs, in one exchange and of one
block, and forgets what it knew before; then nothing that is built asks the node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actp.client import ACTPClient
from actp.decoding import Event
from actp.errors import NoCode, Reverted, RpcError, RpcUnavailable, UnknownTransaction, UnsupportedByKernel
from actp.kernel_views import Generation, bonds_of, clauses_of, milestones_of, transaction_of
from actp.orders import salt_of, salted_id
from actp.reads import Read, head, read_all
from actp.units import ZERO_ADDRESS
from coordinator.errors import InvalidIntent, WrongState
from coordinator.intents.bases import Intent, OfEscrow
from coordinator.intents.escrows import EscrowState
from coordinator.intents.models import CreateEscrowBatch, Opening, SettleEscrowBatch, TransferErc20
from coordinator.intents.views import Views, further_views, needs_block
from coordinator.types import BlockRef

__all__ = ["World"]

_MOST_IDS = 10_000


class World:
    """The wallet of one client, its contracts, and what was read for a batch. For one thread at a time."""

    def __init__(self, client: ACTPClient) -> None:
        self.client = client
        self.wallet = client.address
        self.kernel = client.kernel
        self.token = client.token.address
        self.vault = client.escrow.address
        self.contracts = {client.kernel.address: "the kernel", self.vault: "the vault", self.token: "the token"}
        self.block: BlockRef | None = None
        self.now = 0
        self._answers: dict[Read, Any] = {}
        self._events: Sequence[Event] = ()
        # By identity, with the intents kept so that no identity is given away again.
        self._prepared: dict[int, Intent] = {}
        self._ids: dict[tuple[str, int], str] = {}
        self._tokens: set[str] = {self.token}
        self._views = Views(client.kernel.address, self.wallet)

    def __repr__(self) -> str:
        return f"World({self.wallet}, {self.kernel!r}, block {self.block and self.block.number})"

    # ---------------------------------------------------------------- reading

    def prepare(self, intents: Iterable[Intent]) -> None:
        """Reads what building these intents takes, all of it of the newest block where the node can be asked by hash.
        Raises RpcUnavailable; then nothing is known.
        """
        wanted = list(intents)
        reads = list(dict.fromkeys(read for intent in wanted for read in self._reads(intent)))
        self._answers, self._prepared, self.block = {}, {}, None
        self._check_tokens(wanted)
        if any(map(needs_block, wanted)):
            transport, newest = self.client.transport, head(self.client.transport)
            answers = dict(zip(reads, read_all(transport, reads, newest.at), strict=True))
            if self.on_g1:
                held = [self._left(answer) for read, answer in answers.items() if read.function == "getTransaction"]
                reads = list(dict.fromkeys(read for read in held if read is not None))
                answers |= zip(reads, read_all(transport, reads, newest.at), strict=True)
            self._answers = answers
            self.block, self.now = BlockRef(newest.number, newest.hash), newest.now
        self._prepared = {id(intent): intent for intent in wanted}

    def bring_up(self, events: Sequence[Event]) -> None:
        """From now on escrows are what they are after these events of the kernel, which follow the block that is read,
        in the order of the chain.
        """
        self._events = events

    def knows(self, intent: Intent) -> bool:
        """Whether what this intent takes is read already."""
        if id(intent) in self._prepared:
            return True
        if isinstance(intent, TransferErc20):
            return intent.token is None or intent.token in self._tokens
        if not needs_block(intent):
            return True
        return self.block is not None and all(read in self._answers for read in self._reads(intent))

    # ---------------------------------------------------------------- what is known

    @property
    def may_mediate(self) -> bool:
        """Whether the wallet may rule where no arbiter is named: as admin, or as a mediator of some days' standing."""
        admin, approved, since = map(self._answer, self._views.judge)
        delay = self.kernel.constants.mediator_delay_seconds
        return bool(admin == self.wallet or (approved and self.now >= int(since) + delay))

    @property
    def on_g1(self) -> bool:
        """Whether the kernel is of G1, where the fee leaves with each payment."""
        return self.kernel.generation is Generation.G1

    def require_salts(self) -> None:
        """Raises UnsupportedByKernel on kernels that cannot create and fund in one step."""
        if not self.kernel.has_salts:
            raise UnsupportedByKernel(
                f"The kernel {self.kernel.address} is of version {self.kernel.version}, which cannot create and fund "
                "an escrow in one step.",
                hint="Use a deployment of actp-escrow/2.",
            )

    def require_fee_recipient(self, named: str | None) -> None:
        """Raises InvalidIntent if an intent names another account than that which the kernel pays its fees to."""
        if named is not None and named != (actual := self.fee_recipient):
            raise InvalidIntent(
                f"The fee recipient {named} is not the kernel's, {actual}.",
                code="fee_recipient",
                hint="Leave it out: on this kernel an escrow does not choose who gets the fee.",
            )

    def require_payee(self, account: str) -> None:
        """Raises InvalidIntent for accounts that could do nothing with what is sent to them."""
        who = {**self.contracts, self.wallet: "the wallet itself"}.get(account)
        if who is not None:
            raise InvalidIntent(f"{account} is {who}.", hint="Name the account that is to be paid.")

    def id_of(self, intent: OfEscrow | Opening) -> str:
        """The transaction id that an intent is about."""
        if isinstance(intent, OfEscrow):
            if intent.transaction_id is not None:
                return intent.transaction_id
            creator, number = intent.creator, intent.escrow_numeric_id
        else:
            creator, number = self.wallet, intent.escrow_numeric_id
        if creator is None or number is None:
            raise InvalidIntent("The intent names no escrow.", hint="Make intents with parse().")
        return self._id_from(creator, number)

    def ids_of(self, intent: Intent) -> tuple[str, ...]:
        """The transaction ids of all escrows that an intent is about."""
        if isinstance(intent, CreateEscrowBatch):
            return tuple(self._id_from(self.wallet, order.escrow_numeric_id) for order in intent.orders)
        if isinstance(intent, SettleEscrowBatch):
            return intent.transaction_ids
        return (self.id_of(intent),) if isinstance(intent, Opening | OfEscrow) else ()

    def _id_from(self, creator: str, number: int) -> str:
        known = self._ids.get((creator, number))
        if known is None:
            salt = salt_of(str(number))
            known = salted_id(self.client.chain_id, self.kernel.address, creator, salt)
            if len(self._ids) >= _MOST_IDS:
                self._ids.clear()
            self._ids[creator, number] = known
        return known

    @property
    def fee_recipient(self) -> str:
        """Whom the kernel pays its fees to."""
        return str(self._answer(self._views.fee_recipient))

    def escrow(self, intent: OfEscrow) -> EscrowState:
        """The escrow that an intent is about. Raises UnsupportedByKernel, UnknownTransaction, and InvalidIntent if the
        intent says something about it that is not so.
        """
        self.require_salts()
        state = self._state(self.id_of(intent), further_views(intent))
        self._require_named(intent, state)
        return state

    def escrow_on_g1(self, intent: OfEscrow) -> EscrowState:
        """As `escrow`, on a kernel of G1."""
        transaction_id = self.id_of(intent)
        fields = self._answer(self._views.of(transaction_id, "getTransaction"))
        if isinstance(fields, Reverted):
            raise self._unknown(transaction_id) from fields
        record, read = transaction_of(fields), self._left(fields)
        left = 0 if read is None else self._answer(read)
        if isinstance(left, Reverted):
            raise WrongState(f"The escrow {transaction_id} cannot be read: {left}", retryable=True) from left
        state = EscrowState(record, record.amount - int(left)).after(self._events)
        self._require_named(intent, state)
        return state

    def escrows(self, intent: SettleEscrowBatch) -> list[EscrowState | None]:
        """The escrows of a batch, in its order; None for one that nobody made. Raises UnsupportedByKernel."""
        self.require_salts()
        states: list[EscrowState | None] = []
        for transaction_id in intent.transaction_ids:
            try:
                states.append(self._state(transaction_id, ()))
            except UnknownTransaction:
                states.append(None)
        return states

    def credit(self, payee: str) -> int:
        """Base units that the kernel owes somebody. Raises UnsupportedByKernel."""
        self.require_salts()
        owed = int(self._answer(self._views.credit(payee)))
        for event in self._events:
            if event.name == "CreditAccrued" and event.args["payee"] == payee:
                owed += event.args["amount"]
            elif event.name == "CreditWithdrawn" and event.args["payee"] == payee:
                owed = 0
        return owed

    def accrued_fees(self) -> int:
        """Base units of fees that the vault holds for the fee recipient. Raises UnsupportedByKernel."""
        self.require_salts()
        accrued = int(self._answer(self._views.accrued_fees))
        for event in self._events:
            if event.name == "PlatformFeeAccrued":
                accrued += event.args["amount"]
            elif event.name in ("FeesWithdrawn", "FeeRecipientUpdated"):
                accrued = 0
        return accrued

    def fees_of_g1(self) -> tuple[str, str | None, int]:
        """Whom a kernel of G1 pushes fees to, the archive treasury that gets a part of them, and the smallest fee."""
        recipient, archive, smallest = map(self._answer, self._views.fees_of_g1)
        return str(recipient), None if archive == ZERO_ADDRESS else str(archive), int(smallest)

    # ---------------------------------------------------------------- internals

    def _require_named(self, intent: OfEscrow, state: EscrowState) -> None:
        record = state.record
        for name, said, actual in (
            ("creator", intent.creator, record.requester),
            ("provider", intent.provider, record.provider),
        ):
            if said not in (None, actual):
                raise InvalidIntent(
                    f"The {name} of the escrow {state.id} is {actual}, not {said}.",
                    code="other_party",
                    hint="Check which escrow is meant.",
                )
        self.require_fee_recipient(intent.fee_recipient)

    def _unknown(self, transaction_id: str) -> UnknownTransaction:
        return UnknownTransaction(
            f"The kernel {self.kernel.address} has no transaction {transaction_id}.",
            hint="Check the id, the creator and the number, the network and the deployment.",
        )

    def _state(self, transaction_id: str, further: Sequence[str]) -> EscrowState:
        fields = self._answer(self._views.of(transaction_id, "getTransaction"))
        if isinstance(fields, Reverted):
            # This view has no other reason to revert.
            raise self._unknown(transaction_id) from fields
        views = {name: self._answer(self._views.of(transaction_id, name)) for name in further}
        escrow = self._answer(self._views.of(transaction_id, "escrowOf"))
        for answer in (escrow, *views.values()):
            if isinstance(answer, Reverted):
                raise WrongState(f"The escrow {transaction_id} cannot be read: {answer}", retryable=True) from answer
        state = EscrowState(
            record=transaction_of(fields),
            released=int(escrow[3]),
            clauses=clauses_of(views["clausesOf"]) if "clausesOf" in views else None,
            milestones=milestones_of(views["milestonesOf"]) if "milestonesOf" in views else None,
            bonds=bonds_of(views["bondsOf"]) if "bondsOf" in views else None,
        )
        return state.after(self._events)

    def _reads(self, intent: Intent) -> list[Read]:
        if self.on_g1:
            return self._views.needed_on_g1(intent, self.ids_of(intent))
        return self._views.needed(intent, self.ids_of(intent)) if self.kernel.has_salts else []

    @staticmethod
    def _left(fields: Any) -> Read | None:
        """What says how much a funded escrow of a kernel of G1 still holds: its own vault, under its own id."""
        if isinstance(fields, Reverted) or not (record := transaction_of(fields)).funded:
            return None
        escrow_id = bytes.fromhex(record.escrow_id[2:])
        return Read("EscrowVault", record.escrow_contract, "remaining", (escrow_id,))

    def _answer(self, read: Read) -> Any:
        if read not in self._answers:
            raise WrongState(f"{read.function} was not read.", code="not_prepared", hint="Call prepare first.")
        return self._answers[read]

    def _check_tokens(self, intents: Sequence[Intent]) -> None:
        """A call to an address without code succeeds and moves nothing, so tokens are looked at when first used."""
        named = {intent.token for intent in intents if isinstance(intent, TransferErc20) and intent.token is not None}
        new = sorted(named - self._tokens)
        if not new:
            return
        codes = self.client.transport.batch([("eth_getCode", [token, "latest"]) for token in new])
        for token, code in zip(new, codes, strict=True):
            if isinstance(code, RpcError):
                raise RpcUnavailable(f"{self.client.transport.label} did not show the code of {token}.") from code
            if code not in ("0x", None):
                self._tokens.add(token)

    def require_token(self, token: str) -> None:
        """Raises NoCode if there is no contract at the address of a token."""
        if token not in self._tokens:
            raise NoCode("a token", token, hint="Check the address and the network.")
