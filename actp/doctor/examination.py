"""The checks. A new one is a method that reports with `_ok` or `_add`, or raises an ActpError, called by `_try`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import suppress

from actp import artifacts
from actp.deployments import AddressBook, Deployment, code_at, verify
from actp.doctor.database import look_at_store
from actp.doctor.report import Check, Report, Status, Subject
from actp.doctor.settings import settings_of
from actp.errors import ActpError, RpcError, RpcUnavailable, WrongChain
from actp.networks import transport_for
from actp.pool import EndpointDropped, EndpointStatus, Pool
from actp.rpc import LIVE_GENESIS, Transport, chain_id, genesis_hash, quantity
from actp.units import format_ether, format_usdc

__all__ = ["examine"]

_MOST_SKEW_SECONDS = 15
_OLDEST_HEAD_SECONDS = 60
_TOLERATED_LAG = 3
_UNLIMITED = 2**255


def examine(subject: Subject, *, now: Callable[[], float] = time.time) -> Report:
    """Runs every check that can be run. Does not raise for what it finds; `now` is this machine's time in seconds."""
    examination = _Examination(subject, now)
    with warnings.catch_warnings():
        # What the pool drops is a check of its own here.
        warnings.simplefilter("ignore", EndpointDropped)
        examination.run()
    database = look_at_store(subject, now(), genesis=examination.genesis, kernel=examination.kernel)
    checks = (*examination.checks, *database.checks)
    return Report(settings_of(subject), examination.endpoints, checks, database.found)


class _Examination:
    def __init__(self, subject: Subject, now: Callable[[], float]) -> None:
        self._subject = subject
        self._now = now
        self.checks: list[Check] = []
        self.endpoints: tuple[EndpointStatus, ...] = ()
        self.genesis: str | None = None
        self.kernel: str | None = None

    def run(self) -> None:
        subject = self._subject
        try:
            transport = transport_for(
                subject.network,
                rpc_url=subject.rpc_url,
                rpc_pool_urls=subject.rpc_pool_urls,
                chain_id=subject.chain_id,
            )
        except ActpError as error:
            self._failed("settings", error)
            return
        try:
            self._examine(transport)
        finally:
            if isinstance(transport, Pool):
                transport.close()

    def _examine(self, transport: Transport) -> None:
        if isinstance(transport, Pool):
            self.endpoints = transport.probe()
            self.checks += [_check_of(endpoint) for endpoint in self.endpoints]
        if not (
            self._try("rpc", lambda: self._rpc(transport)) and self._try("chain id", lambda: self._chain(transport))
        ):
            self._skip("the endpoint must answer for the right chain first", "genesis", "contracts", "account", "clock")
            return
        self._try("clock", lambda: self._clock(transport))
        genesis = self._genesis(transport)
        deployment = None if genesis is None else self._contracts(transport, genesis)
        self._account(transport, deployment)

    # ---------------------------------------------------------------- the node

    def _rpc(self, transport: Transport) -> None:
        begun = time.monotonic()
        # Its name does not matter, and neither does a refusal to tell it: that there is an answer does.
        with suppress(RpcError):
            transport.request("web3_clientVersion", [])
        self._ok("rpc", f"{transport.label} answers in {round((time.monotonic() - begun) * 1_000)} ms")

    def _chain(self, transport: Transport) -> None:
        found, expected = chain_id(transport), self._subject.expected_chain
        if found != expected:
            raise WrongChain(expected, found, endpoint=transport.label)
        self._ok("chain id", str(found))

    def _clock(self, transport: Transport) -> None:
        block = transport.request("eth_getBlockByNumber", ["latest", False])
        age = int(self._now()) - int(block["timestamp"], 16)
        detail = (
            f"block {int(block['number'], 16)} is {age} s old" if age >= 0 else f"the newest block is {-age} s ahead"
        )
        if not self._subject.network.live:
            # Development chains mine when there is something to mine, and their time is moved for tests.
            self._ok("clock", f"{detail}, which says little on a development chain")
        elif age < -_MOST_SKEW_SECONDS:
            self._add("clock", Status.FAILED, detail, "This machine's clock is behind: set it, for example with NTP.")
        elif age > _OLDEST_HEAD_SECONDS:
            self._add(
                "clock", Status.FAILED, detail,
                "Either this machine's clock is ahead (set it, for example with NTP), or the endpoint is stuck (use "
                "another one).",
            )  # fmt: skip
        else:
            self._ok("clock", detail)

    def _genesis(self, transport: Transport) -> str | None:
        chain = self._subject.expected_chain
        try:
            found = genesis_hash(transport, chain)
        except ActpError as error:
            self._failed("genesis", error)
            return None
        known = LIVE_GENESIS.get(chain)
        if self._subject.network.live and known is not None and found != known:
            self._add(
                "genesis", Status.FAILED, f"the first block is {found}, not {known}",
                "The endpoint serves a development chain that borrows the live chain's id: use another RPC URL.",
            )  # fmt: skip
            return None
        self._ok("genesis", found)
        self.genesis = found
        return found

    # ---------------------------------------------------------------- the contracts

    def _contracts(self, transport: Transport, genesis: str) -> Deployment | None:
        name = self._subject.deployment_name
        try:
            deployment = AddressBook(self._subject.expected_chain, genesis).get(name)
        except ActpError as error:
            self._failed("contracts", error)
            return None
        self.kernel = deployment.kernel
        places = {kind: contract.address for kind, contract in deployment.contracts.items()}
        if deployment.token is not None and deployment.token not in places.values():
            places["token"] = deployment.token
        # All of them are looked at, so that the report shows how much is missing.
        present = [
            self._try(f"code of {kind}", lambda kind=kind, at=at: self._code(transport, kind, at))  # type: ignore[misc]
            for kind, at in places.items()
        ]
        if not all(present):
            return None
        if self._try("contracts", lambda: verify(transport, deployment)):
            self._ok("contracts", f"{name} ({deployment.generation}) is as recorded and belongs together")
        return deployment

    def _code(self, transport: Transport, kind: str, address: str) -> None:
        self._ok(f"code of {kind}", f"{len(code_at(transport, address, kind))} bytes at {address}")

    # ---------------------------------------------------------------- the account

    def _account(self, transport: Transport, deployment: Deployment | None) -> None:
        account = self._subject.account
        if account is None:
            self._skip("no account was named: give --account or --key-variable", "account")
            return
        self._try("ETH", lambda: self._ether(transport, account))
        self._try("nonce", lambda: self._nonce(transport, account))
        if deployment is None:
            self._skip("the contracts must be found first", "USDC", "allowance")
            return
        self._try("USDC", lambda: self._usdc(transport, deployment, account))
        self._try("allowance", lambda: self._allowance(transport, deployment, account))

    def _ether(self, transport: Transport, account: str) -> None:
        wei = quantity(transport, "eth_getBalance", [account, "latest"])
        if wei:
            self._ok("ETH", f"{format_ether(wei)} ETH")
        else:
            self._add("ETH", Status.FAILED, f"{account} has no ETH", f"Send it some: {account} pays the gas.")

    def _nonce(self, transport: Transport, account: str) -> None:
        latest, pending = (
            quantity(transport, "eth_getTransactionCount", [account, tag]) for tag in ("latest", "pending")
        )
        if pending > latest:
            self._add(
                "nonce", Status.WARNING, f"{latest} mined, {pending - latest} waiting",
                f"If nonce {latest} waits for minutes its fees are too low, or another program uses this key.",
            )  # fmt: skip
        elif pending < latest:
            self._add(
                "nonce", Status.WARNING, f"{latest} mined, but the node counts {pending} with those that wait",
                "The endpoint's nodes do not agree: ask again, or use another endpoint.",
            )  # fmt: skip
        else:
            self._ok("nonce", f"{latest} mined, none waiting")

    def _usdc(self, transport: Transport, deployment: Deployment, account: str) -> None:
        held = _number(transport, deployment, "balanceOf", account)
        if held:
            self._ok("USDC", f"{format_usdc(held)} USDC")
        else:
            self._add("USDC", Status.WARNING, "none", f"To pay, {account} needs tokens of {deployment.token}.")

    def _allowance(self, transport: Transport, deployment: Deployment, account: str) -> None:
        allowed = _number(transport, deployment, "allowance", account, deployment.vault)
        if not allowed:
            self._ok("allowance", "none stands; funding approves exactly what it needs")
            return
        amount = "any amount" if allowed >= _UNLIMITED else f"{format_usdc(allowed)} USDC"
        self._add(
            "allowance", Status.WARNING, f"the vault {deployment.vault} may take {amount}",
            "Later calls use it up. If none is under way, token.approve(vault, 0) ends it.",
        )  # fmt: skip

    # ---------------------------------------------------------------- the list

    def _add(self, name: str, status: Status, detail: str, hint: str = "") -> None:
        self.checks.append(Check(name, status, detail, hint))

    def _ok(self, name: str, detail: str) -> None:
        self._add(name, Status.OK, detail)

    def _failed(self, name: str, error: ActpError) -> None:
        self._add(name, Status.FAILED, error.message, error.hint or "Check the RPC URL, or use another endpoint.")

    def _skip(self, why: str, *names: str) -> None:
        self.checks += [Check(name, Status.SKIPPED, why) for name in names]

    def _try(self, name: str, check: Callable[[], object]) -> bool:
        """Runs a check that raises or reports; whether it did not raise."""
        try:
            check()
        except ActpError as error:
            self._failed(name, error)
            return False
        return True


def _check_of(endpoint: EndpointStatus) -> Check:
    name = f"endpoint {endpoint.label}"
    if endpoint.dropped is not None:
        return Check(name, Status.FAILED, endpoint.dropped.message, f"Take it out of the pool. {endpoint.dropped.hint}")
    detail = f"score {endpoint.score}, block {'unknown' if endpoint.head is None else endpoint.head}"
    if not endpoint.connected or endpoint.problem:
        problem = endpoint.problem or "it did not answer"
        return Check(name, Status.FAILED, f"{detail}: {problem}", "Check its URL and key, or take it out of the pool.")
    if endpoint.behind > _TOLERATED_LAG:
        hint = "It is not read from until it catches up; if it never does, take it out of the pool."
        return Check(name, Status.WARNING, f"{detail}, {endpoint.behind} behind", hint)
    return Check(name, Status.OK, detail)


def _number(transport: Transport, deployment: Deployment, view: str, *arguments: str) -> int:
    data = "0x" + artifacts.load("TestUSDC").call_data(view, arguments).hex()
    answer = transport.request("eth_call", [{"to": deployment.token, "data": data}, "latest"])
    if not isinstance(answer, str) or len(answer) != 66:
        raise RpcUnavailable(f"{view} of the token {deployment.token} is not a number.", hint="Is it an ERC-20 token?")
    return int(answer, 16)
