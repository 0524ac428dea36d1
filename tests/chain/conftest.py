"""`node` runs a test over the embedded chain and over anvil, so that ours cannot drift from a real one."""

from __future__ import annotations

import pytest

from actp.rpc import Transport


@pytest.fixture(params=["chain", pytest.param("anvil", marks=pytest.mark.anvil)])
def node(request: pytest.FixtureRequest) -> Transport:
    transport: Transport = request.getfixturevalue(request.param)
    return transport
