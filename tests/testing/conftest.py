from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import AnvilProcess, DevAccount, EmbeddedChain
from actp.rpc import Transport
from actp.signers import LocalSigner
from actp.testing import JammedPool
from tests.testing.support import PunctualAnvil

ANVIL_POOLS = ("anvil", "jammed anvil")


@pytest.fixture
def signer(accounts: tuple[DevAccount, ...]) -> LocalSigner:
    return LocalSigner(accounts[0].private_key)


@pytest.fixture
def punctual_anvil(anvil: AnvilProcess) -> Iterator[PunctualAnvil]:
    yield PunctualAnvil(anvil)
    # A snapshot does not hold the pool: what waits behind a gap would be mined in other tests.
    anvil.request("anvil_dropAllTransactions", [])


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.anvil)])
def node(request: pytest.FixtureRequest) -> Transport:
    """A real node, that mines at once: everything below is shown over both."""
    if request.param == "anvil":
        anvil: PunctualAnvil = request.getfixturevalue("punctual_anvil")
        return anvil
    return EmbeddedChain()


@pytest.fixture(params=["embedded", "jammed", *(pytest.param(name, marks=pytest.mark.anvil) for name in ANVIL_POOLS)])
def pool(request: pytest.FixtureRequest) -> Iterator[Transport]:
    """A node whose eth transactions wait: a real one that does not mine, and a jammed pool before one that would."""
    if request.param == "anvil":
        request.getfixturevalue("session_anvil")  # skips where there is no anvil
        with AnvilProcess(extra_args=["--no-mining"]) as anvil:
            yield anvil
    elif request.param == "embedded":
        yield EmbeddedChain(automine=False)
    else:
        yield JammedPool(EmbeddedChain() if request.param == "jammed" else request.getfixturevalue("punctual_anvil"))
