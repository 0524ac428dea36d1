"""Several endpoints of one chain, used as one transport: the way to outlive any of them.

    pool = Pool([HttpTransport(url) for url in urls], chain_id=84532)
    pool.request("eth_blockNumber", [])

A read is answered by the healthiest endpoint that is not behind what was seen before; a signed eth transaction goes to
all that are healthy. Start reading at `pool.py`.
"""

from __future__ import annotations

from actp.pool.capabilities import Capability, supports
from actp.pool.endpoint import EndpointDropped, EndpointStatus, WrongGenesis
from actp.pool.pool import Pool

__all__ = ["Capability", "EndpointDropped", "EndpointStatus", "Pool", "WrongGenesis", "supports"]
