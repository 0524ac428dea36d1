"""JSON-RPC: one small protocol for every way to reach a node, and HTTP as the usual one."""

from __future__ import annotations

from actp.rpc.http import HttpTransport, redact_url
from actp.rpc.provider import provider_for
from actp.rpc.transport import (
    LIVE_GENESIS,
    Transport,
    chain_id,
    genesis_hash,
    is_development_node,
    is_rate_limit,
    quantity,
    require_chain,
    sends,
    wants_smaller_range,
)

__all__ = [
    "LIVE_GENESIS",
    "HttpTransport",
    "Transport",
    "chain_id",
    "genesis_hash",
    "is_development_node",
    "is_rate_limit",
    "provider_for",
    "quantity",
    "redact_url",
    "require_chain",
    "sends",
    "wants_smaller_range",
]
