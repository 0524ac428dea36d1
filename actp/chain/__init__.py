"""Chains to build on: one inside this process, the same served over HTTP, and anvil.

What takes time to import is imported on first use: the virtual machine behind `EmbeddedChain` loads for about a second.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from actp.chain.dev import DEV_MNEMONIC, DevAccount, dev_accounts

if TYPE_CHECKING:
    from actp.chain.anvil import AnvilProcess as AnvilProcess
    from actp.chain.embedded import EmbeddedChain as EmbeddedChain
    from actp.chain.server import ChainServer as ChainServer

__all__ = [
    "DEV_MNEMONIC",
    "AnvilProcess",
    "ChainServer",
    "DevAccount",
    "EmbeddedChain",
    "dev_accounts",
    "shared",
]

_HOMES = {
    "AnvilProcess": "actp.chain.anvil",
    "ChainServer": "actp.chain.server",
    "EmbeddedChain": "actp.chain.embedded",
}

_shared: EmbeddedChain | None = None
_shared_lock = threading.Lock()


def shared() -> EmbeddedChain:
    """The one chain of this process, started by whoever asks first (chain id 31337)."""
    global _shared
    from actp.chain.embedded import EmbeddedChain

    with _shared_lock:
        if _shared is None:
            _shared = EmbeddedChain()
        return _shared


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
