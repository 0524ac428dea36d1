from dataclasses import replace

import pytest

from actp import artifacts, deploy, deployments
from actp.chain import EmbeddedChain
from actp.deploy import DeploymentPlan, Economics, contract_address, deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender
from actp.engine.store import database
from actp.errors import (
    ArtifactMismatch,
    ConfigError,
    InsufficientFunds,
    InvalidInput,
    NoCode,
    OutcomeUnknown,
    RpcError,
    RpcUnavailable,
    WrongChain,
)
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.units import ZERO_ADDRESS, keccak
from tests.engine.faults import FaultyTransport

KERNEL = artifacts.load("ACTPKernel")
SEND = "eth_sendRawTransaction"
SOMEONE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


class Bench:
    """A chain of its own with an address book, on which the same deployment can be run again and again."""

    def __init__(self, folder, accounts):
        self.chain = EmbeddedChain()
        self.node = FaultyTransport(self.chain)
        self.folder = folder
        self.signer = LocalSigner(accounts[0].private_key)
        self.lines = []
        self.timeout = 10.0

    @property
    def book(self):
        return AddressBook(31337, genesis_hash(self.chain, 31337), folder=self.folder)

    def sender(self, signer=None):
        return Sender(self.node, signer or self.signer, chain_id=31337, timeout=self.timeout, handover_timeout=0.3)

    def deploy(self, plan=None, *, signer=None, **options):
        return deploy_contracts(self.sender(signer), self.book, plan, report=self.lines.append, **options)

    def ask(self, function, *arguments):
        kernel = self.book.get().kernel
        call = {"to": kernel, "data": "0x" + KERNEL.call_data(function, arguments).hex()}
        return KERNEL.decode_result(function, bytes.fromhex(self.chain.request("eth_call", [call, "latest"])[2:]))[0]

    def lose_connection(self, step, *, taken):
        """From the send number `step` on the node is out of reach; it took or did not take what was sent last."""
        sends = []

        def unreachable(go_on, params):
            raise RpcUnavailable("the connection broke", outcome="unknown")

        def break_off(go_on, params):
            sends.append(params[0])
            if len(sends) <= step:
                return go_on()
            if taken and len(sends) == step + 1:
                go_on()
            self.node.always("eth_getTransactionReceipt", unreachable)
            return unreachable(go_on, params)

        self.timeout = 0.3
        self.node.always(SEND, break_off)

    def repair_connection(self):
        self.timeout = 10.0
        self.node = FaultyTransport(self.chain)

    def nonce(self):
        return int(self.chain.request("eth_getTransactionCount", [self.signer.address, "latest"]), 16)


@pytest.fixture
def bench(tmp_path, accounts):
    return Bench(tmp_path, accounts)


def test_token_kernel_and_vault_are_deployed_wired_and_recorded(bench):
    deployment = bench.deploy()
    assert deployment == bench.book.get()
    assert deployment.generation == bench.ask("kernelVersion")
    assert bench.ask("USDC") == deployment.token
    assert bench.ask("approvedEscrowVaults", deployment.vault) is True
    assert bench.ask("admin") == bench.ask("feeRecipient") == bench.signer.address
    assert bench.ask("agentRegistry") == ZERO_ADDRESS
    assert (bench.ask("platformFeeBps"), bench.ask("MIN_FEE")) == (100, 50_000)
    deployments.verify(bench.chain, deployment)
    for contract in deployment.contracts.values():
        receipt = bench.chain.request("eth_getTransactionReceipt", [contract.tx_hash])
        assert receipt["contractAddress"] == contract.address.lower()
        assert int(receipt["blockNumber"], 16) == contract.block
    assert deployment.planned == {}


def test_a_second_run_sends_nothing_and_does_not_ask(bench):
    first = bench.deploy()
    sent = bench.node.count(SEND)

    def ask(forecast):
        raise AssertionError("nothing is left to be confirmed")

    assert bench.deploy(confirm=ask) == first
    assert bench.node.count(SEND) == sent == 4


def test_the_forecast_is_an_upper_bound_of_the_cost(bench):
    seen = []
    before = bench.sender().balance()
    bench.deploy(confirm=lambda forecast: not seen.append(forecast))
    (forecast,) = seen
    assert [step.name for step in forecast.steps] == ["TestUSDC", "ACTPKernel", "EscrowVault", "approveEscrowVault"]
    assert forecast.balance == before
    assert 0 < before - bench.sender().balance() <= forecast.cost
    for step in forecast.steps[:3]:
        tx_hash = bench.book.get().contracts[step.name].tx_hash
        used = int(bench.chain.request("eth_getTransactionReceipt", [tx_hash])["gasUsed"], 16)
        assert used <= step.gas < 2 * used


def test_no_eth_transaction_carries_more_gas_than_chains_accept(bench):
    deployment = bench.deploy()
    for contract in deployment.contracts.values():
        sent = bench.chain.request("eth_getTransactionByHash", [contract.tx_hash])
        used = int(bench.chain.request("eth_getTransactionReceipt", [contract.tx_hash])["gasUsed"], 16)
        assert used < int(sent["gas"], 16) <= 2**24, "EIP-7825"


def test_a_kernel_whose_extension_is_gone_is_found_out(bench):
    deployment = bench.deploy()
    assert deployment.contracts["ACTPKernel"].code_hash is not None
    extension = bench.ask("extension")
    node = FaultyTransport(bench.chain)

    def code(answer):
        return lambda go_on, params: answer if params[0] == extension else go_on()

    node.always("eth_getCode", code("0x"))
    with pytest.raises(NoCode, match="extension"):
        deployments.verify(node, deployment)
    node.always("eth_getCode", code("0x6000"))
    with pytest.raises(ArtifactMismatch, match="KernelExtension"):
        deployments.verify(node, deployment)


def test_a_declined_deployment_sends_nothing(bench):
    with pytest.raises(ConfigError, match="declined"):
        bench.deploy(confirm=lambda forecast: False)
    assert bench.node.count(SEND) == 0
    assert bench.book.names() == []


@pytest.mark.parametrize("same_process", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("step", range(4))
@pytest.mark.slow
def test_a_run_that_broke_off_is_completed_without_deploying_twice(bench, monkeypatch, step, taken, same_process):
    bench.lose_connection(step, taken=taken)
    with pytest.raises(OutcomeUnknown):
        bench.deploy()
    bench.repair_connection()
    if not same_process:
        monkeypatch.setattr(database, "_stores", {})
    deployment = bench.deploy()
    assert deployment.complete
    assert deployment.planned == {}
    deployments.verify(bench.chain, deployment)
    assert bench.ask("approvedEscrowVaults", deployment.vault) is True
    addresses = [contract.address for contract in deployment.contracts.values()]
    assert addresses == [contract_address(bench.signer.address, nonce) for nonce in range(3)]
    # Approving twice does no harm, and is what happens to an approval of which this process knows that it may be lost.
    assert bench.nonce() == (5 if same_process and step == 3 and not taken else 4)


def test_a_plan_is_on_disk_before_the_bytes_leave(bench):
    seen = []

    def look(go_on, params):
        seen.append(dict(bench.book.find().planned))
        return go_on()

    bench.node.always(SEND, look)
    deployment = bench.deploy()
    assert [list(planned) for planned in seen] == [["TestUSDC"], ["ACTPKernel"], ["EscrowVault"], []]
    for planned in seen[:3]:
        ((name, plan),) = planned.items()
        assert plan.address == deployment.contracts[name].address


def test_other_options_than_the_recorded_ones_are_refused(bench):
    bench.deploy()
    sent = bench.node.count(SEND)
    for plan in (
        DeploymentPlan(fee_recipient=SOMEONE),
        DeploymentPlan(economics=Economics(min_fee=0)),
        DeploymentPlan(token=bench.book.get().token),
    ):
        with pytest.raises(ConfigError, match="another name"):
            bench.deploy(plan)
    assert bench.node.count(SEND) == sent


def test_another_name_is_a_deployment_of_its_own(bench):
    first = bench.deploy()
    second = bench.deploy(DeploymentPlan(name="free", token=first.token, economics=Economics(0, 0, 0, 0, 0)))
    assert second.token == first.token
    assert second.kernel != first.kernel
    assert "TestUSDC" not in second.contracts
    assert bench.book.names() == ["actp-escrow", "free"]


def test_roles_go_to_whom_they_are_given(bench, accounts):
    other, pauser = accounts[1].address, accounts[2].address
    deployment = bench.deploy(DeploymentPlan(admin=other, pauser=pauser, fee_recipient=SOMEONE, agent_registry=SOMEONE))
    assert (bench.ask("admin"), bench.ask("pauser")) == (other, pauser)
    assert bench.ask("feeRecipient") == bench.ask("agentRegistry") == SOMEONE
    assert bench.ask("approvedEscrowVaults", deployment.vault) is False
    assert any("Left to do for the admin" in line and deployment.vault in line for line in bench.lines)


def test_an_unfunded_key_sends_nothing_and_is_told_what_it_needs(bench):
    poor = LocalSigner("0x" + "77" * 32)
    with pytest.raises(InsufficientFunds) as caught:
        bench.deploy(signer=poor)
    assert caught.value.account == poor.address
    assert (caught.value.has, caught.value.needs > 10**15) == (0, True)
    assert bench.node.count(SEND) == 0


def test_the_wrong_chain_is_refused_before_anything_is_sent(bench):
    book = AddressBook(84532, genesis_hash(bench.chain, 31337), folder=bench.folder)
    with pytest.raises(WrongChain):
        deploy_contracts(bench.sender(), book)
    assert bench.node.count(SEND) == 0


def test_a_token_without_code_or_with_a_wrong_address_is_refused(bench):
    with pytest.raises(NoCode, match=SOMEONE):
        bench.deploy(DeploymentPlan(token=SOMEONE))
    with pytest.raises(InvalidInput, match="checksum"):
        bench.deploy(DeploymentPlan(token=SOMEONE[:-1] + "D"))
    assert bench.node.count(SEND) == 0


def test_a_kernel_of_another_version_is_not_taken_for_ours(bench):
    deployment = bench.deploy()
    vault = deployment.contracts["EscrowVault"]
    kernel = replace(deployment.contracts["ACTPKernel"], address=vault.address, code_hash=vault.code_hash)
    bench.book.put(deployment.with_contract("ACTPKernel", kernel))
    with pytest.raises(ArtifactMismatch, match="another version"):
        bench.deploy()


def test_code_that_changed_since_it_was_recorded_is_refused(bench):
    deployment = bench.deploy()
    vault = replace(deployment.contracts["EscrowVault"], code_hash="0x" + "00" * 32)
    bench.book.put(deployment.with_contract("EscrowVault", vault))
    with pytest.raises(ArtifactMismatch):
        bench.deploy()


def test_a_development_chain_that_was_set_back_gets_its_contracts_again(bench):
    before = bench.chain.snapshot()
    bench.deploy()
    bench.chain.revert(before)
    deployments.verify(bench.chain, bench.deploy())
    assert bench.nonce() == 4


def test_a_plan_whose_nonce_went_elsewhere_is_dropped(bench, monkeypatch):
    bench.lose_connection(0, taken=False)
    with pytest.raises(OutcomeUnknown):
        bench.deploy()
    bench.repair_connection()
    monkeypatch.setattr(database, "_stores", {})
    bench.chain.request("eth_sendTransaction", [{"from": bench.signer.address, "to": SOMEONE, "value": "0x1"}])
    deployment = bench.deploy()
    assert deployment.contracts["TestUSDC"].address == contract_address(bench.signer.address, 1)


class Killed(BaseException):
    """The process ends here."""


def test_the_kernel_of_another_deployment_is_not_taken_for_ours(bench, monkeypatch):
    token = bench.deploy(DeploymentPlan(name="tokens")).token
    ours = DeploymentPlan(name="ours", token=token, admin=SOMEONE, fee_recipient=SOMEONE)
    theirs = DeploymentPlan(name="theirs", token=token, admin=SOMEONE, economics=Economics(platform_fee_bps=500))

    def die(go_on, params):
        raise Killed

    bench.node.once(SEND, die)
    with pytest.raises(Killed):
        bench.deploy(ours)
    monkeypatch.setattr(database, "_stores", {})
    other = bench.deploy(theirs)
    monkeypatch.setattr(database, "_stores", {})
    deployment = bench.deploy(ours)
    assert deployment.kernel != other.kernel
    call = {"to": deployment.kernel, "data": "0x" + KERNEL.call_data("platformFeeBps").hex()}
    assert int(bench.chain.request("eth_call", [call, "latest"]), 16) == 100
    assert deployment.contracts["ACTPKernel"].args[2] == SOMEONE


def test_bytes_that_nobody_knows_are_sent_again_and_not_replaced(bench, monkeypatch):
    held = []

    def hold(go_on, params):
        held.append(params[0])
        raise Killed

    bench.node.once(SEND, hold)
    with pytest.raises(Killed):
        bench.deploy()
    monkeypatch.setattr(database, "_stores", {})
    deployment = bench.deploy()
    assert deployment.contracts["TestUSDC"].tx_hash == "0x" + keccak(bytes.fromhex(held[0][2:])).hex()
    assert bench.nonce() == 4


def test_nothing_is_sent_again_before_it_is_confirmed(bench, monkeypatch):
    def die(go_on, params):
        raise Killed

    bench.node.once(SEND, die)
    with pytest.raises(Killed):
        bench.deploy()
    monkeypatch.setattr(database, "_stores", {})
    sent = bench.node.count(SEND)
    with pytest.raises(ConfigError, match="declined"):
        bench.deploy(confirm=lambda forecast: False)
    assert bench.node.count(SEND) == sent


def test_the_first_of_several_bytes_for_one_nonce_is_found(bench, monkeypatch):
    def take_and_complain(go_on, params):
        go_on()
        raise RpcError(-32000, "transaction underpriced")

    def die(go_on, params):
        raise Killed

    bench.chain.request("evm_setAutomine", [False])
    bench.node.once(SEND, take_and_complain, die)
    with pytest.raises(Killed):
        bench.deploy()
    (planned,) = bench.book.find().planned.values()
    assert len(planned.signed) == 2
    bench.chain.mine()
    bench.chain.request("evm_setAutomine", [True])
    monkeypatch.setattr(database, "_stores", {})
    deployment = bench.deploy()
    assert deployment.contracts["TestUSDC"].tx_hash == planned.tx_hashes[0]
    assert bench.nonce() == 4


def test_bytes_that_stay_unmined_are_an_unknown_outcome_that_names_them(bench, monkeypatch):
    def die(go_on, params):
        raise Killed

    def too_cheap(go_on, params):
        raise RpcError(-32000, "max fee per gas less than block base fee")

    bench.node.once(SEND, die)
    with pytest.raises(Killed):
        bench.deploy()
    monkeypatch.setattr(database, "_stores", {})
    monkeypatch.setattr(deploy, "_MINING_SECONDS", 0.2)
    bench.node.always(SEND, too_cheap)
    with pytest.raises(OutcomeUnknown, match="less than block base fee") as caught:
        bench.deploy()
    (planned,) = bench.book.find().planned.values()
    assert (caught.value.tx_hashes, caught.value.nonce) == (planned.tx_hashes, 0)


def test_a_plan_for_a_nonce_that_a_snapshot_took_back_is_dropped(bench, monkeypatch):
    before = bench.chain.snapshot()
    bench.chain.request("eth_sendTransaction", [{"from": bench.signer.address, "to": SOMEONE, "value": "0x1"}])

    def die(go_on, params):
        raise Killed

    bench.node.once(SEND, die)
    with pytest.raises(Killed):
        bench.deploy()
    bench.chain.revert(before)
    monkeypatch.setattr(database, "_stores", {})
    assert bench.deploy().contracts["TestUSDC"].address == contract_address(bench.signer.address, 0)


@pytest.mark.parametrize(
    ("nonce", "address"),
    [
        (0, "0x5FbDB2315678afecb367f032d93F642f64180aa3"),
        (1, "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"),
        (2, "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"),
    ],
)
def test_addresses_of_contracts_are_known_before_they_exist(accounts, nonce, address):
    assert contract_address(accounts[0].address, nonce) == address


def test_addresses_are_right_for_large_nonces(accounts):
    import rlp

    for nonce in (127, 128, 255, 256, 65_536):
        expected = keccak(rlp.encode([bytes.fromhex(accounts[0].address[2:]), nonce]))[12:]
        assert contract_address(accounts[0].address, nonce).lower() == "0x" + expected.hex()
