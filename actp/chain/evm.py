"""The virtual machine: py-evm with the genesis of eth-tester, without any JSON-RPC.

eth-tester's own block and receipt queries look at every block of the chain for each answer, and it can neither hold
back a transaction nor answer at a block hash. So eth-tester sets the chain up, py-evm executes, and the ledger beside
this module remembers what was mined.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]  # ships no types
from eth.exceptions import PyEVMError, Revert, VMError
from eth.vm.spoof import SpoofTransaction
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from eth_keys.exceptions import BadSignature
from eth_tester.backends.pyevm.main import PyEVMBackend  # type: ignore[import-untyped]  # ships no types
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # ships no types

from actp.chain.dev import DEV_BALANCE, DEV_HD_PATH, DEV_MNEMONIC

__all__ = ["BLOCK_GAS_LIMIT", "MAX_INIT_CODE_BYTES", "BuiltBlock", "Call", "CallResult", "Evm", "gas_floor"]

BLOCK_GAS_LIMIT = 30_000_000
MAX_INIT_CODE_BYTES = 49_152

_BASE_GAS = 21_000
_CREATION_GAS = 32_000
_INIT_CODE_GAS_PER_WORD = 2
_ACCESS_ADDRESS_GAS = 2_400
_ACCESS_SLOT_GAS = 1_900
_TOKENS_PER_NON_ZERO_BYTE = 4
_GAS_PER_TOKEN = 4
_FLOOR_GAS_PER_TOKEN = 10


@dataclass(frozen=True)
class Call:
    """A message to simulate; `to` is empty for a deployment, `value` is in wei."""

    sender: bytes
    to: bytes
    data: bytes
    value: int
    gas: int
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class CallResult:
    """What a simulation returned.

    `gas_spent` is before refunds; `error` is None on success, `reverted` tells a revert from an EVM error.
    """

    output: bytes
    gas_spent: int
    error: str | None
    reverted: bool


@dataclass(frozen=True)
class BuiltBlock:
    """A mined block with its receipts (in the order of its transactions), and the invalid transactions left out."""

    block: Any
    receipts: tuple[Any, ...]
    refused: tuple[Any, ...]


AccessList = Sequence[tuple[bytes, Sequence[int]]]


def gas_floor(to: bytes, call_data: bytes, access_list: AccessList) -> int:
    """Gas below which a message cannot be sent: its intrinsic gas, or the call data floor of EIP-7623."""
    zeros = call_data.count(0)
    tokens = zeros + _TOKENS_PER_NON_ZERO_BYTE * (len(call_data) - zeros)
    creation = 0 if to else _CREATION_GAS + _INIT_CODE_GAS_PER_WORD * ((len(call_data) + 31) // 32)
    access = sum(_ACCESS_ADDRESS_GAS + _ACCESS_SLOT_GAS * len(slots) for _, slots in access_list)
    return _BASE_GAS + max(creation + access + _GAS_PER_TOKEN * tokens, _FLOOR_GAS_PER_TOKEN * tokens)


class Evm:
    """One chain's state database and rules (Prague). Not thread-safe."""

    def __init__(self, *, chain_id: int, timestamp: int) -> None:
        # Random bytes in the genesis make every chain recognisable: an address book that was written for an
        # earlier one must not pass for this one's.
        genesis = {
            **PyEVMBackend.generate_genesis_params(),
            "gas_limit": BLOCK_GAS_LIMIT,
            "timestamp": timestamp,
            "extra_data": secrets.token_bytes(16),
        }
        backend = PyEVMBackend.from_mnemonic(
            DEV_MNEMONIC,
            genesis_state_overrides={"balance": DEV_BALANCE},
            genesis_parameters=genesis,
            hd_path=DEV_HD_PATH,
        )
        self._chain = backend.chain
        # eth-tester builds a new chain class for each chain, so this id reaches no other one.
        type(self._chain).chain_id = chain_id
        self.chain_id = chain_id
        self.genesis: Any = self._chain.get_canonical_block_by_number(0)

    def header_after(self, parent: Any, timestamp: int) -> Any:
        """The header of the block that would follow `parent` at `timestamp`."""
        return self._chain.create_header_from_parent(
            parent, timestamp=timestamp, mix_hash=keccak(b"prevrandao" + parent.hash)
        )

    def state_at(self, header: Any) -> Any:
        """The accounts as they are under `header`: after a mined block, or before the transactions of the next."""
        return self._chain.get_vm(at_header=header).state

    def build(self, header: Any, transactions: Sequence[Any]) -> BuiltBlock:
        """Mines a block with the transactions in their order, up to its gas limit.

        An invalid one is left out and refused; later ones of its sender are left out only, since their turn may come.
        """
        vm = self._chain.get_vm(at_header=header)
        included: list[Any] = []
        receipts: list[Any] = []
        refused: dict[bytes, Any] = {}
        for transaction in transactions:
            if transaction.sender in refused:
                continue
            if header.gas_used + transaction.gas > header.gas_limit:
                break
            try:
                receipt, _ = vm.apply_transaction(header, transaction)
            except ValidationError:
                refused[transaction.sender] = transaction
                continue
            header = vm.add_receipt_to_header(header, receipt)
            included.append(transaction)
            receipts.append(receipt)
        filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, tuple(included), tuple(receipts))
        block = vm.mine_block(filled).block
        # The machine looks its ancestors up by hash, and nothing else: which block is canonical is the ledger's to
        # know, so that going back to a snapshot needs no reorganisation of py-evm's own index.
        self._chain.chaindb.db[block.hash] = rlp.encode(block.header)
        return BuiltBlock(block, tuple(receipts), tuple(refused.values()))

    def set_balance(self, header: Any, address: bytes, wei: int) -> Any:
        """The header with an account's balance replaced; the next block is to be built on it."""
        state = self.state_at(header)
        state.set_balance(address, wei)
        state.persist()
        return header.copy(state_root=state.state_root)

    def simulate(self, header: Any, call: Call) -> CallResult:
        """Executes a call on the state under `header`, free of charge, and forgets what it changed.

        Raises ValidationError where the sender lacks `call.value` or the gas does not cover the message itself.
        """
        vm = self._chain.get_vm(at_header=header.copy(base_fee_per_gas=0, gas_used=0))
        unsigned = self._builder.new_unsigned_dynamic_fee_transaction(
            self.chain_id,
            vm.state.get_nonce(call.sender),
            0,
            0,
            call.gas,
            call.to,
            call.value,
            call.data,
            call.access_list,
        )
        transaction = SpoofTransaction(unsigned, from_=call.sender)
        computation = vm.state.apply_transaction(transaction)
        gas_spent = call.gas - computation.get_gas_remaining()
        if not computation.is_error:
            return CallResult(computation.output, gas_spent, None, reverted=False)
        error = computation.error
        if isinstance(error, Revert):
            return CallResult(computation.output, gas_spent, "execution reverted", reverted=True)
        return CallResult(b"", gas_spent, _describe(error), reverted=False)

    def decode(self, raw: bytes) -> Any:
        """A signed transaction from its bytes; raises ValueError for anything else."""
        try:
            transaction = self._builder.decode(raw)
            # An address cannot be recovered from a malformed signature.
            _ = transaction.sender
        except (ValidationError, BadSignature, RLPException, PyEVMError, TypeError) as error:
            raise ValueError(str(error) or type(error).__name__) from error
        return transaction

    def sign(self, private_key: str, *, nonce: int, call: Call, max_fee: int, max_priority_fee: int) -> Any:
        """A transaction of type 2 with its signature; fees are in wei per gas."""
        unsigned = self._builder.new_unsigned_dynamic_fee_transaction(
            self.chain_id,
            nonce,
            max_priority_fee,
            max_fee,
            call.gas,
            call.to,
            call.value,
            call.data,
            call.access_list,
        )
        key = PrivateKey(bytes.fromhex(private_key.removeprefix("0x")))
        # py-evm signs with the class of the rule set that introduced the type, which a Prague block cannot encode.
        return self.decode(unsigned.as_signed_transaction(key).encode())

    @property
    def _builder(self) -> Any:
        return self._chain.get_transaction_builder()


def _describe(error: VMError) -> str:
    """An EVM error in the words of a node."""
    name = type(error).__name__
    known = {
        "OutOfGas": "out of gas",
        "InvalidInstruction": "invalid opcode",
        "InvalidJumpDestination": "invalid jump destination",
        "InsufficientStack": "stack underflow",
        "FullStack": "stack limit reached 1024",
        "StackDepthLimit": "max call depth exceeded",
        "WriteProtection": "write protection",
        "InsufficientFunds": "insufficient balance for transfer",
        "OutOfBoundsRead": "return data out of bounds",
        "ContractCreationCollision": "contract address collision",
        "ReservedBytesInCode": "invalid code: must not begin with 0xef",
    }
    return known.get(name, str(error) or name)
