"""The fixtures that other tests build on."""

from __future__ import annotations

from actp import artifacts
from actp.chain import DevAccount, EmbeddedChain
from actp.deployments import Deployment
from tests.chain.support import latest, quantity, send

Accounts = tuple[DevAccount, ...]


def ask(chain: EmbeddedChain, contract: str, address: str, function: str, *arguments: object) -> object:
    artifact = artifacts.load(contract)
    data = "0x" + artifact.call_data(function, arguments).hex()
    answer = chain.request("eth_call", [{"to": address, "data": data}, "latest"])
    return artifact.decode_result(function, bytes.fromhex(answer[2:]))[0]


def test_the_contracts_are_wired_and_the_vault_is_approved(
    chain: EmbeddedChain, deployed: Deployment, accounts: Accounts
) -> None:
    assert ask(chain, "ACTPKernel", deployed.kernel, "approvedEscrowVaults", deployed.vault) is True
    assert ask(chain, "ACTPKernel", deployed.kernel, "admin") == accounts[0].address
    assert ask(chain, "ACTPKernel", deployed.kernel, "USDC") == deployed.token
    assert ask(chain, "EscrowVault", deployed.vault, "kernel") == deployed.kernel


class TestIsolation:
    """Both tests find the chain as the deployment left it, whichever runs first."""

    def leave_traces(self, chain: EmbeddedChain, deployed: Deployment, accounts: Accounts) -> None:
        assert ask(chain, "TestUSDC", str(deployed.token), "totalSupply") == 0
        assert 0 <= chain.now() - quantity(latest(chain)["timestamp"]) < 3_600
        data = artifacts.load("TestUSDC").call_data("mint", [accounts[1].address, 5])
        assert send(chain, accounts[1], to=deployed.token, value=0, data=data, gas=100_000)["status"] == "0x1"
        assert ask(chain, "TestUSDC", str(deployed.token), "totalSupply") == 5
        chain.time_travel(10**6)

    def test_what_one_test_mints_another_does_not_see(
        self, chain: EmbeddedChain, deployed: Deployment, accounts: Accounts
    ) -> None:
        self.leave_traces(chain, deployed, accounts)

    def test_what_another_test_mints_this_one_does_not_see(
        self, chain: EmbeddedChain, deployed: Deployment, accounts: Accounts
    ) -> None:
        self.leave_traces(chain, deployed, accounts)
