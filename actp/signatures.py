"""Whether a signature is an account's, or a contract's (ERC-1271), as the contracts will judge it."""

from __future__ import annotations

from actp import reverts
from actp.binding import Session
from actp.errors import RpcError, SignatureRefused
from actp.typed_data import TypedData, digest_of

__all__ = ["require_signature"]

_MAGIC = "0x1626ba7e"
"""Selector of isValidSignature(bytes32,bytes), and its answer for a valid one."""
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def require_signature(session: Session, signer: str, typed_data: TypedData, signature: str) -> None:
    """Raises SignatureRefused unless `signature` (0x hex) is `signer`'s over `typed_data`.

    An account with code is asked, any other one has to have signed itself, with 65 bytes r, s, v.
    """
    raw, digest = bytes.fromhex(signature[2:]), digest_of(typed_data)
    if session.transport.request("eth_getCode", [signer, "latest"]) not in ("0x", None):
        valid = _contract_accepts(session, signer, digest, raw)
    else:
        valid = _signer_of(digest, raw) == signer
    if not valid:
        raise SignatureRefused(
            f"The signature is not that of {signer} over these values.",
            code="wrong_signer",
            hint="Let it be signed again; nothing in it may be changed after that.",
        )


def _contract_accepts(session: Session, signer: str, digest: bytes, signature: bytes) -> bool:
    from eth_abi.abi import encode

    data = _MAGIC + encode(["bytes32", "bytes"], [digest, signature]).hex()
    try:
        answer = session.transport.request("eth_call", [{"to": signer, "data": data}, "latest"])
    except RpcError as error:
        if reverts.from_error(error) is None:
            raise
        return False  # contracts also say no by reverting
    return str(answer) == _MAGIC + "00" * 28


def _signer_of(digest: bytes, signature: bytes) -> str | None:
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    # Contracts refuse the second signature that follows from every first one.
    if not (0 < r < _ORDER and 0 < s <= _ORDER // 2):
        return None
    try:
        key = Signature(vrs=(signature[64] - 27, r, s)).recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError):
        return None
    return str(key.to_checksum_address())
