"""JSON-RPC over HTTP.

Endpoint URLs carry keys, so no message, repr or traceback of this module shows more than scheme and host.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from actp import measures
from actp.errors import ConfigError, Outcome, RpcError, RpcUnavailable
from actp.rpc.transport import RATE_LIMIT_CODES, TIMEOUT, TOO_LARGE, sends

__all__ = ["HttpTransport", "redact_url"]

_HEX = re.compile("0x[0-9a-fA-F]*")
_INTERNAL_ERROR = -32603
_TIMEOUT_STATUS = frozenset({408, 504, 524})


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
        self._endpoint = redacted
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
        measures.RPC_REQUESTS.add(1, self._endpoint, method)
        return self._result(self._post(body, sending=sends(method)), method)

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See Transport: one HTTP request, however many calls. How many a node takes at once is up to the node."""
        if not calls:
            return []
        bodies = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params} for method, params in calls
        ]
        for method, number in Counter(method for method, _ in calls).items():
            measures.RPC_REQUESTS.add(number, self._endpoint, method)
        sending = any(sends(method) for method, _ in calls)
        answer = self._post(bodies, sending=sending)
        if isinstance(answer, dict) and answer.get("error") is not None:
            # Refused as a whole: too many calls, or a rate limit.
            return [self._error(answer["error"], method) for method, _ in calls]
        found = {one["id"]: one for one in self._numbered(answer)}
        if not any(body["id"] in found for body in bodies):
            raise self._not_json_rpc(sending)
        return [self._item(found.get(body["id"]), method) for body, (method, _) in zip(bodies, calls, strict=True)]

    @staticmethod
    def _numbered(answer: Any) -> list[dict[str, Any]]:
        """The parts of a batch's answer that say what they answer; of two for one call the first counts."""
        parts = answer if isinstance(answer, list) else []
        return [one for one in reversed(parts) if isinstance(one, dict) and isinstance(one.get("id"), int)]

    def _item(self, answer: dict[str, Any] | None, method: str) -> Any:
        if answer is not None and answer.get("error") is not None:
            return self._error(answer["error"], method)
        if answer is None or "result" not in answer:
            return RpcError(
                _INTERNAL_ERROR, f"The node {self.label} left the call of {method} out of its answer.", retryable=True
            )
        return answer["result"]

    def _post(self, body: Any, *, sending: bool) -> Any:
        started = time.perf_counter()
        answer = self._exchange(body, sending=sending)
        measures.RPC_SECONDS.observe(time.perf_counter() - started, self._endpoint)
        if isinstance(answer, _Failure):
            measures.RPC_ERRORS.add(1, self._endpoint, answer.code or "unavailable")
            # Raised here and not where it was caught: the causes, which a traceback shows, hold the URL.
            raise RpcUnavailable(
                answer.message,
                code=answer.code,
                hint=answer.hint,
                retryable=answer.retryable,
                outcome=answer.outcome if sending else "none",
            )
        return answer

    def _exchange(self, body: Any, *, sending: bool) -> Any:
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
            return self._no_answer(f"no answer within {self._timeout:g} s", "unknown", TIMEOUT)
        except requests.exceptions.RequestException as error:
            return self._no_answer(type(error).__name__, "unknown")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        # A gateway that fails behind its own answer may have handed the bytes on before: its words are no refusal.
        gateway_failed = sending and response.status_code >= 500
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
        code = TIMEOUT if status in _TIMEOUT_STATUS else TOO_LARGE if status == 413 else None
        return _Failure(f"The node {self.label} answered HTTP {status}.", "unknown", status >= 500, hint, code)

    def _not_json_rpc(self, sending: bool) -> RpcUnavailable:
        return RpcUnavailable(
            f"The node {self.label} answered with something that is not JSON-RPC.",
            retryable=False,
            outcome="unknown" if sending else "none",
        )

    def _result(self, answer: Any, method: str) -> Any:
        if not isinstance(answer, dict):
            raise self._not_json_rpc(sends(method))
        error = answer.get("error")
        if error is not None:
            raise self._error(error, method)
        if "result" not in answer:
            raise self._not_json_rpc(sends(method))
        return answer["result"]

    def _error(self, error: Any, method: str) -> RpcError:
        measures.RPC_ERRORS.add(1, self._endpoint, _reason(error))
        if not isinstance(error, dict):
            return RpcError(-32000, f"{method}: {self._scrub(str(error))}")
        code = error.get("code")
        number = code if isinstance(code, int) else -32000
        message = self._scrub(str(error.get("message", "no message")))
        data = self._scrub_all(error.get("data"))
        return RpcError(number, message, data, retryable=number in RATE_LIMIT_CODES)

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


def _reason(error: Any) -> str:
    """What kind of error a node's answer is, for those who count them."""
    code = error.get("code") if isinstance(error, dict) else None
    return "rate_limited" if code in RATE_LIMIT_CODES else "rpc_error"


def _is_json_rpc(answer: Any) -> bool:
    return isinstance(answer, list) or "error" in answer or "result" in answer
