"""The bytes of EIP-1559 eth transactions. No I/O, and nothing to import that is slow to load."""

from __future__ import annotations

from actp.types import EthTransaction

__all__ = ["payload_of", "signed_bytes", "unsigned_bytes", "value_of"]

_TYPE = b"\x02"
_BEFORE_VALUE = 6


def unsigned_bytes(payload: bytes) -> bytes:
    """What is hashed and signed, of an eth transaction with these fields (see `payload_of`)."""
    return _TYPE + _list(payload)


def signed_bytes(payload: bytes, signature: bytes) -> bytes:
    """The raw eth transaction. `signature` is 65 bytes: r, s, and the parity of y (0 or 1)."""
    r, s, parity = signature[:32], signature[32:64], signature[64]
    return _TYPE + _list(payload + _number(parity) + _string(r.lstrip(b"\0")) + _string(s.lstrip(b"\0")))


def payload_of(fields: EthTransaction) -> bytes:
    """The RLP items of all fields but the signature, with an empty access list."""
    return b"".join(
        (
            _number(fields.chain_id),
            _number(fields.nonce),
            _number(fields.max_priority_fee_per_gas),
            _number(fields.max_fee_per_gas),
            _number(fields.gas),
            _string(b"" if fields.to is None else bytes.fromhex(fields.to[2:])),
            _number(fields.value),
            _string(fields.data),
            b"\xc0",
        )
    )


def value_of(raw: bytes) -> int | None:
    """The wei that a raw eth transaction carries; None for one of another type. Raises IndexError if it breaks off."""
    if raw[:1] != _TYPE:
        return None
    position, _ = _item(raw, 1)
    for _ in range(_BEFORE_VALUE):
        _, position = _item(raw, position)
    start, end = _item(raw, position)
    return int.from_bytes(raw[start:end], "big")


def _item(data: bytes, position: int) -> tuple[int, int]:
    """Where the content of the RLP item at `position` begins and ends."""
    first = data[position]
    if first < 0x80:
        return position, position + 1
    short = first - (0x80 if first < 0xC0 else 0xC0)
    start = position + 1
    if short <= 55:
        return start, start + short
    size = short - 55
    return start + size, start + size + int.from_bytes(data[start : start + size], "big")


def _number(value: int) -> bytes:
    return _string(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _string(value: bytes) -> bytes:
    if len(value) == 1 and value[0] < 0x80:
        return value
    return _head(len(value), 0x80) + value


def _list(payload: bytes) -> bytes:
    return _head(len(payload), 0xC0) + payload


def _head(length: int, offset: int) -> bytes:
    if length <= 55:
        return bytes((offset + length,))
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((offset + 55 + len(size),)) + size
