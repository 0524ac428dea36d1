"""Clock, crash points, counting, and what the kit costs those who do not use it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from actp.chain import EmbeddedChain
from actp.engine import Sender, crash
from actp.engine.clock import Clock
from actp.errors import ConfigError, InvalidInput, RpcUnavailable
from actp.rpc import HttpTransport, Transport, chain_id
from actp.signers import LocalSigner
from actp.testing import (
    CrashPoint,
    FakeClock,
    Fault,
    FaultProxy,
    FaultyTransport,
    StaleHead,
    answer,
    crash_at,
    drop_before,
    duplicate,
    http_error,
    lose_reply,
    rate_limited,
    sometimes,
)
from tests.testing.support import PAYEE, SEND, paid

ROOT = Path(__file__).resolve().parents[2]

PASSES_ALL_POINTS = """
import os, sys
from actp.engine.crash import CrashPoint, point
for where in CrashPoint:
    if os.fork() == 0:
        os.environ["ACTP_CRASH_AT"] = where.value + ":2"
        for other in CrashPoint:
            point(other)
        os.write(1, (where.value + " once\\n").encode())
        point(where)
        os.write(1, b"survived\\n")
        os._exit(0)
    _, status = os.wait()
    os.write(1, f"{os.WTERMSIG(status)}\\n".encode())
"""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_process_dies_at_each_point_at_the_hit_that_was_asked_for() -> None:
    lines = run(PASSES_ALL_POINTS).stdout.splitlines()
    assert lines == [line for where in CrashPoint for line in (f"{where.value} once", "9")]


def test_the_environment_of_a_crash() -> None:
    assert crash_at(CrashPoint.AFTER_SIGN, 3) == {"ACTP_CRASH_AT": "after_sign:3"}
    with pytest.raises(InvalidInput):
        crash_at(CrashPoint.AFTER_SIGN, 0)
    found = run(
        "from actp.engine.crash import CrashPoint, point\npoint(CrashPoint.AFTER_SIGN)\nprint('alive')",
        **crash_at(CrashPoint.AFTER_SIGN),
    )
    assert (found.returncode, found.stdout) == (-9, "")


@pytest.mark.parametrize("setting", ["nowhere", "after_sign:0", "after_sign:x", "after_sign:-1"])
def test_a_point_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(crash.CRASH_VARIABLE, setting)
    with pytest.raises(ConfigError, match="names no crash point"):
        crash.Trap(crash.CRASH_VARIABLE, CrashPoint).pass_by(CrashPoint.AFTER_SIGN)


@pytest.mark.slow
def test_nobody_who_uses_the_client_loads_the_kit() -> None:
    program = "import sys, actp, actp.client, actp.cli\nprint([m for m in sys.modules if m.startswith('actp.testing')])"
    assert run(program).stdout.strip() == "[]"


def test_a_fake_clock_is_a_clock_that_only_the_test_moves() -> None:
    clock = FakeClock(wall=50.0, monotonic=5.0)
    engines: Clock = clock
    engines.sleep(2.5)
    clock.advance(1)
    assert (engines.time(), engines.monotonic(), clock.slept) == (53.5, 8.5, [2.5])
    clock.set_back(60)
    assert (engines.time(), engines.monotonic()) == (-6.5, 8.5)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_requests_are_counted_by_method_and_by_exchange() -> None:
    faulty = FaultyTransport(EmbeddedChain())
    faulty.request("eth_chainId", [])
    faulty.batch([("eth_chainId", []), ("eth_blockNumber", [])])
    assert (faulty.count("eth_chainId"), faulty.count("eth_blockNumber"), faulty.count("eth_call")) == (2, 1, 0)
    assert (faulty.calls, faulty.exchanges) == (["eth_chainId", "eth_chainId", "eth_blockNumber"], 2)


def test_faults_are_used_up_in_order_and_then_the_lasting_one_strikes_until_it_is_cleared() -> None:
    faulty = FaultyTransport(EmbeddedChain())
    faulty.always("eth_chainId", answer("lasting"))
    faulty.once("eth_chainId", answer("first"), answer("second"))
    assert [faulty.request("eth_chainId", []) for _ in range(4)] == ["first", "second", "lasting", "lasting"]
    faulty.clear()
    assert faulty.request("eth_chainId", []) == "0x7a69"


def test_a_node_that_becomes_another_has_neither_faults_nor_views() -> None:
    faulty = FaultyTransport(EmbeddedChain())
    faulty.show(StaleHead(1))
    faulty.always("eth_chainId", answer("0x1"))
    faulty.becomes(EmbeddedChain(chain_id=5))
    assert faulty.request("eth_chainId", []) == "0x5"


def test_sometimes_is_the_same_in_every_run_with_the_same_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        fault = sometimes(answer("struck"), 0.3, random.Random(seed))
        return [fault(lambda: "passed", []) == "struck" for _ in range(100)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 15 < sum(strikes(1)) < 45


def test_a_proxy_in_front_of_a_url_can_be_down_and_come_back_at_the_same_place() -> None:
    with FaultProxy(EmbeddedChain()) as behind:
        proxy = FaultProxy(behind.url)
        proxy.start()
        client = HttpTransport(proxy.url)
        assert chain_id(client) == 31_337
        proxy.stop()
        with pytest.raises(RpcUnavailable) as caught:
            client.request(SEND, ["0x"])
        assert caught.value.outcome in ("not_sent", "unknown")
        proxy.start()
        assert chain_id(client) == 31_337
        proxy.stop()
        proxy.stop()


def test_a_node_that_is_gone_is_a_bad_gateway() -> None:
    behind = FaultProxy(EmbeddedChain())
    behind.start()
    behind.stop()
    with FaultProxy(behind.url) as proxy:
        with pytest.raises(RpcUnavailable, match="HTTP 502") as caught:
            HttpTransport(proxy.url).request(SEND, ["0x"])
        assert caught.value.outcome == "unknown"


@pytest.mark.parametrize(
    "make",
    [lose_reply, drop_before, duplicate, rate_limited, http_error, lambda: http_error(503, accepted=False)],
    ids=["lost reply", "dropped", "duplicate", "rate limited", "502 after accepting", "503"],
)
@pytest.mark.slow
def test_a_sender_pays_once_whatever_happens_to_its_bytes(node: Transport, signer: LocalSigner, make: type) -> None:
    fault: Fault = make()
    with FaultProxy(node) as proxy:
        proxy.once(SEND, fault)
        sender = Sender(HttpTransport(proxy.url), signer, chain_id=chain_id(node), timeout=20)
        assert sender.send(PAYEE, value=3).succeeded
        assert proxy.count(SEND) >= 1
    assert paid(node) == 3
