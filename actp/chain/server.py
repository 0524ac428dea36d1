"""JSON-RPC over HTTP for a chain of this process, on the loopback interface only."""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Protocol

from actp.chain.loopback import LoopbackServer
from actp.errors import ConfigError, RpcError

__all__ = ["ChainServer"]

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_BATCH = 1_000
MAX_DEPTH = 32

_PARSE_ERROR = -32700
_INVALID_REQUEST = -32600
_IDLE_SECONDS = 120.0
_STRINGS_AND_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_LOCAL_NAMES = frozenset({"localhost", "[::1]"})


class _Chain(Protocol):
    def request(self, method: str, params: Sequence[Any]) -> Any: ...


class ChainServer:
    """Serves a chain at `url` from `start` to `stop`, or for as long as a `with` block lasts.

    Raises ConfigError for a host that others could reach (the accounts' keys are public) and for a port in use.
    """

    def __init__(self, chain: _Chain, port: int = 0, *, host: str = "127.0.0.1") -> None:
        _require_loopback(host)
        try:
            self._http = _HttpServer((host, port), chain)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"Cannot listen on {host}:{port}: {error}.", hint="Choose another port with --port, 0 for a free one."
            ) from None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self._http.server_address[0]!s}:{self.port}"

    def start(self) -> None:
        """Serves from a thread of its own, and returns at once."""
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), name="actp-chain", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops listening and closes every connection; calls that are being answered end without an answer."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()
        self._http.close_connections()

    def __enter__(self) -> ChainServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


def _require_loopback(host: str) -> None:
    if not _is_loopback(host):
        raise ConfigError(f"The chain is not served on {host!r}: its accounts' keys are public.", hint="Use 127.0.0.1.")


class _HttpServer(LoopbackServer):
    def __init__(self, address: tuple[str, int], chain: _Chain) -> None:
        self.chain = chain
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body
    timeout = _IDLE_SECONDS
    server: _HttpServer

    def do_POST(self) -> None:
        if not _is_local(self.headers.get("Host", "")):
            # A page in a browser can reach loopback under a name of its own; it must not reach the chain.
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
            return
        if int(length) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        answer = answer_body(self.server.chain, self.rfile.read(int(length)))
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # the body stays unread
        self.send_error(status)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: there may be thousands of calls a second."""


def _is_local(host: str) -> bool:
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in _LOCAL_NAMES or _is_loopback(name)


def answer_body(chain: _Chain, body: bytes) -> Any:
    """The JSON-RPC answer to a request or a batch; None where nothing is to be answered."""
    try:
        message = _parse(body)
    except ValueError as error:
        return _error(None, RpcError(_PARSE_ERROR, f"parse error: {error}"))
    if not isinstance(message, list):
        return _answer(chain, message)
    if not message:
        return _error(None, RpcError(_INVALID_REQUEST, "empty batch"))
    if len(message) > MAX_BATCH:
        return _error(None, RpcError(_INVALID_REQUEST, f"batch too large: at most {MAX_BATCH} calls"))
    answers = [answer for answer in (_answer(chain, item) for item in message) if answer is not None]
    return answers or None


def _parse(body: bytes) -> Any:
    # py-evm raises the recursion limit so far that Python's JSON parser would overflow the stack before it notices.
    depth = 0
    for token in _STRINGS_AND_BRACKETS.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        elif first in b"]}":
            depth -= 1
    return json.loads(body)


def _answer(chain: _Chain, call: Any) -> Any:
    if not isinstance(call, dict) or not isinstance(call.get("method"), str):
        return _error(call.get("id") if isinstance(call, dict) else None, RpcError(_INVALID_REQUEST, "invalid request"))
    notification = "id" not in call
    try:
        result = chain.request(call["method"], call.get("params", []))
    except RpcError as error:
        return None if notification else _error(call["id"], error)
    return None if notification else {"jsonrpc": "2.0", "id": call["id"], "result": result}


def _error(call_id: Any, error: RpcError) -> dict[str, Any]:
    content: dict[str, Any] = {"code": error.rpc_code, "message": error.message}
    if error.data is not None:
        content["data"] = error.data
    return {"jsonrpc": "2.0", "id": call_id, "error": content}
