"""Where settings come from: what the caller gives, else the environment, else what the network usually has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actp.errors import ConfigError
from actp.types import Network

__all__ = ["RPC_POOL_VARIABLE", "RPC_URL_VARIABLE", "STORE_VARIABLE", "RpcUrl", "rpc_pool_urls", "rpc_url"]

RPC_URL_VARIABLE = "ETH_RPC_URL"
STORE_VARIABLE = "ACTP_STORE_URL"
"""A database for what is sent: sqlite:///path or postgresql://user@host/name."""
RPC_POOL_VARIABLE = "ACTP_RPC_POOL_URLS"

_DEFAULT_RPC_URLS = {
    Network.LOCAL: "http://127.0.0.1:8545",
    Network.ANVIL: "http://127.0.0.1:8545",
    Network.BASE_SEPOLIA: "https://sepolia.base.org",
}


@dataclass(frozen=True, slots=True)
class RpcUrl:
    """An RPC URL, which may hold a key, and the setting that it came from, "" if the caller gave it."""

    url: str = field(repr=False)
    origin: str = ""


def rpc_url(network: Network, given: str | None = None, environ: Mapping[str, str] | None = None) -> RpcUrl:
    """The RPC URL for a network: `given`, else ETH_RPC_URL, else the usual one (loopback, or Base's public endpoint).

    For Network.LOCAL it is the URL of a served `actp chain`; in process that network has none.
    """
    values = os.environ if environ is None else environ
    if given:
        return RpcUrl(given)
    named = values.get(RPC_URL_VARIABLE)
    return RpcUrl(named, RPC_URL_VARIABLE) if named else RpcUrl(_DEFAULT_RPC_URLS[network])


def rpc_pool_urls(
    given: str | Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> tuple[RpcUrl, ...]:
    """The RPC URLs of a pool: `given`, else those in ACTP_RPC_POOL_URLS; none if neither names any. In one text they
    are separated by commas.

    Raises ConfigError, which shows no URL, for entries that are not one URL each, and for those that come twice.
    """
    origin = "rpc_pool_urls"
    if given is None:
        given, origin = (os.environ if environ is None else environ).get(RPC_POOL_VARIABLE) or None, RPC_POOL_VARIABLE
        if given is None:
            return ()
    entries = given.split(",") if isinstance(given, str) else list(given)
    urls: dict[str, int] = {}
    for place, entry in enumerate(entries, start=1):
        url = entry.strip() if isinstance(entry, str) else ""
        if url.count("://") != 1 or re.search(r"[\s;]", url):
            raise ConfigError(
                f"Entry {place} of {origin} is not an RPC URL.",
                hint="Write the URLs one after the other, separated by one comma each.",
            )
        if url in urls:
            raise ConfigError(f"Entries {urls[url]} and {place} of {origin} are the same.", hint="Leave one out.")
        urls[url] = place
    if not urls:
        raise ConfigError(f"{origin} names no RPC URL.", hint="Name at least one, or leave it out.")
    return tuple(RpcUrl(url, f"entry {place} of {origin}") for url, place in urls.items())
