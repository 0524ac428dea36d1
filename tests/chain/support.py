"""What the tests of the chains share: signing, deploying, and a few contracts written in bytes."""

from __future__ import annotations

import time
from typing import Any

from eth_account import Account
from eth_utils import to_checksum_address

from actp.chain import DevAccount
from actp.rpc import Transport

GWEI = 10**9

ENVIRONMENT = "0x425f52436020524860405260605ff3"
"""Init code that returns TIMESTAMP, NUMBER and BASEFEE as three words."""

# for (i = 0; i < calldata word; i++) log2(no data, caller, i)
_EMITTER = "5f5b5f358110156015578033" + "5f5fa26001016001565b00"
EMITTER = "0x60178060095f395ff3" + _EMITTER
"""Init code of a contract that emits as many logs as the word in its call data says: topics caller and i."""


def forwarder(inner: str) -> str:
    """Init code of a contract that passes its call data on to `inner`, and reverts if that fails."""
    runtime = f"365f5f375f5f365f5f73{inner[2:]}5af11560255700" + "5b5f5ffd"
    return f"0x60{len(runtime) // 2:02x}8060095f395ff3{runtime}"


def quantity(value: str) -> int:
    return int(value, 16)


def word(value: int | str) -> str:
    """A number or an address as 32-byte 0x string."""
    return f"0x{value if isinstance(value, int) else int(value, 16):064x}"


def environment(node: Transport, block: str) -> tuple[int, int]:
    """Timestamp and number of the block that a call at `block` sees."""
    answer = node.request("eth_call", [{"data": ENVIRONMENT}, block])
    return int(answer[2:66], 16), int(answer[66:130], 16)


def reverting(data: str) -> str:
    """Init code that reverts with this data (at most 255 bytes of hex)."""
    size = len(data) // 2
    return f"0x60{size:02x}8060095f395ffd{data}"


def sign(node: Transport, account: DevAccount, **fields: Any) -> str:
    """A signed transaction as 0x string: one wei to the zero address unless `fields` say otherwise."""
    transaction: dict[str, Any] = {
        "chainId": quantity(node.request("eth_chainId", [])),
        "nonce": nonce(node, account.address),
        "to": "0x" + "11" * 20,
        "value": 1,
        "gas": 21_000,
        **({} if "gasPrice" in fields else {"maxFeePerGas": 5 * GWEI, "maxPriorityFeePerGas": GWEI}),
        **fields,
    }
    present = {name: value for name, value in transaction.items() if value is not None}
    return str(Account.from_key(account.private_key).sign_transaction(present).raw_transaction.to_0x_hex())


def nonce(node: Transport, address: str, block: str = "latest") -> int:
    return quantity(node.request("eth_getTransactionCount", [address, block]))


def send(node: Transport, account: DevAccount, **fields: Any) -> dict[str, Any]:
    """Sends what `sign` signs, and returns the receipt."""
    return receipt_of(node, node.request("eth_sendRawTransaction", [sign(node, account, **fields)]))


def receipt_of(node: Transport, tx_hash: str) -> dict[str, Any]:
    """The receipt, which anvil has a moment after it took the transaction."""
    give_up_at = time.monotonic() + 10
    while (receipt := node.request("eth_getTransactionReceipt", [tx_hash])) is None:
        assert time.monotonic() < give_up_at, "the transaction was not mined"
        time.sleep(0.005)
    return dict(receipt)


def deploy(node: Transport, account: DevAccount, code: str | bytes) -> str:
    """Deploys init code and returns the contract's address."""
    receipt = send(node, account, to=None, value=0, data=code, gas=5_000_000)
    assert receipt["status"] == "0x1"
    return str(to_checksum_address(receipt["contractAddress"]))


def latest(node: Transport) -> dict[str, Any]:
    return dict(node.request("eth_getBlockByNumber", ["latest", False]))
