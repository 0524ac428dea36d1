from concurrent.futures import ThreadPoolExecutor

import pytest

from actp import artifacts
from actp.chain.anvil import AnvilProcess
from actp.engine import Sender
from actp.rpc import HttpTransport
from actp.signers import LocalSigner

TOKEN = artifacts.load("TestUSDC")
THREADS = 50
PAYEE = "0x" + "05" * 20


def pay_from_many_threads(transport, chain_id, token, accounts):
    """50 mints, from two senders per account, all at the same time; returns the receipts."""
    senders = [
        Sender(transport, LocalSigner(account.private_key), chain_id=chain_id)
        for account in accounts
        for _ in range(2)
    ]  # fmt: skip
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [
            pool.submit(senders[index % len(senders)].send, token, TOKEN.call_data("mint", [PAYEE, index + 1]))
            for index in range(THREADS)
        ]
        return [job.result(timeout=120) for job in jobs]


def check(transport, token, receipts):
    assert len({receipt.tx_hash for receipt in receipts}) == THREADS
    data = "0x" + TOKEN.call_data("balanceOf", [PAYEE]).hex()
    held = int(transport.request("eth_call", [{"to": token, "data": data}, "latest"]), 16)
    assert held == THREADS * (THREADS + 1) // 2


@pytest.mark.slow
def test_fifty_threads_share_one_account_on_the_embedded_chain(chain, accounts, token):
    check(chain, token, pay_from_many_threads(chain, 31337, token, accounts[:1]))


@pytest.mark.slow
def test_fifty_threads_share_many_accounts_on_the_embedded_chain(chain, accounts, token):
    check(chain, token, pay_from_many_threads(chain, 31337, token, accounts[:5]))


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.parametrize("block_time", [None, 1])
@pytest.mark.parametrize("shared_by", [1, 10])
@pytest.mark.usefixtures("session_anvil")
def test_fifty_threads_send_to_anvil(accounts, block_time, shared_by):
    with AnvilProcess(block_time=block_time) as anvil:
        transport = HttpTransport(anvil.url)
        deployer = Sender(transport, LocalSigner(accounts[0].private_key), chain_id=31337)
        token = deployer.send(None, TOKEN.creation_code()).contract_address
        check(transport, token, pay_from_many_threads(transport, 31337, token, accounts[:shared_by]))
