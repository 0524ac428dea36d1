"""The key that signs proofs. It holds no money and sends nothing: whoever steals it can lie, not pay."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from sqlalchemy.engine import URL

from actp.errors import ConfigError
from actp.units import keccak, to_checksum

__all__ = ["KEY_FILE_VARIABLE", "ProofKey", "signer_of"]

KEY_FILE_VARIABLE = "ACTP_PROOF_KEY_FILE"
"""Names the file of the proof key; made on first use, readable by its owner alone."""

_log = logging.getLogger(__name__)
_PREFIX = b"\x19Ethereum Signed Message:\n32"
"""EIP-191, so that any wallet's "verify message" can check a proof's hash (as 32 bytes)."""
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class ProofKey:
    """A secp256k1 key for proofs alone. It is never shown, copied or pickled."""

    __slots__ = ("_key", "address")

    def __init__(self, private_key: bytes | None = None) -> None:
        """A fresh key, unless 32 bytes are given. Raises ConfigError."""
        from coincurve import PrivateKey

        try:
            self._key = PrivateKey(secrets.token_bytes(32) if private_key is None else private_key)
        except ValueError as error:
            raise ConfigError("The proof key is not a key of the curve secp256k1.") from error
        self.address: str = _address(self._key.public_key.format(compressed=False))

    @classmethod
    def from_file(cls, path: Path) -> ProofKey:
        """The key in a file of 64 hex digits, which is made (mode 0600) if there is none. Raises ConfigError."""
        with contextlib.suppress(FileExistsError):
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                raise
            except OSError as error:
                raise ConfigError(f"The proof key cannot be made in {path}: {error.strerror}.") from error
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except OSError as error:
            raise ConfigError(f"The proof key in {path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise ConfigError(f"{path} holds no proof key.", hint="A proof key is 64 hex digits.") from error

    @classmethod
    def for_store(cls, url: URL, environ: Mapping[str, str] | None = None) -> ProofKey:
        """The key for proofs that are kept in this database: in the file that ACTP_PROOF_KEY_FILE names, else in one
        beside an SQLite file. Elsewhere it is a fresh one, which ends with this process. Raises ConfigError.
        """
        named = (os.environ if environ is None else environ).get(KEY_FILE_VARIABLE)
        if named:
            return cls.from_file(Path(named))
        if url.get_backend_name() == "sqlite":
            file = url.database
            return cls.from_file(Path(f"{file}.proof-key")) if file and file != ":memory:" else cls()
        _log.warning("Proofs are signed by a key that ends with this process: name a file in %s.", KEY_FILE_VARIABLE)
        return cls()

    def sign(self, proof_hash: str) -> str:
        """65 bytes r, s, v over a hash, as 0x hex."""
        raw = self._key.sign_recoverable(keccak(_PREFIX + bytes.fromhex(proof_hash[2:])), hasher=None)
        return "0x" + (raw[:64] + bytes([raw[64] + 27])).hex()

    def __repr__(self) -> str:
        return f"ProofKey({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A proof key is never pickled or copied.")


def signer_of(proof_hash: str, signature: str) -> str | None:
    """The address whose key signed a hash; None if this is no signature, or not its one canonical form."""
    from coincurve import PublicKey

    try:
        digest, raw = keccak(_PREFIX + bytes.fromhex(proof_hash[2:])), bytes.fromhex(signature[2:])
    except ValueError:
        return None
    if (
        "0x" + raw.hex() != signature
        or len(raw) != 65
        or raw[64] not in (27, 28)
        or not 0 < int.from_bytes(raw[32:64], "big") <= _ORDER // 2
    ):
        return None
    try:
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] - 27]), digest, hasher=None)
    except ValueError:
        return None
    return _address(key.format(compressed=False))


def _address(uncompressed: bytes) -> str:
    return to_checksum("0x" + keccak(uncompressed[1:])[-20:].hex())
