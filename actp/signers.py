"""Who signs. A signer keeps its key to itself: it shows an address and gives signatures.

Anything with the shape of `Signer` can pay: a key in memory (below), a KMS, a hardware module.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from actp.encoding import payload_of, signed_bytes, unsigned_bytes
from actp.errors import ConfigError
from actp.types import EthTransaction
from actp.units import keccak, require_address

__all__ = ["LocalSigner", "Signer", "Watcher"]

_KEY = re.compile(r"(?:0x|0X)?([0-9a-fA-F]{64})\Z")
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_KEY_HINT = "A private key is 32 bytes: 64 hex digits, with or without 0x."
_MISSING_HINT = (
    "Give private_key=, or signer=, for example "
    'LocalSigner.from_env("TREASURY_PRIVATE_KEY") for a key in an environment variable.'
)


class Signer(Protocol):
    """An account that can sign. Must be safe to use from several threads."""

    @property
    def address(self) -> str:
        """The account's address with its checksum."""

    def sign_transaction(self, fields: EthTransaction) -> bytes:
        """The raw bytes of the signed eth transaction, ready for eth_sendRawTransaction."""

    def sign_typed_data(self, typed_data: Mapping[str, Any]) -> bytes:
        """65 bytes r, s, v over EIP-712 data given as `{types, primaryType, domain, message}`."""


class LocalSigner:
    """A private key in this process' memory. It is never shown, copied or pickled."""

    __slots__ = ("_account", "_key")

    def __init__(
        self, private_key: str | bytes | None, *, name: str = "The private key", if_missing: str = _MISSING_HINT
    ) -> None:
        """`private_key`: 64 hex digits with or without 0x, or 32 bytes. `name` is what errors call it, `if_missing`
        says where to put one.

        Raises ConfigError, which never contains the key, if it is missing or malformed.
        """
        from coincurve import PrivateKey
        from eth_account import Account  # half a second, which reading a balance must not cost

        key = _parse(private_key, name, if_missing)
        self._account = Account.from_key(key)
        # Signing with eth-account takes ten times as long, for the same bytes.
        self._key = PrivateKey(key)

    @classmethod
    def from_env(cls, variable: str, environ: Mapping[str, str] | None = None, *, if_missing: str = "") -> LocalSigner:
        """The key in an environment variable; `if_missing` says where else one can be given. Raises ConfigError."""
        values = os.environ if environ is None else environ
        return cls(
            values.get(variable),
            name=f"The private key in {variable}",
            if_missing=if_missing or f"Set the environment variable {variable}, or give private_key= or signer=.",
        )

    @classmethod
    def from_keystore(cls, path: Path, password: str) -> LocalSigner:
        """The key in an encrypted V3 keystore file, as `cast wallet` and geth write it. Raises ConfigError."""
        from eth_account import Account

        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"The keystore {path} cannot be read: {error.strerror}.") from error
        except ValueError:
            content = None
        key = None
        if isinstance(content, dict):
            try:
                key = Account.decrypt(content, password)
            except (KeyError, TypeError, ValueError):
                key = None
        if key is None:
            raise ConfigError(
                f"The keystore {path} cannot be decrypted.", hint="Check the password, and that it is a V3 keystore."
            )
        return cls(bytes(key), name=f"The private key in {path}")

    @property
    def address(self) -> str:
        """The account's address with its checksum."""
        return str(self._account.address)

    def sign_transaction(self, fields: EthTransaction) -> bytes:
        """See Signer."""
        payload = payload_of(fields)
        digest = keccak(unsigned_bytes(payload))
        return signed_bytes(payload, self._key.sign_recoverable(digest, hasher=None))

    def sign_typed_data(self, typed_data: Mapping[str, Any]) -> bytes:
        """See Signer."""
        return bytes(self._account.sign_typed_data(full_message=dict(typed_data)).signature)

    def __repr__(self) -> str:
        return f"LocalSigner({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signer holds a private key and is never pickled or copied.")


class Watcher:
    """An account whose key is elsewhere: what belongs to it can be looked at, and nothing can be signed."""

    __slots__ = ("address",)

    def __init__(self, address: str) -> None:
        """Raises InvalidInput for what is no address."""
        self.address = require_address(address)

    def sign_transaction(self, fields: EthTransaction) -> bytes:
        """Raises ConfigError."""
        raise self._no_key()

    def sign_typed_data(self, typed_data: Mapping[str, Any]) -> bytes:
        """Raises ConfigError."""
        raise self._no_key()

    def __repr__(self) -> str:
        return f"Watcher({self.address})"

    def _no_key(self) -> ConfigError:
        return ConfigError(f"The key of {self.address} is not here.", hint="Sign where the key is.")


def _parse(private_key: str | bytes | None, name: str, if_missing: str) -> bytes:
    if private_key is None or private_key in ("", b""):
        raise ConfigError(f"{name} is missing.", hint=f"{if_missing} {_KEY_HINT}")
    if isinstance(private_key, str):
        match = _KEY.match(private_key.strip())
        if match is None:
            raise ConfigError(f"{name} is malformed.", hint=_KEY_HINT)
        key = bytes.fromhex(match.group(1))
    elif isinstance(private_key, bytes) and len(private_key) == 32:
        key = bytes(private_key)
    else:
        raise ConfigError(f"{name} is malformed.", hint=_KEY_HINT)
    if not 0 < int.from_bytes(key, "big") < _ORDER:
        raise ConfigError(f"{name} is not a valid key of the curve secp256k1.", hint="Use another key.")
    return key
