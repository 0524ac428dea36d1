"""Why a mined eth transaction did nothing, in the contract's words."""

from __future__ import annotations

from actp import reverts
from actp.errors import RpcError, RpcUnavailable
from coordinator.lifecycle.desk import Desk
from coordinator.types import BlockRef, Call

__all__ = ["refusal_of"]


def refusal_of(desk: Desk, call: Call, block: BlockRef) -> str | None:
    """What the call is refused with on the state around its block; None if the node no longer shows it."""
    fields = {"from": desk.wallet, "to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}
    # The state after its block also holds what came before it in there.
    for number in (block.number, block.number - 1):
        try:
            desk.transport.request("eth_call", [fields, hex(number)])
        except RpcError as error:
            found = reverts.from_error(error, outcome="reverted")
            if found is not None:
                return str(found)
        except RpcUnavailable:
            return None  # that it failed is certain, whether or not the node can say why
    return None
