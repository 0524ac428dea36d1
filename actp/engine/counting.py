"""How many nonces of an account are mined, also from nodes that lag behind, and on chains that lost blocks."""

from __future__ import annotations

from actp.engine import receipts
from actp.engine.exchange import mined_count
from actp.engine.lane import Lane
from actp.rpc import Transport

__all__ = ["count_mined"]


def count_mined(transport: Transport, lane: Lane) -> None:
    """Brings the lane's count up to date. Needs the turn. Raises RpcError, RpcUnavailable."""
    # Where nobody else may have the lease, and nobody else has the key, the lane knows it without asking.
    if lane.reopens and not lane.recount:
        return
    count = mined_count(transport, lane.address)
    last = lane.last_mined()
    if last is None or count > last[0]:
        lane.counted(count)
    elif receipts.fetch(transport, last[1]) is not None:
        lane.counted(last[0] + 1)
    else:
        lane.taken_back(count)
        lane.recount = False
