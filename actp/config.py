"""Where settings come from: what the caller gives, else the environment, else what the network usually has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from actp.types import Network

__all__ = ["RPC_URL_VARIABLE", "RpcUrl", "rpc_url"]

RPC_URL_VARIABLE = "ETH_RPC_URL"

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
