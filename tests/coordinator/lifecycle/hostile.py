"""What the tests of faults share: what strangers and thieves do, and what has to follow."""

from __future__ import annotations

from typing import Any

import pytest

from actp import artifacts
from actp.chain import DevAccount, dev_accounts
from actp.signers import LocalSigner
from actp.types import EthTransaction
from actp.units import to_checksum
from coordinator.errors import AgentPaused
from coordinator.lifecycle import Lifecycle
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import Report, verify
from coordinator.store import journal
from coordinator.types import Operation, Stage
from tests.coordinator.lifecycle.support import PAYEE, House

GUARD = "delta guard"
MINTER, THIEF, STRANGER = dev_accounts()[4:7]
GAS = 300_000
UNSIGNED = (Stage.PENDING, Stage.SIMULATING, Stage.SIGNING)


class Party:
    """Somebody who signs for himself, beside the lifecycle. What he sends is mined at once, unless the node is told not
    to mine.
    """

    def __init__(self, house: House, account: DevAccount) -> None:
        self.address = account.address
        self._node = house.chain
        self._signer = LocalSigner(account.private_key)

    def call(self, to: str, function: str, *arguments: Any, artifact: str = "TestUSDC", tip: int = 1) -> str:
        """Calls a contract, by default a token; the hash."""
        return self.send(to, artifacts.load(artifact).call_data(function, list(arguments)), tip=tip)

    def pay(self, to: str, wei: int, *, tip: int = 1) -> str:
        """Pays ether; the hash."""
        return self.send(to, value=wei, tip=tip)

    def deploy(self, artifact: str) -> str:
        """The address of a new contract."""
        tx_hash = self.send(None, artifacts.load(artifact).creation_code())
        return to_checksum(self._node.request("eth_getTransactionReceipt", [tx_hash])["contractAddress"])

    def nonce(self) -> int:
        """The next one."""
        return int(self._node.request("eth_getTransactionCount", [self.address, "pending"]), 16)

    def send(self, to: str | None, data: bytes = b"", value: int = 0, tip: int = 1) -> str:
        """Any eth transaction; the hash."""
        raw = self.sign(to, data, value, tip)
        return str(self._node.request("eth_sendRawTransaction", ["0x" + raw.hex()]))

    def sign(self, to: str | None, data: bytes = b"", value: int = 0, tip: int = 1) -> bytes:
        """The bytes of an eth transaction that is not sent."""
        gas = 3_000_000 if to is None else GAS
        fields = EthTransaction(self._node.chain_id, self.nonce(), to, value, data, gas, tip * 10**11, tip * 10**9)
        return self._signer.sign_transaction(fields)


def settle(lifecycle: Lifecycle, rounds: int = 4) -> None:
    """Some rounds."""
    for _ in range(rounds):
        lifecycle.step()


def kinds(house: House, lifecycle: Lifecycle, severity: str | None = "breach") -> list[str]:
    """The kinds of what was found, sorted."""
    return sorted(one.kind for one in house.findings(lifecycle, severity))


def signed(house: House) -> int:
    """How many eth transactions of the treasury the node knows."""
    return int(house.chain.request("eth_getTransactionCount", [house.wallet, "pending"]), 16)


def proved(house: House, lifecycle: Lifecycle, operation: Operation) -> Report:
    """The operation has a proof that names its end, and all proofs of the treasury verify against the chain."""
    last = [one for one in lifecycle.proofs_of(operation.id) if one.kind == "proof"][-1]
    outcome = "confirmed" if operation.stage is Stage.CONFIRMED else "failed"
    assert f'"outcome":"{outcome}"'.encode() in last.head
    answer = lifecycle.response(operation)["data"]["executionProof"]
    assert answer["proofHash"] == last.proof_hash
    report = verify(write_document(house.proofs(lifecycle)), house.chain, signer=lifecycle.proof_address)
    assert report.wrong == (), report.wrong
    return report


def breach_stops(house: House, lifecycle: Lifecycle, found: list[str], agent: str | None = None) -> None:
    """What was just mined is found before anything more is signed; who is stopped (`agent`, else the whole treasury)
    stays so with a reason that can be read, until somebody resumes.
    """
    who = agent or "ann"
    waiting = house.pay(lifecycle, 3, agent=who, key="after the fault")
    before = signed(house)
    settle(lifecycle)
    assert signed(house) == before, "something was signed after the breach was mined"
    assert lifecycle.find(waiting.id).stage in UNSIGNED
    assert kinds(house, lifecycle) == found
    pauses = {one.agent: one for one in lifecycle.paused()}
    assert set(pauses) == {agent}
    reason = pauses[agent].reason
    assert pauses[agent].by == GUARD
    assert reason in {one.detail["message"] for one in house.findings(lifecycle)}
    with lifecycle.ledger.read() as connection:
        entries = [one.entry for one in journal.listed(connection, house.key)]
    (paused,) = [one for one in entries if one.event == "paused"]
    assert (paused.agent, paused.detail) == (agent or "", {"by": GUARD, "reason": reason})
    with pytest.raises(AgentPaused) as refused:
        house.pay(lifecycle, 4, agent=who)
    assert reason in refused.value.message
    goes_on(house, lifecycle, waiting, agent)


def goes_on(house: House, lifecycle: Lifecycle, waiting: Operation, agent: str | None) -> None:
    """Once somebody has resumed, what waited is carried out, and only once."""
    before = house.paid()
    assert lifecycle.resume(agent, by="boss", reason="looked into it")
    done = house.done(lifecycle, waiting)
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    assert house.paid() == before + 3
    assert lifecycle.paused() == []
    proved(house, lifecycle, done)


def nothing_stops(house: House, lifecycle: Lifecycle, agent: str = "ann") -> None:
    """Nobody is paused, no breach was found, and the next operation is carried out."""
    settle(lifecycle)
    assert lifecycle.paused() == []
    assert kinds(house, lifecycle) == []
    before = house.paid()
    done = house.done(lifecycle, house.pay(lifecycle, 3, agent=agent))
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    assert house.paid(PAYEE) == before + 3
    proved(house, lifecycle, done)
