"""TestUSDC behaves as Circle's USDC (FiatTokenV2_2) does, so that what works against it works against the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from web3 import Web3

from actp.chain import DevAccount, EmbeddedChain
from tests.contracts.token_support import Contract, Event, deployer, transact

AMOUNT = 25_000_000
FAR = 2**40
NONCE = bytes(range(32))
ZERO = "0x" + "00" * 20
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

FIELDS: dict[str, dict[str, str]] = {
    "permit": {"owner": "address", "spender": "address", "value": "uint256", "nonce": "uint256", "deadline": "uint256"},
    "transferWithAuthorization": {
        "from": "address",
        "to": "address",
        "value": "uint256",
        "validAfter": "uint256",
        "validBefore": "uint256",
        "nonce": "bytes32",
    },
    "cancelAuthorization": {"authorizer": "address", "nonce": "bytes32"},
}
FIELDS["receiveWithAuthorization"] = FIELDS["transferWithAuthorization"]

FORMS = pytest.mark.parametrize("form", ["vrs", "bytes"])
MOVES = pytest.mark.parametrize("kind", ["transferWithAuthorization", "receiveWithAuthorization"])


class Cast(NamedTuple):
    """Who plays which part. The holder owns tokens; the relayer only sends what others signed."""

    owner: DevAccount
    holder: DevAccount
    payee: DevAccount
    relayer: DevAccount
    stranger: DevAccount


@pytest.fixture
def cast(accounts: tuple[DevAccount, ...]) -> Cast:
    return Cast(*accounts[: len(Cast._fields)])


@pytest.fixture
def deploy(chain: EmbeddedChain, cast: Cast) -> Callable[..., Contract]:
    return deployer(chain, cast.owner)


@pytest.fixture
def usdc(deploy: Callable[..., Contract], cast: Cast) -> Contract:
    token = deploy("TestUSDC")
    token.send("mint", cast.holder.address, AMOUNT, sender=cast.stranger)
    return token


@pytest.fixture
def wallet(deploy: Callable[..., Contract], cast: Cast, usdc: Contract) -> Contract:
    """A contract that holds tokens and for which the holder signs."""
    made = deploy("ContractParty", cast.holder.address)
    usdc.send("mint", made.address, AMOUNT, sender=cast.stranger)
    return made


# ---------------------------------------------------------------- signed calls


def typed_data(token: Contract, kind: str, values: dict[str, Any], **domain: Any) -> Any:
    """EIP-712 message of a signed call; `domain` replaces fields of the token's own domain."""
    struct = kind[0].upper() + kind[1:]
    own = {
        "name": "USD Coin (test)",
        "version": "2",
        "chainId": token.chain.chain_id,
        "verifyingContract": token.address,
    }
    types = {struct: [{"name": name, "type": type_} for name, type_ in FIELDS[kind].items()]}
    return encode_typed_data(own | domain, types, values)


def sign(token: Contract, signer: DevAccount, kind: str, values: dict[str, Any], **domain: Any) -> bytes:
    """65 bytes r, s, v."""
    return bytes(Account.sign_message(typed_data(token, kind, values, **domain), signer.private_key).signature)


def signed_call(kind: str, values: dict[str, Any], signature: bytes, form: str) -> tuple[Any, ...]:
    """Function signature and arguments of one of the two forms of a signed call."""
    names = [name for name in FIELDS[kind] if (kind, name) != ("permit", "nonce")]
    arguments = [values[name] for name in names]
    types = ",".join(FIELDS[kind][name] for name in names)
    if form == "bytes":
        return f"{kind}({types},bytes)", *arguments, signature
    r, s, v = signature[:32], signature[32:64], signature[64]
    return f"{kind}({types},uint8,bytes32,bytes32)", *arguments, v, r, s


def permit(owner: str, spender: str, **changes: Any) -> dict[str, Any]:
    return {"owner": owner, "spender": spender, "value": 700, "nonce": 0, "deadline": FAR} | changes


def authorization(payer: str, payee: str, **changes: Any) -> dict[str, Any]:
    terms = {"from": payer, "to": payee, "value": 700, "validAfter": 0, "validBefore": FAR, "nonce": NONCE}
    return terms | changes


def allowed(token: Contract, owner: DevAccount, spender: DevAccount) -> Any:
    return token.read("allowance", owner.address, spender.address)


def balance(token: Contract, account: DevAccount | Contract) -> Any:
    return token.read("balanceOf", account.address)


def malleated(signature: bytes) -> bytes:
    """The other signature of the same key over the same message, with s in the upper half of the curve."""
    s = SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


# ---------------------------------------------------------------- metadata and mint


def test_metadata_is_usdc_s(usdc: Contract) -> None:
    assert usdc.read("decimals") == 6
    assert usdc.read("symbol") == "USDC"
    assert usdc.read("name") == "USD Coin (test)"
    assert usdc.read("version") == "2"


def test_domain_separator_is_that_of_name_version_chain_and_address(usdc: Contract) -> None:
    any_message = typed_data(usdc, "cancelAuthorization", {"authorizer": ZERO, "nonce": NONCE})
    assert usdc.read("DOMAIN_SEPARATOR") == any_message.header


@pytest.mark.parametrize(
    ("name", "type_hash"),
    [
        ("PERMIT_TYPEHASH", "6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9"),
        ("TRANSFER_WITH_AUTHORIZATION_TYPEHASH", "7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267"),
        ("RECEIVE_WITH_AUTHORIZATION_TYPEHASH", "d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8"),
        ("CANCEL_AUTHORIZATION_TYPEHASH", "158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429"),
    ],
)
def test_type_hashes_are_those_of_the_standards(usdc: Contract, name: str, type_hash: str) -> None:
    assert usdc.read(name).hex() == type_hash


def test_anyone_mints_to_anyone(usdc: Contract, cast: Cast) -> None:
    minted, transferred = usdc.send("mint", cast.payee.address, 3, sender=cast.stranger)
    assert minted == Event("Mint", {"minter": cast.stranger.address, "to": cast.payee.address, "amount": 3})
    assert transferred == Event("Transfer", {"from": ZERO, "to": cast.payee.address, "value": 3})
    assert balance(usdc, cast.payee) == 3
    assert usdc.read("totalSupply") == AMOUNT + 3
    assert usdc.read("mint", cast.payee.address, 3, sender=cast.stranger) is True


def test_mint_of_nothing_or_to_nobody_is_refused(usdc: Contract, cast: Cast) -> None:
    assert usdc.refusal("mint", cast.payee.address, 0, sender=cast.stranger) == ("ZeroMintAmount",)
    assert usdc.refusal("mint", ZERO, 1, sender=cast.stranger) == ("ERC20InvalidReceiver", ZERO)


# ---------------------------------------------------------------- transfers and allowances


def test_transfer_from_uses_up_the_largest_allowance_too(usdc: Contract, cast: Cast) -> None:
    most = 2**256 - 1
    usdc.send("approve", cast.relayer.address, most, sender=cast.holder)
    events = usdc.send("transferFrom", cast.holder.address, cast.payee.address, 5, sender=cast.relayer)
    assert [event.name for event in events] == ["Transfer"]
    assert allowed(usdc, cast.holder, cast.relayer) == most - 5
    assert balance(usdc, cast.payee) == 5


def test_transfer_from_above_the_allowance_is_refused(usdc: Contract, cast: Cast) -> None:
    usdc.send("approve", cast.relayer.address, 4, sender=cast.holder)
    refusal = usdc.refusal("transferFrom", cast.holder.address, cast.payee.address, 5, sender=cast.relayer)
    assert refusal == ("ERC20InsufficientAllowance", cast.relayer.address, 4, 5)


def test_tokens_cannot_be_lost_in_the_token_itself(usdc: Contract, cast: Cast) -> None:
    refusal = usdc.refusal("transfer", usdc.address, 1, sender=cast.holder)
    assert refusal == ("AccountBlacklisted", usdc.address)


# ---------------------------------------------------------------- EIP-2612


@FORMS
def test_permit_sets_the_allowance_and_counts_up_the_nonce(usdc: Contract, cast: Cast, form: str) -> None:
    for nonce, value in enumerate([700, 900]):
        terms = permit(cast.holder.address, cast.payee.address, nonce=nonce, value=value)
        usdc.send(*signed_call("permit", terms, sign(usdc, cast.holder, "permit", terms), form), sender=cast.relayer)
        assert allowed(usdc, cast.holder, cast.payee) == value
        assert usdc.read("nonces", cast.holder.address) == nonce + 1


@FORMS
def test_expired_permit_is_refused(usdc: Contract, cast: Cast, form: str) -> None:
    terms = permit(cast.holder.address, cast.payee.address, deadline=1_000)
    call = signed_call("permit", terms, sign(usdc, cast.holder, "permit", terms), form)
    name, timestamp, deadline = usdc.refusal(*call, sender=cast.relayer)
    assert (name, deadline) == ("PermitExpired", 1_000)
    assert timestamp > deadline


@FORMS
def test_permit_sent_twice_is_refused(usdc: Contract, cast: Cast, form: str) -> None:
    terms = permit(cast.holder.address, cast.payee.address)
    call = signed_call("permit", terms, sign(usdc, cast.holder, "permit", terms), form)
    usdc.send(*call, sender=cast.stranger)
    assert usdc.refusal(*call, sender=cast.payee) == ("InvalidSignature", cast.holder.address)
    assert allowed(usdc, cast.holder, cast.payee) == 700


@FORMS
@pytest.mark.parametrize("field", ["owner", "spender", "value", "deadline"])
def test_permit_with_a_changed_term_is_refused(usdc: Contract, cast: Cast, form: str, field: str) -> None:
    terms = permit(cast.holder.address, cast.payee.address)
    signature = sign(usdc, cast.holder, "permit", terms)
    terms[field] = cast.stranger.address if FIELDS["permit"][field] == "address" else terms[field] + 1
    call = signed_call("permit", terms, signature, form)
    assert usdc.refusal(*call, sender=cast.relayer) == ("InvalidSignature", terms["owner"])


# ---------------------------------------------------------------- EIP-3009


def sender_of(kind: str, cast: Cast) -> DevAccount:
    """Who may send it: only the payee takes, anyone transfers or cancels."""
    return cast.payee if kind == "receiveWithAuthorization" else cast.relayer


@MOVES
@FORMS
def test_authorization_moves_tokens_once(usdc: Contract, cast: Cast, kind: str, form: str) -> None:
    terms = authorization(cast.holder.address, cast.payee.address)
    call = signed_call(kind, terms, sign(usdc, cast.holder, kind, terms), form)
    used, moved = usdc.send(*call, sender=sender_of(kind, cast))
    assert used == Event("AuthorizationUsed", {"authorizer": cast.holder.address, "nonce": NONCE})
    assert moved == Event("Transfer", {"from": cast.holder.address, "to": cast.payee.address, "value": 700})
    assert usdc.read("authorizationState", cast.holder.address, NONCE) is True

    again = usdc.refusal(*call, sender=sender_of(kind, cast))
    assert again == ("AuthorizationUsedOrCanceled", cast.holder.address, NONCE)
    assert balance(usdc, cast.payee) == 700


@MOVES
@FORMS
def test_authorization_is_refused_before_and_after_its_time(usdc: Contract, cast: Cast, kind: str, form: str) -> None:
    early = authorization(cast.holder.address, cast.payee.address, validAfter=FAR - 1)
    call = signed_call(kind, early, sign(usdc, cast.holder, kind, early), form)
    name, timestamp, limit = usdc.refusal(*call, sender=sender_of(kind, cast))
    assert (name, limit) == ("AuthorizationNotYetValid", FAR - 1)
    assert timestamp <= limit

    late = authorization(cast.holder.address, cast.payee.address, validBefore=1_000)
    call = signed_call(kind, late, sign(usdc, cast.holder, kind, late), form)
    name, timestamp, limit = usdc.refusal(*call, sender=sender_of(kind, cast))
    assert (name, limit) == ("AuthorizationExpired", 1_000)
    assert timestamp >= limit


@pytest.mark.parametrize(
    ("kind", "limit", "distance", "accepted"),
    [
        ("permit", "deadline", -1, False),
        ("permit", "deadline", 0, True),
        ("transferWithAuthorization", "validAfter", 0, False),
        ("transferWithAuthorization", "validAfter", -1, True),
        ("transferWithAuthorization", "validBefore", 0, False),
        ("transferWithAuthorization", "validBefore", 1, True),
    ],
)
def test_time_limits_hold_to_the_second(
    chain: EmbeddedChain, usdc: Contract, cast: Cast, kind: str, limit: str, distance: int, accepted: bool
) -> None:
    at = chain.now() + 100
    make = permit if kind == "permit" else authorization
    terms = make(cast.holder.address, cast.payee.address, **{limit: at + distance})
    call = signed_call(kind, terms, sign(usdc, cast.holder, kind, terms), "bytes")
    chain.request("evm_setNextBlockTimestamp", [at])
    receipt = transact(chain, cast.relayer, usdc.address, usdc.data(*call))
    assert receipt["status"] == ("0x1" if accepted else "0x0")


@MOVES
@FORMS
@pytest.mark.parametrize("field", list(FIELDS["transferWithAuthorization"]))
@pytest.mark.slow
def test_authorization_with_a_changed_term_is_refused(
    usdc: Contract, cast: Cast, kind: str, form: str, field: str
) -> None:
    terms = authorization(cast.holder.address, cast.relayer.address)
    signature = sign(usdc, cast.holder, kind, terms)
    changed = {"address": cast.payee.address, "bytes32": bytes(32)}.get(FIELDS[kind][field])
    terms[field] = terms[field] + 1 if changed is None else changed
    sender = cast.payee if field == "to" else cast.relayer
    refusal = usdc.refusal(*signed_call(kind, terms, signature, form), sender=sender)
    assert refusal == ("InvalidSignature", terms["from"])


@FORMS
def test_only_the_payee_receives_with_an_authorization(usdc: Contract, cast: Cast, form: str) -> None:
    terms = authorization(cast.holder.address, cast.payee.address)
    call = signed_call(
        "receiveWithAuthorization", terms, sign(usdc, cast.holder, "receiveWithAuthorization", terms), form
    )
    for caller in (cast.stranger, cast.holder):
        assert usdc.refusal(*call, sender=caller) == ("CallerNotPayee", caller.address, cast.payee.address)
    usdc.send(*call, sender=cast.payee)
    assert balance(usdc, cast.payee) == 700


@FORMS
@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        ("receiveWithAuthorization", "transferWithAuthorization"),
        ("transferWithAuthorization", "receiveWithAuthorization"),
    ],
)
def test_signature_for_one_kind_of_authorization_is_no_good_for_the_other(
    usdc: Contract, cast: Cast, form: str, signed: str, sent: str
) -> None:
    terms = authorization(cast.holder.address, cast.payee.address)
    call = signed_call(sent, terms, sign(usdc, cast.holder, signed, terms), form)
    assert usdc.refusal(*call, sender=cast.payee) == ("InvalidSignature", cast.holder.address)


def test_front_run_transfer_pays_the_payee_and_fails_the_original(usdc: Contract, cast: Cast) -> None:
    terms = authorization(cast.holder.address, cast.payee.address)
    signature = sign(usdc, cast.holder, "transferWithAuthorization", terms)
    usdc.send(*signed_call("transferWithAuthorization", terms, signature, "bytes"), sender=cast.stranger)
    assert balance(usdc, cast.payee) == 700
    original = signed_call("transferWithAuthorization", terms, signature, "vrs")
    assert usdc.refusal(*original, sender=cast.relayer)[0] == "AuthorizationUsedOrCanceled"


def test_nonce_stays_usable_when_the_balance_was_too_small(usdc: Contract, cast: Cast) -> None:
    terms = authorization(cast.holder.address, cast.payee.address, value=AMOUNT + 1)
    call = signed_call(
        "transferWithAuthorization", terms, sign(usdc, cast.holder, "transferWithAuthorization", terms), "vrs"
    )
    refusal = usdc.refusal(*call, sender=cast.relayer)
    assert refusal == ("ERC20InsufficientBalance", cast.holder.address, AMOUNT, AMOUNT + 1)
    usdc.send("mint", cast.holder.address, 1, sender=cast.stranger)
    usdc.send(*call, sender=cast.relayer)
    assert balance(usdc, cast.payee) == AMOUNT + 1


@FORMS
def test_cancelled_authorization_moves_nothing(usdc: Contract, cast: Cast, form: str) -> None:
    cancel = {"authorizer": cast.holder.address, "nonce": NONCE}
    call = signed_call("cancelAuthorization", cancel, sign(usdc, cast.holder, "cancelAuthorization", cancel), form)
    (event,) = usdc.send(*call, sender=cast.relayer)
    assert event == Event("AuthorizationCanceled", cancel)

    terms = authorization(cast.holder.address, cast.payee.address)
    gone = ("AuthorizationUsedOrCanceled", cast.holder.address, NONCE)
    for kind in ("transferWithAuthorization", "receiveWithAuthorization"):
        move = signed_call(kind, terms, sign(usdc, cast.holder, kind, terms), form)
        assert usdc.refusal(*move, sender=cast.payee) == gone
    assert usdc.refusal(*call, sender=cast.relayer) == gone


@FORMS
def test_nobody_cancels_another_s_authorization_or_a_used_one(usdc: Contract, cast: Cast, form: str) -> None:
    cancel = {"authorizer": cast.holder.address, "nonce": NONCE}
    by_stranger = sign(usdc, cast.stranger, "cancelAuthorization", cancel)
    refusal = usdc.refusal(*signed_call("cancelAuthorization", cancel, by_stranger, form), sender=cast.stranger)
    assert refusal == ("InvalidSignature", cast.holder.address)

    terms = authorization(cast.holder.address, cast.payee.address)
    signature = sign(usdc, cast.holder, "transferWithAuthorization", terms)
    usdc.send(*signed_call("transferWithAuthorization", terms, signature, form), sender=cast.relayer)
    too_late = signed_call("cancelAuthorization", cancel, sign(usdc, cast.holder, "cancelAuthorization", cancel), form)
    assert usdc.refusal(*too_late, sender=cast.relayer)[0] == "AuthorizationUsedOrCanceled"


# ---------------------------------------------------------------- signatures


def any_terms(kind: str, payer: str, payee: str) -> dict[str, Any]:
    if kind == "cancelAuthorization":
        return {"authorizer": payer, "nonce": NONCE}
    return permit(payer, payee) if kind == "permit" else authorization(payer, payee)


@pytest.mark.parametrize("kind", list(FIELDS))
@FORMS
@pytest.mark.parametrize("fault", ["chain", "contract", "version", "name", "signer", "high s", "v", "zeros"])
@pytest.mark.slow
def test_signature_with_a_fault_is_refused(usdc: Contract, cast: Cast, kind: str, form: str, fault: str) -> None:
    terms = any_terms(kind, cast.holder.address, cast.payee.address)
    good = sign(usdc, cast.holder, kind, terms)
    signature = {
        "chain": lambda: sign(usdc, cast.holder, kind, terms, chainId=1),
        "contract": lambda: sign(usdc, cast.holder, kind, terms, verifyingContract=cast.stranger.address),
        "version": lambda: sign(usdc, cast.holder, kind, terms, version="1"),
        "name": lambda: sign(usdc, cast.holder, kind, terms, name="USD Coin"),
        "signer": lambda: sign(usdc, cast.stranger, kind, terms),
        "high s": lambda: malleated(good),
        "v": lambda: good[:64] + bytes([good[64] - 27]),
        "zeros": lambda: bytes(65),
    }[fault]()
    sender = sender_of(kind, cast)
    refusal = usdc.refusal(*signed_call(kind, terms, signature, form), sender=sender)
    assert refusal == ("InvalidSignature", cast.holder.address)
    usdc.send(*signed_call(kind, terms, good, form), sender=sender)


@pytest.mark.parametrize("length", [0, 64, 66])
def test_signature_of_another_length_is_refused(usdc: Contract, cast: Cast, length: int) -> None:
    terms = permit(cast.holder.address, cast.payee.address)
    signature = (sign(usdc, cast.holder, "permit", terms) + b"\0")[:length]
    refusal = usdc.refusal(*signed_call("permit", terms, signature, "bytes"), sender=cast.relayer)
    assert refusal == ("InvalidSignature", cast.holder.address)


@pytest.mark.parametrize("kind", list(FIELDS))
@FORMS
def test_nobody_signs_for_the_zero_address(usdc: Contract, cast: Cast, kind: str, form: str) -> None:
    terms = any_terms(kind, ZERO, cast.payee.address)
    refusal = usdc.refusal(*signed_call(kind, terms, bytes(65), form), sender=sender_of(kind, cast))
    assert refusal == ("InvalidSignature", ZERO)


@pytest.mark.parametrize("kind", list(FIELDS))
@FORMS
def test_contract_wallet_signs_by_erc_1271(usdc: Contract, wallet: Contract, cast: Cast, kind: str, form: str) -> None:
    terms = any_terms(kind, wallet.address, cast.payee.address)
    by_stranger = signed_call(kind, terms, sign(usdc, cast.stranger, kind, terms), form)
    assert usdc.refusal(*by_stranger, sender=sender_of(kind, cast)) == ("InvalidSignature", wallet.address)

    by_owner = signed_call(kind, terms, sign(usdc, cast.holder, kind, terms), form)
    usdc.send(*by_owner, sender=sender_of(kind, cast))
    if kind == "permit":
        assert usdc.read("allowance", wallet.address, cast.payee.address) == 700
    else:
        assert usdc.read("authorizationState", wallet.address, NONCE) is True
        assert balance(usdc, cast.payee) == (0 if kind == "cancelAuthorization" else 700)


def test_signature_of_a_former_wallet_owner_is_refused(usdc: Contract, wallet: Contract, cast: Cast) -> None:
    terms = authorization(wallet.address, cast.payee.address)
    signature = sign(usdc, cast.holder, "transferWithAuthorization", terms)
    wallet.send("transferOwnership", cast.stranger.address, sender=cast.holder)
    call = signed_call("transferWithAuthorization", terms, signature, "bytes")
    assert usdc.refusal(*call, sender=cast.relayer) == ("InvalidSignature", wallet.address)


def test_contract_that_knows_no_signatures_cannot_be_made_to_pay(
    usdc: Contract, deploy: Callable[..., Contract], cast: Cast
) -> None:
    mute = deploy("PlainERC20")
    usdc.send("mint", mute.address, AMOUNT, sender=cast.stranger)
    terms = authorization(mute.address, cast.payee.address)
    signature = sign(usdc, cast.holder, "transferWithAuthorization", terms)
    call = signed_call("transferWithAuthorization", terms, signature, "bytes")
    assert usdc.refusal(*call, sender=cast.relayer) == ("InvalidSignature", mute.address)


def test_contract_wallet_receives_as_the_payee(usdc: Contract, wallet: Contract, cast: Cast) -> None:
    terms = authorization(cast.stranger.address, wallet.address)
    usdc.send("mint", cast.stranger.address, 700, sender=cast.stranger)
    signature = sign(usdc, cast.stranger, "receiveWithAuthorization", terms)
    take = usdc.data(*signed_call("receiveWithAuthorization", terms, signature, "bytes"))
    wallet.send("execute", usdc.address, take, sender=cast.holder)
    assert balance(usdc, wallet) == AMOUNT + 700


def test_signatures_of_the_old_chain_are_refused_on_its_fork(
    chain: EmbeddedChain, accounts: tuple[DevAccount, ...]
) -> None:
    deploys = accounts[9]
    original = deployer(chain, deploys)("TestUSDC")
    fork = EmbeddedChain(chain_id=chain.chain_id + 1)
    code = bytes.fromhex(chain.request("eth_getCode", [original.address, "latest"])[2:])
    # Initcode that returns the bytes behind it: the fork carries the very code that the old chain's id is cached in.
    copies = bytes.fromhex(f"61{len(code):04x}80600a5f395ff3") + code
    address = transact(fork, deploys, None, Web3.to_hex(copies))["contractAddress"]
    forked = Contract(fork, address, original.abi.abi)
    assert forked.address == original.address

    holder, payee = accounts[1:3]
    forked.send("mint", holder.address, AMOUNT, sender=payee)
    terms = authorization(holder.address, payee.address)
    kind = "transferWithAuthorization"
    replayed = signed_call(kind, terms, sign(original, holder, kind, terms), "vrs")
    assert forked.refusal(*replayed, sender=payee) == ("InvalidSignature", holder.address)
    forked.send(*signed_call(kind, terms, sign(forked, holder, kind, terms), "vrs"), sender=payee)
    assert balance(forked, payee) == 700


# ---------------------------------------------------------------- block-list and pause

CALLS: dict[str, dict[str, bool]] = {
    "mint": {"relayer": True, "payee": True},
    "transfer": {"holder": True, "payee": True},
    "transferFrom": {"relayer": True, "holder": True, "payee": True},
    "approve": {"holder": False, "payee": False},
    "permit": {"relayer": False, "holder": False, "payee": False},
    "transferWithAuthorization": {"relayer": False, "holder": True, "payee": True},
    "receiveWithAuthorization": {"holder": True, "payee": True},
    "cancelAuthorization": {"relayer": False, "holder": False},
}
"""For each call, who has a part in it, and whether the call is stopped when that account is on the block-list. The
holder pays, approves and signs; the payee receives or spends; the relayer sends what others signed, mints or pulls."""

CASES = [(call, form) for call in CALLS for form in (("vrs", "bytes") if call in FIELDS else ("plain",))]


def prepared(usdc: Contract, cast: Cast, call: str, form: str) -> tuple[tuple[Any, ...], DevAccount]:
    """A call that would succeed, and who sends it."""
    holder, payee = cast.holder.address, cast.payee.address
    if call in FIELDS:
        terms = any_terms(call, holder, payee)
        return signed_call(call, terms, sign(usdc, cast.holder, call, terms), form), sender_of(call, cast)
    if call == "mint":
        return (call, payee, 700), cast.relayer
    if call == "transferFrom":
        usdc.send("approve", cast.relayer.address, 700, sender=cast.holder)
        return (call, holder, payee, 700), cast.relayer
    return (call, payee, 700), cast.holder


@pytest.mark.parametrize(
    ("call", "form", "part", "stopped"),
    [(call, form, part, stopped) for call, form in CASES for part, stopped in CALLS[call].items()],
)
@pytest.mark.slow
def test_block_list_stops_exactly_the_parts_that_usdc_stops(
    usdc: Contract, cast: Cast, call: str, form: str, part: str, stopped: bool
) -> None:
    arguments, sender = prepared(usdc, cast, call, form)
    listed = getattr(cast, part).address
    (event,) = usdc.send("blacklist", listed, sender=cast.owner)
    assert event == Event("Blacklisted", {"account": listed})
    assert usdc.read("isBlacklisted", listed) is True
    if stopped:
        assert usdc.refusal(*arguments, sender=sender) == ("AccountBlacklisted", listed)
        (event,) = usdc.send("unBlacklist", listed, sender=cast.owner)
        assert event == Event("UnBlacklisted", {"account": listed})
        assert usdc.read("isBlacklisted", listed) is False
    usdc.send(*arguments, sender=sender)


@pytest.mark.parametrize("part", ["holder", "payee"])
def test_block_list_stops_transfers_of_nothing_too(usdc: Contract, cast: Cast, part: str) -> None:
    listed = getattr(cast, part).address
    usdc.send("blacklist", listed, sender=cast.owner)
    refusal = usdc.refusal("transfer", cast.payee.address, 0, sender=cast.holder)
    assert refusal == ("AccountBlacklisted", listed)


@pytest.mark.parametrize(("call", "form"), CASES)
def test_pause_stops_everything_that_moves_or_approves(usdc: Contract, cast: Cast, call: str, form: str) -> None:
    arguments, sender = prepared(usdc, cast, call, form)
    (event,) = usdc.send("pause", sender=cast.owner)
    assert (event, usdc.read("paused")) == (Event("Pause", {}), True)
    usdc.send("blacklist", cast.stranger.address, sender=cast.owner)  # roles work on
    assert usdc.refusal(*arguments, sender=sender) == ("TokenPaused",)
    (event,) = usdc.send("unpause", sender=cast.owner)
    assert (event, usdc.read("paused")) == (Event("Unpause", {}), False)
    usdc.send(*arguments, sender=sender)


def test_pausing_or_listing_twice_is_no_error(usdc: Contract, cast: Cast) -> None:
    for call in (("pause",), ("blacklist", cast.payee.address)):
        usdc.send(*call, sender=cast.owner)
        usdc.send(*call, sender=cast.owner)
    for call in (("unpause",), ("unBlacklist", cast.payee.address)):
        usdc.send(*call, sender=cast.owner)
        usdc.send(*call, sender=cast.owner)
    usdc.send("transfer", cast.payee.address, 1, sender=cast.holder)


@pytest.mark.parametrize(
    ("role", "calls", "update", "changed", "error"),
    [
        ("blacklister", ["blacklist", "unBlacklist"], "updateBlacklister", "BlacklisterChanged", "NotBlacklister"),
        ("pauser", ["pause", "unpause"], "updatePauser", "PauserChanged", "NotPauser"),
    ],
)
def test_strangers_cannot_jam_the_token_and_the_owner_hands_the_role_over(
    usdc: Contract, cast: Cast, role: str, calls: list[str], update: str, changed: str, error: str
) -> None:
    first, second, stranger = cast.owner, cast.relayer, cast.stranger
    arguments = [cast.payee.address] if role == "blacklister" else []
    assert usdc.read(role) == usdc.read("owner") == first.address
    for call in calls:
        assert usdc.refusal(call, *arguments, sender=stranger) == (error, stranger.address, first.address)
    not_owner = ("OwnableUnauthorizedAccount", stranger.address)
    assert usdc.refusal(update, stranger.address, sender=stranger) == not_owner
    assert usdc.refusal(update, ZERO, sender=first) == ("ZeroAddress",)

    (event,) = usdc.send(update, second.address, sender=first)
    assert (event.name, *event.values.values()) == (changed, second.address)
    assert usdc.read(role) == second.address
    for call in calls:
        usdc.send(call, *arguments, sender=second)
        assert usdc.refusal(call, *arguments, sender=first) == (error, first.address, second.address)
