import json
import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from actp import artifacts, deployments
from actp.config import RpcUrl, rpc_url
from actp.deployments import AddressBook, Contract, Deployment, Planned
from actp.engine import Sender
from actp.errors import ArtifactMismatch, ConfigError, NoCode
from actp.rpc import LIVE_GENESIS
from actp.signers import LocalSigner
from actp.types import Network
from actp.units import ZERO_ADDRESS

GENESIS = "0x" + "01" * 32
KERNEL = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
VAULT = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
CONTRACT = Contract(KERNEL, "0x" + "02" * 32, 5, (KERNEL, (100, 500), True), "0x" + "03" * 32)
DEPLOYMENT = Deployment(
    "actp-escrow",
    "actp-escrow/1",
    VAULT,
    {"ACTPKernel": CONTRACT, "EscrowVault": replace(CONTRACT, address=VAULT)},
    {"TestUSDC": Planned(KERNEL, 3, VAULT, (), ("0x02aa", "0x02bb"))},
)


def to_json(deployment: Deployment) -> dict:
    contracts = {
        name: {"address": contract.address, "txHash": None, "block": None, "args": None, "codeHash": None}
        for name, contract in deployment.contracts.items()
    }
    return {"generation": deployment.generation, "token": deployment.token, "contracts": contracts}


def book(folder: Path, chain_id: int = 31337, genesis: str = GENESIS) -> AddressBook:
    return AddressBook(chain_id, genesis, folder=folder)


def test_what_is_written_is_read_back(tmp_path):
    book(tmp_path).put(DEPLOYMENT)
    assert book(tmp_path).get() == DEPLOYMENT
    assert (DEPLOYMENT.kernel, DEPLOYMENT.vault) == (KERNEL, VAULT)
    file = tmp_path / "31337.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_the_file_has_the_documented_shape(tmp_path):
    book(tmp_path).put(DEPLOYMENT)
    content = json.loads((tmp_path / "31337.json").read_text())
    assert (content["chainId"], content["genesis"]) == (31337, GENESIS)
    kernel = content["deployments"]["actp-escrow"]["contracts"]["ACTPKernel"]
    assert kernel == {
        "address": KERNEL,
        "txHash": CONTRACT.tx_hash,
        "block": 5,
        "args": [KERNEL, [100, 500], True],
        "codeHash": CONTRACT.code_hash,
    }


def test_deployments_of_other_names_stay(tmp_path):
    first, second = book(tmp_path), book(tmp_path)
    first.put(DEPLOYMENT)
    second.put(replace(DEPLOYMENT, name="other"))
    assert book(tmp_path).names() == ["actp-escrow", "other"]


def test_a_book_of_an_earlier_chain_is_not_believed(tmp_path):
    book(tmp_path).put(DEPLOYMENT)
    later = book(tmp_path, genesis="0x" + "09" * 32)
    assert later.find() is None
    later.require_writable()
    later.put(replace(DEPLOYMENT, name="new"))
    assert book(tmp_path, genesis="0x" + "09" * 32).names() == ["new"]


def test_a_book_of_a_live_chain_is_not_overwritten_by_a_chain_that_borrows_its_id(tmp_path):
    book(tmp_path, 84532).put(DEPLOYMENT)
    with pytest.raises(ConfigError, match="ACTP_DEPLOYMENTS_DIR"):
        book(tmp_path, 84532, "0x" + "09" * 32).require_writable()
    book(tmp_path, 84532).require_writable()


def test_a_book_of_a_development_chain_of_any_id_gives_way_to_its_next_run(tmp_path):
    first = AddressBook(4242, GENESIS, folder=tmp_path, development=True)
    first.put(DEPLOYMENT)
    again = AddressBook(4242, "0x" + "09" * 32, folder=tmp_path, development=True)
    assert again.find() is None
    again.put(replace(DEPLOYMENT, name="new"))
    assert book(tmp_path, 4242, "0x" + "09" * 32).names() == ["new"]


def test_a_book_of_a_live_chain_of_any_id_is_not_overwritten_by_a_development_chain(tmp_path):
    book(tmp_path, 4242).put(DEPLOYMENT)
    with pytest.raises(ConfigError, match="describes another chain 4242"):
        AddressBook(4242, "0x" + "09" * 32, folder=tmp_path, development=True).put(DEPLOYMENT)
    assert book(tmp_path, 4242).names() == ["actp-escrow"]


def test_a_fork_of_a_live_chain_is_no_development_chain(tmp_path):
    assert AddressBook(4242, GENESIS, folder=tmp_path, development=True).development
    assert not AddressBook(84532, LIVE_GENESIS[84532], folder=tmp_path, development=True).development


@pytest.mark.parametrize(("chain_id", "tracked"), [(84532, True), (31337, False), (1337, False), (4242, False)])
def test_git_keeps_the_books_of_live_networks_only(chain_id, tracked):
    root = Path(__file__).parents[2]
    check = ["git", "check-ignore", "-q", "--no-index", f"deployments/{chain_id}.json"]
    answer = subprocess.run(check, cwd=root, check=False).returncode
    if answer not in (0, 1):
        pytest.skip("this is no git checkout")
    assert answer == (1 if tracked else 0)


def test_a_failed_write_leaves_the_old_book(tmp_path):
    before = book(tmp_path)
    before.put(DEPLOYMENT)
    with pytest.raises(TypeError):
        before.put(replace(DEPLOYMENT, token=object()))
    assert book(tmp_path).get() == DEPLOYMENT
    assert len(list(tmp_path.iterdir())) == 1


def test_a_book_in_memory_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    memory = AddressBook(31337, GENESIS, in_memory=True)
    memory.put(DEPLOYMENT)
    memory.require_writable()
    assert memory.get() == DEPLOYMENT
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_unfinished_deployment_says_what_there_is(tmp_path):
    with pytest.raises(ConfigError, match=r"does not exist .there are: none") as caught:
        book(tmp_path).get()
    assert caught.value.code == "not_deployed"
    searched = f"{tmp_path / '31337.json'} was searched; ACTP_DEPLOYMENTS_DIR names another folder."
    assert caught.value.hint.endswith(searched), "outside a checkout nobody knows where else to look"
    book(tmp_path).put(DEPLOYMENT.without("EscrowVault"))
    with pytest.raises(ConfigError, match="not complete"):
        book(tmp_path).get()
    with pytest.raises(ConfigError, match="has no EscrowVault"):
        _ = book(tmp_path).find().vault


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"chainId": 1, "genesis": GENESIS, "deployments": {}}),
        json.dumps({"chainId": 31337, "genesis": GENESIS}),
        json.dumps({"chainId": 31337, "genesis": GENESIS, "deployments": {"a": {"contracts": {}}}}),
        json.dumps(
            {
                "chainId": 31337,
                "genesis": GENESIS,
                "deployments": {
                    "a": {"generation": "", "token": KERNEL[:-1] + "D", "contracts": {}},
                },
            }
        ),
    ],
)
def test_a_damaged_book_is_an_error_that_names_the_file(tmp_path, text):
    (tmp_path / "31337.json").write_text(text)
    with pytest.raises(ConfigError, match=r"31337\.json"):
        book(tmp_path)


def test_the_folder_is_named_by_the_environment_else_the_checkout():
    assert deployments.writable_folder({"ACTP_DEPLOYMENTS_DIR": "/somewhere"}) == Path("/somewhere")
    assert deployments.writable_folder({}) == Path(__file__).parents[2] / "deployments"


def test_the_live_contracts_of_agirails_are_in_the_book():
    live = AddressBook(84532, LIVE_GENESIS[84532]).get("agirails-g1")
    assert live.generation == "G1"
    assert live.kernel == "0x9d25A874f046185d9237Cd4954C88D2B74B0021b"
    assert live.vault == "0x7dF07327090efcA73DCBa70414aA3131Fc6d2efB"
    assert live.token == "0x444b4e1A65949AB2ac75979D5d0166Eb7A248Ccb"
    assert live.contracts["ACTPKernel"].block == 41725686


def test_the_live_contracts_are_found_though_own_ones_are_written_elsewhere(tmp_path):
    own = book(tmp_path, 84532, LIVE_GENESIS[84532])
    own.put(DEPLOYMENT)
    assert book(tmp_path, 84532, LIVE_GENESIS[84532]).names() == ["actp-escrow", "agirails-g1"]


def test_a_book_in_the_working_directory_cannot_rename_the_live_contracts(tmp_path):
    shipped = book(tmp_path, 84532, LIVE_GENESIS[84532]).get("agirails-g1")
    forged = replace(shipped, contracts={**shipped.contracts, "EscrowVault": CONTRACT})
    content = {"chainId": 84532, "genesis": LIVE_GENESIS[84532], "deployments": {"agirails-g1": to_json(forged)}}
    (tmp_path / "84532.json").write_text(json.dumps(content))
    assert book(tmp_path, 84532, LIVE_GENESIS[84532]).get("agirails-g1") == shipped
    with pytest.raises(ConfigError, match="comes with this package"):
        book(tmp_path, 84532, LIVE_GENESIS[84532]).put(forged)


def test_shipped_deployments_are_not_copied_into_ones_own_book(tmp_path):
    book(tmp_path, 84532, LIVE_GENESIS[84532]).put(DEPLOYMENT)
    assert list(json.loads((tmp_path / "84532.json").read_text())["deployments"]) == ["actp-escrow"]


def test_no_entry_is_lost_when_many_write(tmp_path):
    def write(writer):
        own = book(tmp_path)
        for number in range(10):
            own.put(replace(DEPLOYMENT, name=f"{writer}-{number}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert len(book(tmp_path).names()) == 60


def test_the_rename_is_on_disk_before_put_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").resolve()))
    book(tmp_path).put(DEPLOYMENT)
    assert synced[-1] == tmp_path


@pytest.mark.parametrize("text", ['{"someone": "else"}', '{"genesis": "0x01", "chainId": 31337}', "{}", "[]"])
def test_the_file_of_another_tool_is_not_overwritten(tmp_path, text):
    file = tmp_path / "31337.json"
    own = book(tmp_path)
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"31337\.json"):
        own.require_writable()
    with pytest.raises(ConfigError, match=r"31337\.json"):
        own.put(DEPLOYMENT)
    assert file.read_text() == text


def test_a_plan_with_a_nonce_that_is_none_is_damage(tmp_path):
    book(tmp_path).put(DEPLOYMENT)
    file = tmp_path / "31337.json"
    file.write_text(file.read_text().replace('"nonce": 3', '"nonce": "abc"'))
    with pytest.raises(ConfigError, match="damaged"):
        book(tmp_path)


@pytest.mark.parametrize("mixed_up", ["token", "ACTPKernel", "EscrowVault"])
def test_contracts_that_do_not_belong_together_are_refused(chain, deployed, accounts, mixed_up):
    deployments.verify(chain, deployed)
    sender = Sender(chain, LocalSigner(accounts[9].private_key), chain_id=31337)
    economics = (100, 500, 500, 50_000, 1_000_000)
    people = (accounts[9].address,) * 3
    if mixed_up == "token":
        receipt = sender.send(None, artifacts.load("TestUSDC").creation_code())
        other = replace(deployed.without("TestUSDC"), token=receipt.contract_address)
    else:
        args = {
            "ACTPKernel": (*people, ZERO_ADDRESS, deployed.token, economics),
            "EscrowVault": (deployed.token, accounts[1].address),
        }[mixed_up]
        receipt = sender.send(None, artifacts.load(mixed_up).creation_code(args))
        other = deployed.with_contract(mixed_up, Contract(receipt.contract_address))
    with pytest.raises(ArtifactMismatch, match="the address book says"):
        deployments.verify(chain, other)


@pytest.fixture
def vault(chain, accounts):
    """A deployed vault and its record."""
    sender = Sender(chain, LocalSigner(accounts[9].private_key), chain_id=31337)
    args = (KERNEL, VAULT)
    receipt = sender.send(None, artifacts.load("EscrowVault").creation_code(args))
    code = deployments.code_at(chain, receipt.contract_address, "EscrowVault")
    return Contract(receipt.contract_address, receipt.tx_hash, receipt.block_number, args, deployments.code_hash(code))


def deployment_of(name: str, contract: Contract) -> Deployment:
    return Deployment("test", "", None, {name: contract})


def test_contracts_are_checked_against_the_chain(chain, vault):
    deployments.verify(chain, deployment_of("EscrowVault", vault))
    with pytest.raises(ArtifactMismatch, match="not the code that was deployed"):
        deployments.verify(chain, deployment_of("EscrowVault", replace(vault, code_hash="0x" + "00" * 32)))
    with pytest.raises(ArtifactMismatch, match="another version"):
        deployments.verify(chain, deployment_of("ACTPKernel", vault))
    with pytest.raises(NoCode, match=KERNEL):
        deployments.verify(chain, deployment_of("EscrowVault", replace(vault, address=KERNEL)))


def test_contracts_of_others_only_need_code(chain, vault):
    deployments.verify(chain, deployment_of("ACTPKernel", replace(vault, code_hash=None)))
    with pytest.raises(NoCode):
        deployments.verify(chain, deployment_of("ACTPKernel", Contract(KERNEL)))


def test_the_rpc_url_is_given_or_from_the_environment_or_the_usual_one():
    environ = {"ETH_RPC_URL": "http://from-environment"}
    assert rpc_url(Network.ANVIL, "http://given", environ) == RpcUrl("http://given")
    assert rpc_url(Network.ANVIL, None, environ) == RpcUrl("http://from-environment", "ETH_RPC_URL")
    assert rpc_url(Network.ANVIL, None, {}) == RpcUrl("http://127.0.0.1:8545")
    assert rpc_url(Network.BASE_SEPOLIA, None, {}) == RpcUrl("https://sepolia.base.org")
    assert "from-environment" not in repr(rpc_url(Network.ANVIL, None, environ))
