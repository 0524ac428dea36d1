"""Orders with a salt, their clauses, and what people sign: the entry points beyond G1, for the kernel's tests.

Types are written out here, not taken from the kernel's ABI, so that a changed field or order of fields is noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from tests.contracts.kernel_codec import Receipt
from tests.contracts.kernel_support import AMOUNT, DAY, SERVICE, USDC, ZERO, ZERO32, State, World

ORDER_TYPE = "(address,uint256,uint256,uint256,bytes32,bytes32)"
CLAUSES_TYPE = "(address,uint256,uint256,uint256,(uint256,uint256,bytes32)[])"
FOREVER = 2**256 - 1


class Order(NamedTuple):
    provider: str
    amount: int
    deadline: int
    window: int
    service: bytes
    salt: bytes


class Milestone(NamedTuple):
    amount: int
    deadline: int
    condition: bytes = b"\x0c" * 32


class Clauses(NamedTuple):
    arbiter: str = ZERO
    timeout_requester_bps: int = 5_000
    agent: int = 0
    requester_agent: int = 0
    milestones: tuple[Milestone, ...] = ()


class Permit(NamedTuple):
    value: int
    deadline: int
    v: int
    r: bytes
    s: bytes


class Authorization(NamedTuple):
    valid_after: int
    valid_before: int
    signature: bytes


USUAL = Clauses()


def salt(number: int) -> bytes:
    return number.to_bytes(32, "big")


def order(
    world: World,
    number: int = 1,
    amount: int = AMOUNT,
    *,
    provider: str = "",
    work: int = 10 * DAY,
    window: int = 2 * DAY,
    service: bytes = SERVICE,
) -> Order:
    """An order to the usual provider whose salt is `number` and whose deadline is `work` seconds away."""
    return Order(provider or world.provider, amount, world.now() + work, window, service, salt(number))


def salted_id(world: World, requester: str, salt_: bytes, *, chain_id: int = 0, kernel: str = "") -> bytes:
    """The id of a payment, as its requester can know it before it exists."""
    words = (chain_id or world.chain.chain_id, kernel or world.kernel.address, requester, salt_)
    return keccak(encode(["uint256", "address", "address", "bytes32"], words))


def place(world: World, an_order: Order | None = None, clauses: Clauses = USUAL, *, requester: str = "") -> bytes:
    """Opens and funds a payment; with clauses if they are not the usual ones."""
    wanted, payer = an_order or order(world), requester or world.requester
    if clauses == USUAL:
        receipt = world.send("createFunded", wanted, sender=payer)
    else:
        receipt = world.send("createFundedWith", wanted, clauses, sender=payer)
    return bytes(receipt.one("TransactionCreated").transactionId)


def place_many(world: World, orders: Sequence[Order], *, requester: str = "") -> list[bytes]:
    receipt = world.send("createFundedBatch", list(orders), sender=requester or world.requester)
    return [bytes(values.transactionId) for values in receipt.of("TransactionCreated")]


def placed(world: World, state: State, an_order: Order | None = None, clauses: Clauses = USUAL) -> bytes:
    """A payment made with a salt, by the usual parties, in this funded state."""
    wanted = an_order or order(world, len(world.ids) + 1)
    audit, world.audit = world.audit, False
    transaction_id = place(world, wanted, clauses)
    if state in {State.IN_PROGRESS, State.DELIVERED, State.DISPUTED, State.SETTLED}:
        world.move(transaction_id, State.IN_PROGRESS, sender=wanted.provider)
    if state in {State.DELIVERED, State.DISPUTED, State.SETTLED}:
        world.move(transaction_id, State.DELIVERED, sender=wanted.provider)
    if state is State.DISPUTED:
        world.dispute(transaction_id)
    if state is State.SETTLED:
        world.settle(transaction_id)
    world.audit = audit
    if audit:
        world.check_books()
    assert world.state(transaction_id) is state
    return transaction_id


def schedule(world: World, *amounts: int, step: int = DAY) -> Clauses:
    """The usual clauses with a part for each amount; their deadlines lie `step` seconds apart."""
    parts = enumerate(amounts, start=1)
    return USUAL._replace(milestones=tuple(Milestone(amount, world.now() + n * step, salt(n)) for n, amount in parts))


def three_parts(world: World) -> Clauses:
    return schedule(world, 20 * USDC, 30 * USDC, 50 * USDC)


def skipped(receipt: Receipt) -> list[tuple[int, bytes, bytes]]:
    """Index, id and reason of each item that a batch left as it was."""
    return [(one.index, one.transactionId, one.reason) for one in receipt.of("BatchItemSkipped")]


def reason(error: str) -> bytes:
    """The selector of an error, given by its signature."""
    return keccak(text=error)[:4]


NOT_DUE = {
    "unknown": reason("UnknownTransaction(bytes32)"),
    "state": reason("InvalidTransition(uint8,uint8)"),
    "window": reason("WindowOpen(uint256,uint256)"),
    "provider": reason("NotProvider(address,address)"),
    "deadline": reason("DeadlinePassed(uint256,uint256)"),
}


# ---------------------------------------------------------------- signatures


def sign(world: World, signer: str, domain: dict[str, Any], kind: str, fields: str, values: dict[str, Any]) -> bytes:
    """The signature of a development account over typed data; `fields` reads "type name,type name"."""
    (key,) = [account.private_key for account in world.chain.accounts if account.address.lower() == signer]
    pairs = [field.split() for field in fields.split(",")]
    types = {kind: [{"type": type_, "name": name} for type_, name in pairs]}
    return bytes(Account.sign_message(encode_typed_data(domain, types, values), key).signature)


def sign_split(
    world: World,
    signer: str,
    transaction_id: bytes,
    requester_amount: int,
    provider_amount: int,
    valid_until: int = FOREVER,
    **changed: Any,
) -> bytes:
    """One party's consent; `changed` replaces fields of the kernel's domain."""
    domain = {
        "name": "ACTP Kernel", "version": "1", "chainId": world.chain.chain_id,
        "verifyingContract": world.kernel.address,
    }  # fmt: skip
    values = {
        "transactionId": transaction_id, "requesterAmount": requester_amount, "providerAmount": provider_amount,
        "validUntil": valid_until,
    }  # fmt: skip
    fields = "bytes32 transactionId,uint256 requesterAmount,uint256 providerAmount,uint256 validUntil"
    return sign(world, signer, domain | changed, "Split", fields, values)


def token_domain(world: World, **changed: Any) -> dict[str, Any]:
    own = {
        "name": "USD Coin (test)", "version": "2", "chainId": world.chain.chain_id,
        "verifyingContract": world.token.address,
    }  # fmt: skip
    return own | changed


def sign_permit(
    world: World, owner: str, value: int = AMOUNT, deadline: int = FOREVER, *, nonce: int | None = None, **changed: Any
) -> Permit:
    """An allowance for the vault; `changed` replaces fields of the token's domain."""
    values = {
        "owner": owner, "spender": world.vault.address, "value": value, "deadline": deadline,
        "nonce": world.token.read("nonces", owner) if nonce is None else nonce,
    }  # fmt: skip
    fields = "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline"
    signature = sign(world, owner, token_domain(world, **changed), "Permit", fields, values)
    return Permit(value, deadline, signature[64], signature[:32], signature[32:64])


def terms_nonce(
    world: World, requester: str, an_order: Order, clauses: Clauses = USUAL, *, chain_id: int = 0, kernel: str = ""
) -> bytes:
    """The nonce of an authorization: the hash of all that is agreed."""
    types = ["uint256", "address", "address", ORDER_TYPE, CLAUSES_TYPE]
    where = (chain_id or world.chain.chain_id, kernel or world.kernel.address)
    return keccak(encode(types, (*where, requester, an_order, clauses)))


def sign_authorization(
    world: World,
    requester: str,
    an_order: Order,
    clauses: Clauses = USUAL,
    *,
    signer: str = "",
    valid_after: int = 0,
    valid_before: int = FOREVER,
    to: str = "",
    value: int | None = None,
    nonce: bytes = ZERO32,
    kind: str = "ReceiveWithAuthorization",
    **changed: Any,
) -> Authorization:
    """A transfer to the vault for these terms; `changed` replaces fields of the token's domain."""
    values = {
        "from": requester, "to": to or world.vault.address, "value": an_order.amount if value is None else value,
        "validAfter": valid_after, "validBefore": valid_before,
        "nonce": terms_nonce(world, requester, an_order, clauses) if nonce == ZERO32 else nonce,
    }  # fmt: skip
    fields = "address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce"
    signature = sign(world, signer or requester, token_domain(world, **changed), kind, fields, values)
    return Authorization(valid_after, valid_before, signature)


# ---------------------------------------------------------------- contract wallets


class Wallet:
    """A contract wallet with tokens: `owner` acts and signs for it."""

    def __init__(self, world: World, owner: str, kind: str = "ContractParty", *more: str) -> None:
        self.world, self.owner = world, owner
        self.contract = world.deploy(kind, owner, *more)
        self.address = self.contract.address
        world.token.send("mint", self.address, 100 * AMOUNT, sender=world.admin)

    def act(self, function: str, *args: Any) -> Receipt:
        """A call of the kernel by this wallet."""
        return self.act_on(self.world.kernel, function, *args)

    def act_on(self, contract: Any, function: str, *args: Any) -> Receipt:
        payload = bytes.fromhex(contract.data(function, *args)[2:])
        return self.world.send("execute", contract.address, payload, sender=self.owner, on=self.contract)

    def allow(self) -> None:
        self.act_on(self.world.token, "approve", self.world.vault.address, 100 * AMOUNT)
