"""A deployment of G1 that pays as the live ones do: fees leave with each payment, and refunds may cost a penalty. What
`g1.py` makes of our kernel has G1's functions, and our money rules.
"""

from __future__ import annotations

from actp import artifacts
from actp.deployments import G1_NAME, Contract, Deployment
from actp.engine import Sender
from actp.rpc import Transport
from actp.signers import LocalSigner
from actp.units import to_checksum

__all__ = ["deploy_public_g1"]


def deploy_public_g1(
    node: Transport, chain_id: int, private_key: str, token: str, fee_recipient: str, *, archive: bool = False
) -> Deployment:
    """A kernel and its vault for a token that is there. `archive`: the kernel shares its fees with an archive
    treasury.
    """
    kernel = artifacts.load("test/PublicKernel")
    sender = Sender(node, LocalSigner(private_key), chain_id=chain_id)
    receipt = sender.send(None, kernel.creation_code((token, fee_recipient, archive)))
    assert receipt.contract_address is not None
    data = "0x" + kernel.call_data("vault").hex()
    answer = node.request("eth_call", [{"to": receipt.contract_address, "data": data}, "latest"])
    contracts = {
        name: Contract(address, block=receipt.block_number)
        for name, address in (
            ("ACTPKernel", receipt.contract_address),
            ("EscrowVault", to_checksum("0x" + answer[-40:])),
            ("MockUSDC", token),
        )
    }
    return Deployment(G1_NAME, "G1", token, contracts)
