"""JSON-RPC: one small protocol for every way to reach a node, and HTTP as the usual one.

Endpoint URLs carry keys, so no message, repr or traceback of this module shows more than scheme and host.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import requests

from actp.errors import ConfigError, Outcome, RpcError, RpcUnavailable, WrongChain

if TYPE_CHECKING:
    from web3.providers.base import BaseProvider

__all__ = [
    "LIVE_GENESIS",
    "HttpTransport",
    "Transport",
    "chain_id",
    "genesis_hash",
    "is_development_node",
    "is_rate_limit",
    "provider_for",
    "quantity",
    "redact_url",
    "require_chain",
    "wants_smaller_range",
]

_HEX = re.compile("0x[0-9a-fA-F]*")
_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")
_INTERNAL_ERROR = -32603
# -32016 is what Base's public endpoint says, -32005 what others do; 429 is HTTP's own number, which some put there.
_LIMIT_EXCEEDED = -32005
_RATE_LIMIT_CODES = frozenset({-32016, _LIMIT_EXCEEDED, 429})
_RATE_WORDS = re.compile(r"\brate|too many requests|request count|per (second|minute|day)|throttl|quota", re.IGNORECASE)
_TIMEOUT, _TOO_LARGE = "timeout", "too_large"
_TIMEOUT_STATUS = frozenset({408, 504, 524})

_DEVELOPMENT_NODES = ("actp-chain/", "anvil/", "ethereumjs testrpc/", "ethereumtester/", "ganache/", "hardhatnetwork/")

LIVE_GENESIS: Mapping[int, str] = {
    8453: "0xf712aa9241cc24369b143cf6dce85f0902a9731e70d66818a3a5845b296c73dd",
    84532: "0x0dcc9e089e30b90ddfc55be9a37dd15bc551aeee999d2e2b51414c54eaf934e4",
}
"""Hash of block 0 of Base and Base Sepolia by chain id, as Base's own node software pins it."""


class Transport(Protocol):
    """A way to a node. Must be safe to use from several threads."""

    @property
    def label(self) -> str:
        """What to call the node in messages: never a secret."""

    def request(self, method: str, params: list[Any]) -> Any:
        """The JSON-RPC result. Raises RpcError when the node answers with an error, RpcUnavailable when it does not."""


def redact_url(url: str) -> str:
    """Scheme, host and port of a URL. Path, query and user name are left out: they carry keys."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "<unreadable URL>"
    if not parts.scheme or not host:
        return "<unreadable URL>"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}"


def is_rate_limit(error: RpcError) -> bool:
    """Whether the node only asks to come back later, and has not looked at the request."""
    return error.rpc_code in _RATE_LIMIT_CODES


def wants_smaller_range(error: RpcError | RpcUnavailable) -> bool:
    """Whether a node that refused eth_getLogs may answer for fewer blocks."""
    if isinstance(error, RpcUnavailable):
        return error.code in (_TIMEOUT, _TOO_LARGE)
    # -32005 is "limit exceeded", of requests or of results: only the words tell.
    return not is_rate_limit(error) or (error.rpc_code == _LIMIT_EXCEEDED and not _RATE_WORDS.search(error.message))


def chain_id(transport: Transport) -> int:
    """The chain id that the node reports. Raises RpcError if that is no number."""
    return quantity(transport, "eth_chainId", [])


def quantity(transport: Transport, method: str, params: list[Any]) -> int:
    """The number that a call returns as 0x hex. Raises RpcError if the node answers with anything else."""
    answer = transport.request(method, params)
    if isinstance(answer, str) and _QUANTITY.fullmatch(answer):
        return int(answer, 16)
    raise _nonsense(transport, method, "a number in 0x hex")


def _nonsense(transport: Transport, method: str, wanted: str) -> RpcError:
    # The answer is not shown: a gateway may quote the endpoint's key in it.
    return RpcError(
        _INTERNAL_ERROR,
        f"The node {transport.label} answered {method} with something that is not {wanted}.",
        hint="Check that the RPC URL is that of an Ethereum JSON-RPC endpoint.",
    )


def require_chain(transport: Transport, expected: int) -> None:
    """Raises WrongChain unless the node serves chain `expected`."""
    actual = chain_id(transport)
    if actual != expected:
        raise WrongChain(expected, actual, endpoint=transport.label)


def is_development_node(transport: Transport) -> bool:
    """Whether the node calls itself a tool that makes chains to try things out on, whatever their chain id."""
    try:
        name = transport.request("web3_clientVersion", [])
    except RpcError:
        return False
    return isinstance(name, str) and name.lower().startswith(_DEVELOPMENT_NODES)


def genesis_hash(transport: Transport, chain: int) -> str:
    """Hash of block 0 of chain `chain`: tells apart chains that share an id, as two runs of anvil do."""
    try:
        block = transport.request("eth_getBlockByNumber", ["0x0", False])
    except RpcError:
        if chain not in LIVE_GENESIS:
            raise
        block = None
    if isinstance(block, dict):
        if not isinstance(block.get("hash"), str):
            raise _nonsense(transport, "eth_getBlockByNumber", "a block with a hash")
        return str(block["hash"])
    if chain not in LIVE_GENESIS:
        raise RpcUnavailable(f"The node {transport.label} does not serve block 0.", retryable=False)
    # Public endpoints of live chains drop their oldest blocks; a development chain always has its first one.
    return LIVE_GENESIS[chain]


class _HidePaths(logging.Filter):
    """Takes the paths of our endpoints out of what the HTTP library logs at level DEBUG."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: tuple[str, ...] = ()

    def add(self, path: str) -> None:
        if path != "/":
            # Longest first: a path that begins with another one is hidden as a whole.
            self._paths = tuple(sorted({*self._paths, path}, key=len, reverse=True))

    def filter(self, record: logging.LogRecord) -> bool:
        # Behind a proxy the path is part of a longer text, and some arguments are exceptions that hold it.
        message = hidden = record.getMessage()
        for path in self._paths:
            hidden = hidden.replace(path, "/***")
        if hidden != message:
            record.msg, record.args = hidden, ()
        return True


_hide_paths = _HidePaths()
for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.poolmanager", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_hide_paths)


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    outcome: Outcome
    retryable: bool
    hint: str = ""
    code: str | None = None


class HttpTransport:
    """JSON-RPC over HTTP(S) with keep-alive; may be shared by any number of threads.

    `timeout` bounds connecting and every wait for bytes, in seconds. Redirects are not followed. `origin` is the
    setting that the URL came from: messages name it, so that a forgotten one is found.
    """

    def __init__(self, url: str, *, timeout: float = 20.0, origin: str = "") -> None:
        redacted = redact_url(url)
        path = None if redacted.startswith("<") else _path_of(url)
        if path is None:
            where = f" in {origin}" if origin else ""
            raise ConfigError(f"The RPC URL{where} is not an http or https URL.", hint="Write it as https://host/path.")
        self.label = f"{redacted} (from {origin})" if origin else redacted
        _hide_paths.add(path)
        self._url = url
        self._timeout = timeout
        self._ids = itertools.count(1)
        # requests does not promise that a session may be shared between threads.
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"HttpTransport({self.label!r})"

    @property
    def loopback(self) -> bool:
        """Whether the node is on this machine, as far as its URL says."""
        host = urlsplit(self._url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        result = self._result(self._post(body, sends=_sends(method)), method)
        if isinstance(result, RpcError):
            raise result
        return result

    def _post(self, body: Any, *, sends: bool) -> Any:
        answer = self._exchange(body, sends=sends)
        if isinstance(answer, _Failure):
            # Raised here and not where it was caught: the causes, which a traceback shows, hold the URL.
            raise RpcUnavailable(
                answer.message,
                code=answer.code,
                hint=answer.hint,
                retryable=answer.retryable,
                outcome=answer.outcome if sends else "none",
            )
        return answer

    def _exchange(self, body: Any, *, sends: bool) -> Any:
        try:
            response = self._session().post(
                self._url,
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,
            )
        except (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError):
            return self._no_answer("no connection", "not_sent")
        except requests.exceptions.SSLError:
            return self._no_answer("the encrypted connection failed", "unknown")
        except requests.exceptions.ConnectionError as error:
            refused = type(getattr(error.args[0] if error.args else None, "reason", None)).__name__
            if refused in ("NewConnectionError", "NameResolutionError"):
                return self._no_answer("no connection", "not_sent")
            return self._no_answer("the connection broke", "unknown")
        except requests.exceptions.Timeout:
            return self._no_answer(f"no answer within {self._timeout:g} s", "unknown", _TIMEOUT)
        except requests.exceptions.RequestException as error:
            return self._no_answer(type(error).__name__, "unknown")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        # A gateway that fails behind its own answer may have handed the bytes on before: its words are no refusal.
        gateway_failed = sends and response.status_code >= 500
        if isinstance(answer, (dict, list)) and (response.ok or (_is_json_rpc(answer) and not gateway_failed)):
            return answer
        return self._bad_status(response.status_code)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session

    def _no_answer(self, why: str, outcome: Outcome, code: str | None = None) -> _Failure:
        hint = "Check the RPC URL and that the node runs."
        return _Failure(f"The node {self.label} did not answer: {why}.", outcome, True, hint, code)

    def _bad_status(self, status: int) -> _Failure:
        if status == 429:
            return _Failure(
                f"The node {self.label} answered HTTP 429: too many requests.",
                "not_sent", True, "Send fewer requests, or use an endpoint of your own.", "rate_limited",
            )  # fmt: skip
        if 200 <= status < 300:
            return _Failure(
                f"The node {self.label} answered with something that is not JSON-RPC.",
                "unknown", False, "Check that the URL is that of an Ethereum JSON-RPC endpoint.",
            )  # fmt: skip
        hint = "Check the key in the RPC URL." if status in (401, 403) else "Check the RPC URL."
        code = _TIMEOUT if status in _TIMEOUT_STATUS else _TOO_LARGE if status == 413 else None
        return _Failure(f"The node {self.label} answered HTTP {status}.", "unknown", status >= 500, hint, code)

    def _not_json_rpc(self, method: str) -> RpcUnavailable:
        return RpcUnavailable(
            f"The node {self.label} answered with something that is not JSON-RPC.",
            retryable=False,
            outcome="unknown" if _sends(method) else "none",
        )

    def _result(self, answer: Any, method: str) -> Any:
        if not isinstance(answer, dict):
            raise self._not_json_rpc(method)
        error = answer.get("error")
        if error is not None:
            return self._error(error, method)
        if "result" not in answer:
            raise self._not_json_rpc(method)
        return answer["result"]

    def _error(self, error: Any, method: str) -> RpcError:
        if not isinstance(error, dict):
            return RpcError(-32000, f"{method}: {self._scrub(str(error))}")
        code = error.get("code")
        number = code if isinstance(code, int) else -32000
        message = self._scrub(str(error.get("message", "no message")))
        data = self._scrub_all(error.get("data"))
        return RpcError(number, message, data, retryable=number in _RATE_LIMIT_CODES)

    def _scrub_all(self, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: self._scrub_all(value) for key, value in data.items()}
        if isinstance(data, list):
            return [self._scrub_all(value) for value in data]
        # What a contract says stays as it is, whatever digits it has in common with a key.
        return self._scrub(data) if isinstance(data, str) and not _HEX.fullmatch(data) else data

    def _scrub(self, text: str) -> str:
        # Providers quote the key, or the whole URL, in some of their own messages.
        parts = urlsplit(self._url)
        text = text.replace(self._url, self.label)
        found = [*parts.path.split("/"), *parts.query.replace("&", "=").split("="), parts.username, parts.password]
        pieces = {spelling for piece in found if piece for spelling in (piece, unquote(piece)) if len(spelling) >= 8}
        for piece in sorted(pieces, key=len, reverse=True):
            text = text.replace(piece, "***")
        return text


def _path_of(url: str) -> str | None:
    """What follows the host of an http or https URL, None if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    try:
        (parts.hostname or "").encode("idna")  # what the HTTP library tries only when it connects
        return requests.Request("POST", url).prepare().path_url
    except (requests.RequestException, ValueError):
        return None


def _sends(method: str) -> bool:
    return method.startswith("eth_send")


def _is_json_rpc(answer: Any) -> bool:
    return isinstance(answer, list) or "error" in answer or "result" in answer


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
