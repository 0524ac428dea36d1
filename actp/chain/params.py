"""Reading JSON-RPC parameters: every malformed one is refused with code -32602 and says which one it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actp.errors import RpcError

__all__ = [
    "INVALID_PARAMS",
    "BlockRef",
    "Params",
    "invalid_params",
    "to_address",
    "to_bytes",
    "to_hash",
    "to_list",
    "to_quantity",
]

INVALID_PARAMS = -32602

TAGS = ("latest", "pending", "earliest", "safe", "finalized")


def invalid_params(message: str) -> RpcError:
    """The error of a call whose parameters make no sense."""
    return RpcError(INVALID_PARAMS, message)


def to_bytes(value: Any, what: str) -> bytes:
    """Bytes of a 0x string of any even length."""
    if not isinstance(value, str) or value[:2] not in ("0x", "0X"):
        raise invalid_params(f"{what}: expected 0x-prefixed hex data, got {value!r}")
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise invalid_params(f"{what}: {value!r} is not hex data of whole bytes") from None


def to_address(value: Any, what: str) -> bytes:
    """The 20 bytes of an address; upper and lower case are not checked, as in any node."""
    address = to_bytes(value, what)
    if len(address) != 20:
        raise invalid_params(f"{what}: an address has 20 bytes, got {len(address)}")
    return address


def to_hash(value: Any, what: str) -> str:
    """A 32-byte hash as lower-case 0x string."""
    hash_bytes = to_bytes(value, what)
    if len(hash_bytes) != 32:
        raise invalid_params(f"{what}: a hash has 32 bytes, got {len(hash_bytes)}")
    return "0x" + hash_bytes.hex()


def to_list(value: Any, what: str) -> Sequence[Any]:
    """A JSON list."""
    if not isinstance(value, list | tuple):
        raise invalid_params(f"{what}: expected a list, got {value!r}")
    return value


def to_quantity(value: Any, what: str) -> int:
    """A non-negative integer below 2**256, given as 0x string or, as nodes tolerate it, as JSON number."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value[:2] in ("0x", "0X"):
        try:
            number = int(value[2:], 16)
        except ValueError:
            raise invalid_params(f"{what}: {value!r} is not a hex quantity") from None
    else:
        raise invalid_params(f"{what}: expected a hex quantity, got {value!r}")
    if not 0 <= number < 2**256:
        raise invalid_params(f"{what}: {value!r} is outside of 0 .. 2**256 - 1")
    return number


@dataclass(frozen=True)
class BlockRef:
    """Which block a call is about: exactly one of a tag, a number and a hash."""

    tag: str | None = None
    number: int | None = None
    hash: str | None = None

    @classmethod
    def parse(cls, value: Any, what: str) -> BlockRef:
        """From a tag, a quantity or an EIP-1898 object (`blockHash` or `blockNumber`)."""
        if isinstance(value, Mapping):
            if "blockHash" in value:
                return cls(hash=to_hash(value["blockHash"], f"{what}.blockHash"))
            if "blockNumber" in value:
                return cls(number=to_quantity(value["blockNumber"], f"{what}.blockNumber"))
            raise invalid_params(f"{what}: expected blockHash or blockNumber")
        if isinstance(value, str) and value in TAGS:
            return cls(tag=value)
        return cls(number=to_quantity(value, what))


class Params:
    """The positional parameters of one call."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def raw(self, index: int, default: Any = ...) -> Any:
        """The value as it came; a missing one or null is `default`, or refused where there is none."""
        if index < len(self._values) and self._values[index] is not None:
            return self._values[index]
        if default is ...:
            raise invalid_params(f"missing value for required argument {index}")
        return default

    def data(self, index: int) -> bytes:
        return to_bytes(self.raw(index), f"argument {index}")

    def address(self, index: int) -> bytes:
        return to_address(self.raw(index), f"argument {index}")

    def hash(self, index: int) -> str:
        return to_hash(self.raw(index), f"argument {index}")

    def quantity(self, index: int) -> int:
        return to_quantity(self.raw(index), f"argument {index}")

    def flag(self, index: int, default: bool) -> bool:
        value = self.raw(index, default)
        if not isinstance(value, bool):
            raise invalid_params(f"argument {index}: expected true or false, got {value!r}")
        return value

    def block(self, index: int) -> BlockRef:
        """The block a read is about, `latest` where the caller named none."""
        return BlockRef.parse(self.raw(index, "latest"), f"argument {index}")

    def object(self, index: int) -> Mapping[str, Any]:
        value = self.raw(index)
        if not isinstance(value, Mapping):
            raise invalid_params(f"argument {index}: expected an object, got {value!r}")
        return value
