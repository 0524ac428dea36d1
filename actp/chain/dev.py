"""The ten development accounts that every local node gives away."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

__all__ = ["DEV_BALANCE", "DEV_HD_PATH", "DEV_MNEMONIC", "DevAccount", "dev_accounts"]

DEV_MNEMONIC = "test test test test test test test test test test test junk"
DEV_BALANCE = 10_000 * 10**18
"""Wei with which each account starts."""

_COUNT = 10
DEV_HD_PATH = "m/44'/60'/0'/0"


@dataclass(frozen=True)
class DevAccount:
    """An account whose key everybody knows: checksummed `address`, 0x-prefixed `private_key` (kept out of the repr)."""

    address: str
    private_key: str = field(repr=False)


@cache
def dev_accounts() -> tuple[DevAccount, ...]:
    """The accounts of `DEV_MNEMONIC` at `m/44'/60'/0'/0/0` to `.../9`, the same that anvil and Hardhat unlock."""
    from eth_account.hdaccount import seed_from_mnemonic
    from eth_account.hdaccount.deterministic import HDPath
    from eth_keys.datatypes import PrivateKey

    seed = seed_from_mnemonic(DEV_MNEMONIC, "")
    private_keys = (PrivateKey(HDPath(f"{DEV_HD_PATH}/{index}").derive(seed)) for index in range(_COUNT))
    return tuple(DevAccount(key.public_key.to_checksum_address(), key.to_hex()) for key in private_keys)
