"""The hostile tokens misbehave as they promise: one that turned honest would empty every test that relies on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eth_account import Account

from actp.chain import DevAccount, EmbeddedChain
from actp.errors import RpcError
from tests.contracts.token_support import Contract, deployer, transact

AMOUNT = 1_000_000
MAGIC = bytes.fromhex("1626ba7e")

Deploy = Callable[..., Contract]


@pytest.fixture
def payer(accounts: tuple[DevAccount, ...]) -> DevAccount:
    return accounts[1]


@pytest.fixture
def payee(accounts: tuple[DevAccount, ...]) -> DevAccount:
    return accounts[2]


@pytest.fixture
def deploy(chain: EmbeddedChain, accounts: tuple[DevAccount, ...]) -> Deploy:
    return deployer(chain, accounts[0])


@pytest.fixture
def funded(deploy: Deploy, payer: DevAccount, payee: DevAccount) -> Callable[[str], Contract]:
    """Deploy a token of which the payer holds `AMOUNT`, all of it allowed to the payee."""

    def make(name: str) -> Contract:
        token = deploy(name)
        token.send("mint", payer.address, AMOUNT, sender=payee)
        token.send("approve", payee.address, AMOUNT, sender=payer)
        return token

    return make


def balances(token: Contract, *accounts: DevAccount) -> list[int]:
    return [token.read("balanceOf", account.address) for account in accounts]


def push(token: Contract, payer: DevAccount, payee: DevAccount, amount: int) -> None:
    token.send("transfer", payee.address, amount, sender=payer)


def pull(token: Contract, payer: DevAccount, payee: DevAccount, amount: int) -> None:
    token.send("transferFrom", payer.address, payee.address, amount, sender=payee)


def answer(token: Contract, payer: DevAccount, payee: DevAccount) -> str:
    """Raw bytes that a transfer answers with."""
    call = {"from": payer.address, "to": token.address, "data": token.data("transfer", payee.address, AMOUNT)}
    return str(token.chain.request("eth_call", [call, "latest"]))


MOVES = pytest.mark.parametrize("move", [push, pull])


@pytest.mark.parametrize(
    "name",
    [
        "PlainERC20",
        "FalseReturnToken",
        "NoReturnToken",
        "ReentrantToken",
        "LooseToken",
        "GasBurningToken",
        "ReturnBombToken",
        "LyingToken",
        "RevertOnZeroToken",
    ],
)
@MOVES
def test_token_moves_exact_amounts_while_its_trick_is_off(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount, name: str, move: Callable[..., None]
) -> None:
    token = funded(name)
    move(token, payer, payee, 400_000)
    assert token.read("decimals") == 6
    assert balances(token, payer, payee) == [600_000, 400_000]
    with pytest.raises(RpcError):
        answer(token, payer, payee)  # more than what is left


@MOVES
def test_fee_token_delivers_one_percent_less(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount, move: Callable[..., None]
) -> None:
    token = funded("FeeOnTransferToken")
    move(token, payer, payee, 400_000)
    assert balances(token, payer, payee) == [600_000, 396_000]


@MOVES
def test_extra_token_delivers_one_unit_more(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount, move: Callable[..., None]
) -> None:
    token = funded("SilentExtraToken")
    move(token, payer, payee, 400_000)
    assert balances(token, payer, payee) == [600_000, 400_001]


@MOVES
def test_false_return_token_answers_false_and_moves_nothing(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount, move: Callable[..., None]
) -> None:
    token = funded("FalseReturnToken")
    token.send("setRefusing", True, sender=payer)
    move(token, payer, payee, 400_000)
    assert balances(token, payer, payee) == [AMOUNT, 0]
    assert token.read("transfer", payee.address, 1, sender=payer) is False
    assert token.read("transferFrom", payer.address, payee.address, 1, sender=payee) is False


def test_no_return_token_answers_with_no_bytes(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount
) -> None:
    assert answer(funded("NoReturnToken"), payer, payee) == "0x"


@MOVES
def test_lying_token_claims_a_transfer_that_did_not_happen(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount, move: Callable[..., None]
) -> None:
    token = funded("LyingToken")
    token.send("setLying", True, sender=payer)
    (event,) = token.send("transfer", payee.address, 400_000, sender=payer)
    assert event.name == "Transfer"
    assert event.values["value"] == 400_000
    assert token.read("transfer", payee.address, 1, sender=payer) is True
    move(token, payer, payee, 400_000)
    assert balances(token, payer, payee) == [AMOUNT, 0]


def test_zero_hating_token_refuses_a_transfer_of_nothing(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount
) -> None:
    assert funded("RevertOnZeroToken").refusal("transfer", payee.address, 0, sender=payer) == ("ZeroTransfer",)


def test_gas_burning_token_leaves_its_caller_one_64th(
    funded: Callable[[str], Contract], deploy: Deploy, payer: DevAccount, payee: DevAccount
) -> None:
    burning, caller = funded("GasBurningToken"), funded("ReentrantToken")
    burning.send("setBurning", True, sender=payer)
    caller.send("arm", burning.address, burning.data("transfer", payee.address, 1), sender=payer)
    gas = 3_000_000
    receipt = transact(caller.chain, payer, caller.address, caller.data("transfer", payee.address, 1), gas)
    assert receipt["status"] == "0x1"
    assert caller.read("succeeded") is False
    assert int(receipt["gasUsed"], 16) > gas * 9 // 10


@pytest.mark.parametrize("reverting", [False, True])
def test_return_bomb_answers_with_as_many_bytes_as_it_is_told(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount, reverting: bool
) -> None:
    token = funded("ReturnBombToken")
    token.send("setBomb", 50_000, reverting, sender=payer)
    if reverting:
        with pytest.raises(RpcError) as caught:
            answer(token, payer, payee)
        assert len(str(caught.value.data)) == 2 + 2 * 50_000
    else:
        assert len(answer(token, payer, payee)) == 2 + 2 * 50_000
        push(token, payer, payee, 400_000)
        assert balances(token, payer, payee) == [600_000, 400_000]


@MOVES
def test_reentrant_token_calls_back_once_and_records_the_outcome(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount, move: Callable[..., None]
) -> None:
    token = funded("ReentrantToken")
    nested = token.data("mint", payee.address, 7)
    token.send("arm", token.address, nested, sender=payer)
    move(token, payer, payee, 100)
    move(token, payer, payee, 100)
    assert balances(token, payee) == [207]
    assert (token.read("attempts"), token.read("succeeded")) == (1, True)


def test_reentrant_token_records_why_its_call_failed(
    funded: Callable[[str], Contract], payer: DevAccount, payee: DevAccount
) -> None:
    token = funded("ReentrantToken")
    token.send("arm", token.address, token.data("transfer", payee.address, 1), sender=payer)
    push(token, payer, payee, 100)
    assert token.read("succeeded") is False
    assert token.error("0x" + token.read("result").hex())[0] == "ERC20InsufficientBalance"
    assert balances(token, payer, payee) == [AMOUNT - 100, 100]


def test_reentrant_token_acts_as_a_party_that_made_it_operator(
    funded: Callable[[str], Contract], deploy: Deploy, payer: DevAccount, payee: DevAccount
) -> None:
    token, wallet = funded("ReentrantToken"), deploy("ContractParty", payer.address)
    wallet.send("setOperator", token.address, sender=payer)
    token.send("mint", wallet.address, 50, sender=payer)
    theft = wallet.data("execute", token.address, token.data("transfer", payee.address, 50))
    token.send("arm", wallet.address, theft, sender=payer)
    push(token, payer, payee, 100)
    assert balances(token, payee) == [150]


def test_contract_party_acts_for_its_owner_and_operator_only(
    funded: Callable[[str], Contract],
    deploy: Deploy,
    accounts: tuple[DevAccount, ...],
    payer: DevAccount,
    payee: DevAccount,
) -> None:
    token, wallet, stranger = funded("PlainERC20"), deploy("ContractParty", payer.address), accounts[3]
    act = ("execute", token.address, token.data("mint", wallet.address, 5))
    assert wallet.refusal(*act, sender=stranger) == ("NotAllowed", stranger.address)
    wallet.send(*act, sender=payer)
    wallet.send("setOperator", payee.address, sender=payer)
    wallet.send(*act, sender=payee)
    assert token.read("balanceOf", wallet.address) == 10
    assert wallet.refusal("setOperator", stranger.address, sender=payee)[0] == "OwnableUnauthorizedAccount"


def test_contract_party_passes_the_target_s_error_on(
    funded: Callable[[str], Contract], deploy: Deploy, payer: DevAccount, payee: DevAccount
) -> None:
    token, wallet = funded("PlainERC20"), deploy("ContractParty", payer.address)
    act = ("execute", token.address, token.data("transfer", payee.address, 5))
    with pytest.raises(RpcError) as caught:
        wallet.read(*act, sender=payer)
    assert token.error(caught.value.data) == ("ERC20InsufficientBalance", wallet.address, 0, 5)


def test_contract_party_accepts_its_owner_s_signature_and_no_other(
    deploy: Deploy, payer: DevAccount, payee: DevAccount
) -> None:
    wallet = deploy("ContractParty", payer.address)
    wallet.send("setOperator", payee.address, sender=payer)
    digest = bytes(range(32))
    by_owner, by_operator = (Account.unsafe_sign_hash(digest, who.private_key).signature for who in (payer, payee))
    assert wallet.read("isValidSignature", digest, by_owner) == MAGIC
    assert wallet.read("isValidSignature", digest, by_operator) != MAGIC
    assert wallet.read("isValidSignature", bytes(32), by_owner) != MAGIC
    assert wallet.read("isValidSignature", digest, b"") != MAGIC
    wallet.send("transferOwnership", payee.address, sender=payer)
    assert wallet.read("isValidSignature", digest, by_owner) != MAGIC
    assert wallet.read("isValidSignature", digest, by_operator) == MAGIC
