"""web3 over any transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actp.errors import RpcError, RpcUnavailable
from actp.rpc.transport import Transport

if TYPE_CHECKING:
    from web3.providers.base import BaseProvider

__all__ = ["provider_for"]


def provider_for(transport: Transport) -> BaseProvider:
    """A web3 provider over any transport: `Web3(provider_for(transport))`.

    The transport's RpcError and RpcUnavailable come through as they are, so one decoder serves web3's contract objects
    and direct requests alike.
    """
    from web3.providers.base import BaseProvider as Base
    from web3.types import RPCEndpoint, RPCResponse

    class TransportProvider(Base):
        def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
            return {"jsonrpc": "2.0", "id": 1, "result": transport.request(str(method), list(params))}

        def is_connected(self, show_traceback: bool = False) -> bool:
            try:
                transport.request("web3_clientVersion", [])
            except (RpcError, RpcUnavailable):
                if show_traceback:
                    raise
                return False
            return True

        def __repr__(self) -> str:
            return f"TransportProvider({transport.label!r})"

    return TransportProvider()
