"""Deploys committed artifacts on a chain and calls them: only what the token tests need, over plain JSON-RPC."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eth_abi.abi import decode
from web3 import Web3

from actp.chain import DevAccount, EmbeddedChain
from actp.errors import RpcError

ARTIFACTS = Path(__file__).resolve().parents[2] / "contracts" / "artifacts"
ABI_ONLY = Web3()


class Event(NamedTuple):
    name: str
    values: dict[str, Any]


class Contract:
    """One deployed contract. Functions are named (`"mint"`), or given as signatures where the name is overloaded."""

    def __init__(self, chain: EmbeddedChain, address: str, abi: Sequence[Any]) -> None:
        self.chain = chain
        self.address = Web3.to_checksum_address(address)
        self.abi = ABI_ONLY.eth.contract(address=self.address, abi=abi)

    def data(self, function: str, *args: Any) -> str:
        """Calldata as hex."""
        return str(self.abi.encode_abi(function, args=args))

    def read(self, function: str, *args: Any, sender: DevAccount | None = None) -> Any:
        """Result of a call that changes nothing; raises RpcError when it reverts."""
        call = {"to": self.address, "data": self.data(function, *args)}
        answer = self.chain.request("eth_call", [call | ({"from": sender.address} if sender else {}), "latest"])
        element = self.abi.get_function_by_selector(call["data"][:10]).abi
        values = decoded([output["type"] for output in element["outputs"]], bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values

    def send(self, function: str, *args: Any, sender: DevAccount) -> list[Event]:
        """Send a call that must succeed; return the events that this contract emitted."""
        receipt = transact(self.chain, sender, self.address, self.data(function, *args))
        assert receipt["status"] == "0x1", f"{function} reverted"
        return [self._event(log) for log in receipt["logs"] if log["address"].lower() == self.address.lower()]

    def refusal(self, function: str, *args: Any, sender: DevAccount) -> tuple[Any, ...]:
        """Name and arguments of the custom error that this contract answers a call with; the call must revert."""
        try:
            self.read(function, *args, sender=sender)
        except RpcError as error:
            return self.error(error.data)
        raise AssertionError(f"{function} did not revert")

    def error(self, data: Any) -> tuple[Any, ...]:
        raw = bytes.fromhex(str(data)[2:])
        for element in self.abi.abi:
            if element["type"] == "error":
                types = [item["type"] for item in element["inputs"]]
                if raw[:4] == Web3.keccak(text=f"{element['name']}({','.join(types)})")[:4]:
                    return (element["name"], *decoded(types, raw[4:]))
        raise AssertionError(f"no error of this contract: {data}")

    def _event(self, log: dict[str, Any]) -> Event:
        for element in self.abi.abi:
            if element["type"] == "event":
                types = [item["type"] for item in element["inputs"]]
                if log["topics"][0] == Web3.to_hex(Web3.keccak(text=f"{element['name']}({','.join(types)})")):
                    topics, rest = iter(log["topics"][1:]), [i["type"] for i in element["inputs"] if not i["indexed"]]
                    plain = iter(decoded(rest, bytes.fromhex(log["data"][2:])))
                    values = {
                        item["name"]: decoded([item["type"]], bytes.fromhex(next(topics)[2:]))[0]
                        if item["indexed"]
                        else next(plain)
                        for item in element["inputs"]
                    }
                    return Event(element["name"], values)
        raise AssertionError(f"no event of this contract: {log}")


def decoded(types: list[str], data: bytes) -> tuple[Any, ...]:
    """ABI values, with addresses as checksummed text."""
    values = zip(types, decode(types, data), strict=True)
    return tuple(Web3.to_checksum_address(value) if kind == "address" else value for kind, value in values)


def artifact(name: str) -> dict[str, Any]:
    """Artifact of a contract, be it shipped or only for tests."""
    shipped = ARTIFACTS / f"{name}.json"
    path = shipped if shipped.is_file() else ARTIFACTS / "test" / f"{name}.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def transact(
    chain: EmbeddedChain, sender: DevAccount, to: str | None, data: str, gas: int = 5_000_000
) -> dict[str, Any]:
    """Send and return the receipt, whatever its status."""
    call = {"from": sender.address, "data": data, "gas": hex(gas)} | ({"to": to} if to else {})
    tx_hash = chain.request("eth_sendTransaction", [call])
    receipt: dict[str, Any] = chain.request("eth_getTransactionReceipt", [tx_hash])
    return receipt


def deployer(chain: EmbeddedChain, owner: DevAccount) -> Callable[..., Contract]:
    """A function that deploys an artifact by name, with constructor arguments, as `owner`."""

    def deploy(name: str, *args: Any) -> Contract:
        made = artifact(name)
        code = made["bytecode"]["object"]
        if args:
            code = ABI_ONLY.eth.contract(abi=made["abi"], bytecode=code).constructor(*args).data_in_transaction
        receipt = transact(chain, owner, None, code)
        assert receipt["status"] == "0x1", f"deployment of {name} reverted"
        return Contract(chain, receipt["contractAddress"], made["abi"])

    return deploy
