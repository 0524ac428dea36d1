"""anvil as a child process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from actp.chain.dev import DevAccount, dev_accounts
from actp.errors import ConfigError, RpcUnavailable
from actp.rpc import HttpTransport, require_chain

__all__ = ["AnvilProcess", "find_anvil"]

_INSTALL_HINT = "Run `make tools` in a checkout, or: npm install --prefix .tools @foundry-rs/anvil"
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_CHECKOUT = Path(__file__).resolve().parents[2]


def find_anvil() -> Path:
    """The anvil on PATH, else the one in `.tools` of the working directory or the checkout; raises ConfigError."""
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    for directory in (Path.cwd(), _CHECKOUT):
        candidate = directory / ".tools" / "node_modules" / ".bin" / "anvil"
        if candidate.exists():
            return candidate
    raise ConfigError("anvil is not installed.", code="anvil_missing", hint=_INSTALL_HINT)


class AnvilProcess:
    """An anvil of our own from `start` to `stop`, or for as long as a `with` block lasts; answers as a Transport.

    `port` 0 takes a free one. Without `block_time` (seconds) every transaction is mined at once. `extra_args` go to
    anvil as they are. `start` raises ConfigError where anvil is missing, where the port is taken, and where there is no
    answer within `timeout` seconds.
    """

    def __init__(
        self,
        *,
        chain_id: int = 31_337,
        port: int = 0,
        block_time: int | None = None,
        extra_args: Sequence[str] = (),
        timeout: float = 30.0,
    ) -> None:
        self.chain_id = chain_id
        self._port = port
        self._block_time = block_time
        self._extra_args = tuple(extra_args)
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._transport: HttpTransport | None = None

    def __repr__(self) -> str:
        return f"AnvilProcess(chain_id={self.chain_id}, port={self._port})"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def label(self) -> str:
        """What messages call this node."""
        return f"anvil at {self.url}"

    @property
    def accounts(self) -> tuple[DevAccount, ...]:
        """The ten well-known development accounts, which anvil unlocks."""
        return dev_accounts()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def request(self, method: str, params: Sequence[Any] = ()) -> Any:
        """The result of a JSON-RPC call; raises RpcError for an error answer, RpcUnavailable for none."""
        return self._running_node().request(method, list(params))

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See `actp.rpc.Transport`."""
        return self._running_node().batch(calls)

    def _running_node(self) -> HttpTransport:
        if self._transport is None:
            raise RpcUnavailable(f"{self.label} is not running.", retryable=False)
        return self._transport

    def start(self) -> None:
        """Starts anvil and returns once it answers with the right chain id."""
        binary = find_anvil()
        self._port = _free_port(self._port)
        command = [str(binary), "--host", "127.0.0.1", "--port", str(self._port), "--chain-id", str(self.chain_id)]
        if self._block_time is not None:
            command += ["--block-time", str(self._block_time)]
        # A pipe that nobody reads would block anvil once it is full.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        try:
            # In a process group of its own: npm's anvil is a script around the binary, and both have to be ended.
            self._process = subprocess.Popen(
                [*command, "--silent", *self._extra_args],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the process that `start` started, and nothing else."""
        process, self._process, self._transport = self._process, None, None
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if self._output is not None:
            self._output.close()
            self._output = None

    def __enter__(self) -> AnvilProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _await_answer(self) -> None:
        transport = HttpTransport(self.url)
        give_up_at = time.monotonic() + self._timeout
        while self.running:
            try:
                require_chain(transport, self.chain_id)
            except RpcUnavailable:
                if time.monotonic() > give_up_at:
                    break
                time.sleep(_POLL_SECONDS)
                continue
            if self.running:
                self._transport = transport
                return
        state = f"did not answer within {self._timeout:g} s" if self.running else "ended at once"
        raise ConfigError(f"{self.label} {state}: {self._last_output()}", code="anvil_failed")

    def _last_output(self) -> str:
        if self._output is None:
            return "no output"
        self._output.seek(0)
        return self._output.read()[-2_000:].decode(errors="replace").strip() or "no output"


def _free_port(wanted: int) -> int:
    """The port if nobody listens there, any free one for 0. Another node's answers must not be taken for ours."""
    with socket.socket() as probe:
        # A port whose last connections are still winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"anvil cannot listen on 127.0.0.1:{wanted}: {error}.", hint="Choose another port, 0 for a free one."
            ) from None
        return int(probe.getsockname()[1])
