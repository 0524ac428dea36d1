"""Why a contract refused a call: one decoder for every node, over the errors of all our contracts.

Nodes put revert data in different places: in the `data` of a JSON-RPC error, inside a dict in there, as raw hex in the
message, or (eth-tester) as the repr of bytes in a string. `revert_data` finds it, `decode` reads it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from actp.errors import Outcome, Reverted, RpcError
from actp.types import State
from actp.units import keccak, to_checksum

__all__ = ["decode", "from_error", "named", "revert_data"]

_PANICS = {
    0x01: "an assertion failed",
    0x11: "an arithmetic overflow or underflow",
    0x12: "a division by zero",
    0x21: "a number that is no member of an enum",
    0x22: "wrongly encoded storage bytes",
    0x31: "pop from an empty array",
    0x32: "an array index out of bounds",
    0x41: "too much memory",
    0x51: "a call of a function that was never set",
}

_HINTS = {
    "AmountOutOfBounds": "Amounts are base units: 1 USDC is 1_000_000.",
    "BondNotPayable": "Approve the vault for the bond and hold enough tokens, or let someone post it with postBond.",
    "BondRefused": "The token refused to move the bond; the vault may need an allowance from the payer.",
    "CancellationLapsed": "Announce it again: it has to be carried out within a day after its notice.",
    "DeadlineOutOfBounds": "Deadlines are unix seconds of the chain's clock, in the future and within a year.",
    "DeadlinePassed": "Work is accepted up to the deadline only; undelivered work can now be refunded.",
    "DisputeNotTimedOut": "Wait for the time-out, or for a ruling.",
    "DisputeWindowOutOfBounds": "Windows are seconds, from one hour to thirty days.",
    "ERC20InsufficientAllowance": "Approve the spender for the missing amount first; the vault pulls the tokens.",
    "ERC20InsufficientBalance": "Send tokens to this account first.",
    "EscrowIdTaken": "Use the transaction id as escrow id.",
    "ConsentExpired": "Sign again, with a later validUntil.",
    "ConsentMissing": "This party has to sign the split, or to send it.",
    "InvalidArbiter": "Name somebody who is neither requester nor provider.",
    "InvalidTransition": "A step is missing or was taken already: create, fund, start, deliver, settle. Work that "
    "milestones have paid in full can only be settled.",
    "KernelIsPaused": "New money is refused while the kernel is paused; exits still work.",
    "NoticeRunning": "Wait until the notice has run out.",
    "NoCancellationAnnounced": "Call announceCancellation first, and wait for the notice.",
    "NotProvider": "Sign with the provider's key.",
    "NotRequester": "Sign with the requester's key.",
    "MilestoneNotLocked": "Each part of a schedule is paid or refunded once.",
    "NothingToWithdraw": "Nothing is owed to this account.",
    "RateTooHigh": "Lower the rate to its cap.",
    "ReceivedMismatch": "This token does not deliver what is sent, so it cannot be escrowed.",
    "RefundNotDue": "Wait until the deadline has passed (others than the requester: and its grace).",
    "SaltUsed": "The payment exists already: read it by this id.",
    "ScheduleAgreed": "Pay the parts of the schedule by their index (pay_milestone).",
    "SplitMismatch": "The parts must sum to what the escrow still holds.",
    "TokenPaused": "Try again when the token's owner has lifted the pause.",
    "UnknownTransaction": "Check the id, the network and the kernel.",
    "VaultNotApproved": "Use the vault that the kernel has approved.",
    "WindowClosed": "The time for disputes is over; the transaction can be settled.",
    "WindowOpen": "Only the requester may settle before the window ends.",
    "WrongState": "Read the state again: a step is missing, or somebody has moved it on.",
}

_HEX_DATA = re.compile(r"0x((?:[0-9a-fA-F]{2}){4,})")
_BYTES_REPR = re.compile(r"""(?<![\w\\])b(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_REASON = re.compile(r"(?:execution )?revert(?:ed)?(?: with reason string)?\s*:?\s*(.*)", re.IGNORECASE | re.DOTALL)
# Where nodes and libraries put the data, in the order in which they are believed.
_DATA_KEYS = ("data", "result", "return", "output", "error", "originalError")
_MAX_DEPTH = 5


@dataclass(frozen=True)
class _ErrorType:
    name: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    enums: tuple[str, ...]


def from_error(error: BaseException, *, outcome: Outcome | None = None, tx_hash: str | None = None) -> Reverted | None:
    """The typed error for a revert in whatever shape a node or library raised it, None if it is no revert."""
    if isinstance(error, Reverted):
        return error
    if isinstance(error, RpcError) and error.rpc_code != 3 and not _speaks_of_revert(error.message):
        return None
    data = revert_data(error)
    return None if data is None else decode(data, outcome=outcome, tx_hash=tx_hash, text=_reason(error))


def revert_data(source: object) -> bytes | None:
    """The revert data in an exception, a JSON-RPC error object, a string or bytes.

    Empty when it was a revert without data, None when it does not look like a revert at all.
    """
    found = _find(source, 0)
    if found is not None:
        return found
    return b"" if _speaks_of_revert(str(source)) else None


def decode(data: bytes, *, outcome: Outcome | None = None, tx_hash: str | None = None, text: str = "") -> Reverted:
    """The typed error for revert data. `text` is the node's own reason, used when the data says nothing.

    Custom errors are named as in the contracts, a plain require is "Error", a compiler check "Panic", an error of no
    contract of ours is named by its selector (0x........), and one without data "EmptyRevert".
    """
    raw = "0x" + data.hex()
    known = _error_types().get(data[:4]) if len(data) >= 4 else None
    values = None if known is None else _values(known, data[4:])
    if known is not None and values is not None:
        message = _message_of_builtin(known.name, values) if known.name in ("Error", "Panic") else ""
        state = next((values[name] for name, enum in zip(known.names, known.enums, strict=True) if enum), None)
        return Reverted(
            known.name, values, raw=raw, message=message, hint=_HINTS.get(known.name, ""), outcome=outcome,
            tx_hash=tx_hash, state=state,
        )  # fmt: skip
    if not data:
        message = f"The contract refused: {text}" if text else "The contract refused the call and gave no reason."
        name, arguments = ("Error", {"message": text}) if text else ("EmptyRevert", {})
        return Reverted(name, arguments, raw=raw, message=message, outcome=outcome, tx_hash=tx_hash)
    name = "0x" + data[:4].hex()
    return Reverted(
        name, raw=raw, message=f"The contract refused the call with an error that is not known here: {raw}",
        hint="It comes from a contract or token that is not part of this package.", outcome=outcome, tx_hash=tx_hash,
    )  # fmt: skip


def named(selector: str) -> tuple[str, str]:
    """Name and hint of the error with this selector (0x and 8 hex digits); the selector itself if it is not known."""
    known = _error_types().get(bytes.fromhex(selector[2:]))
    return (selector, "") if known is None else (known.name, _HINTS.get(known.name, ""))


@cache
def _error_types() -> dict[bytes, _ErrorType]:
    from actp import artifacts

    builtin: list[dict[str, Any]] = [
        {"name": "Error", "inputs": [{"name": "message", "type": "string"}]},
        {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
    ]
    declared = [entry for artifact in artifacts.load_all() for entry in artifact.abi if entry["type"] == "error"]
    table = {}
    for entry in [*declared, *builtin]:
        signature = artifacts.signature_of(entry)
        inputs = entry["inputs"]
        table[keccak(signature.encode())[:4]] = _ErrorType(
            name=entry["name"],
            names=tuple(part["name"] or f"value{index}" for index, part in enumerate(inputs)),
            types=tuple(part["type"] for part in inputs),
            enums=tuple("State" if str(part.get("internalType", "")).endswith(".State") else "" for part in inputs),
        )
    return table


def _values(known: _ErrorType, data: bytes) -> dict[str, Any] | None:
    from eth_abi.abi import decode as abi_decode
    from eth_abi.exceptions import DecodingError

    try:
        decoded = abi_decode(known.types, data)
    except DecodingError:
        return None
    parts = zip(known.names, known.types, known.enums, decoded, strict=True)
    return {name: _readable(kind, enum, value) for name, kind, enum, value in parts}


def _readable(kind: str, enum: str, value: Any) -> Any:
    if enum and value in State._value2member_map_:
        return State(value).name
    if kind == "address":
        return to_checksum(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value


def _message_of_builtin(name: str, values: Mapping[str, Any]) -> str:
    if name == "Error":
        return f"The contract refused: {values['message']}"
    code = values["code"]
    return f"The contract stopped with panic 0x{code:02x}: {_PANICS.get(code, 'an unknown check')}."


def _find(source: object, depth: int) -> bytes | None:
    if depth > _MAX_DEPTH:
        return None
    if isinstance(source, (bytes, bytearray)):
        return bytes(source)
    if isinstance(source, str):
        return _find_in_text(source)
    if isinstance(source, Mapping):
        return _first(source, depth)
    if isinstance(source, BaseException):
        # An attribute is where RpcError and web3's errors keep what the node sent; the text is the last resort.
        for part in (getattr(source, "data", None), *source.args):
            found = None if part is None else _find(part, depth + 1)
            if found is not None:
                return found
    return None


def _first(source: Mapping[Any, Any], depth: int) -> bytes | None:
    named = [source[key] for key in _DATA_KEYS if key in source]
    nested = [value for key, value in source.items() if key not in _DATA_KEYS and isinstance(value, Mapping)]
    for value in [*named, *nested]:
        found = _find(value, depth + 1)
        if found is not None:
            return found
    message = source.get("message")
    return _find_in_text(message) if isinstance(message, str) else None


def _find_in_text(text: str) -> bytes | None:
    if text in ("0x", "Reverted 0x"):
        return b""
    for found in _HEX_DATA.finditer(text):
        data = bytes.fromhex(found.group(1))
        # A selector and whole words; an address or a hash that the message mentions has another length.
        if len(data) % 32 == 4 or found.group(0) == text:
            return data
    written = _BYTES_REPR.search(text)
    return None if written is None else _bytes_of(written.group(0))


def _bytes_of(written: str) -> bytes | None:
    try:
        value = ast.literal_eval(written)
    except (SyntaxError, ValueError):
        return None  # a node's text that only looks like the repr of bytes
    return value if isinstance(value, bytes) else None


def _speaks_of_revert(text: str) -> bool:
    return "revert" in text.lower()


def _reason(error: BaseException) -> str:
    text = error.message if isinstance(error, RpcError) else str(error)
    found = _REASON.search(text)
    return found.group(1).strip(" .'\"") if found else ""
