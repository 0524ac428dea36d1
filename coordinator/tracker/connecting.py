"""The connection to a Redis: made, greeted, examined, and its troubles in this package's words."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actp.errors import ConfigError, Outcome
from coordinator.tracker.errors import TrackerUnavailable

if TYPE_CHECKING:
    import redis

__all__ = ["connect", "new_epoch", "script_text", "settings_warnings", "troubles"]

_ATTEMPTS = 3
_SECONDS = 5
_REPLICATION_ID = re.compile(r"master_replid:([0-9a-f]+)")
_NOTHING_DONE: Outcome = "not_sent"
_REFUSED = "tracker_refused"


def connect(url: str, epoch_key: str, noted: Callable[[str], None]) -> redis.Redis:
    """A client that connects when it is first used. Every new connection tells `noted` the server's replication id
    ("" if that is not said), and begins a new epoch if it is not the one of the epoch at hand: another server has taken
    over, or this one began anew.

    Options in the URL come before the ones here. Raises ConfigError.
    """
    try:
        import redis
        from redis.backoff import ExponentialWithJitterBackoff
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Budgets in Redis need its client, which is not installed.", hint="pip install 'actp-escrow[redis]'"
        ) from error

    def greet(connection: Any) -> None:
        connection.on_connect()
        noted("")
        try:
            connection.send_command("INFO", "replication")
            replication = _text(connection.read_response())
        except redis.exceptions.NoPermissionError:
            return  # `settings_warnings` says that nothing could be looked at
        if "role:slave" in replication:
            # A connection that is kept until the replica becomes the primary would not notice what it lacks.
            raise redis.exceptions.ReadOnlyError("READONLY")
        match = _REPLICATION_ID.search(replication)
        if match is not None:
            noted(match[1])
            connection.send_command("EVAL", script_text("epoch"), 1, epoch_key, match[1], new_epoch(match[1]))
            connection.read_response()

    try:
        # Scripts may run twice: each call carries the token that tells the second run what the first one did.
        client = redis.Redis.from_url(
            url,
            socket_timeout=_SECONDS,
            **({} if url.startswith("unix:") else {"socket_connect_timeout": _SECONDS, "socket_keepalive": True}),
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), _ATTEMPTS),
            redis_connect_func=greet,
        )
        # Its health checks would ping before they log in, where the greeting is not the client's own.
        pool = client.connection_pool
        pool.connection_kwargs["health_check_interval"] = 0
        pool.connection_class(**pool.connection_kwargs)  # options that there are not are refused here, not later
    except (ValueError, TypeError, redis.RedisError) as error:
        from actp.rpc import redact_url

        # Without its cause, which may show a part of the password that was taken for a port.
        raise ConfigError(
            f"{redact_url(url)} is no URL of a Redis: {type(error).__name__}.",
            hint="It looks like redis://user:password@host:6379/0, rediss:// for TLS, or unix:///path.",
        ) from None
    return client


def new_epoch(replication_id: str) -> str:
    """A name for the time in which a server's data are whole."""
    return f"{secrets.token_hex(8)}:{replication_id}"


def script_text(name: str) -> str:
    """A script with what all scripts begin with."""
    folder = Path(__file__).with_name("lua")
    return "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name))


def settings_warnings(client: Any, label: str) -> tuple[str, ...]:
    """What is wrong with a server that counts money: sentences. Raises what `troubles` raises."""
    import redis

    settings: dict[str, str] = {}
    with troubles(label, lambda: False):
        try:
            for name in ("appendonly", "appendfsync", "save", "maxmemory-policy"):
                found: Mapping[Any, Any] = client.config_get(name)
                settings |= {_text(key): _text(value) for key, value in found.items()}
        except redis.ResponseError as error:
            # Refused to this user, or, where others run the server, to everybody, in words of their own.
            if _named(error, label, changed=False).code != _REFUSED:
                raise
            return (
                "Redis does not say whether it keeps its data on disk: CONFIG GET is refused. Ask whoever runs it.",
            )
    return tuple(_judged(settings))


def _judged(settings: Mapping[str, str]) -> Iterator[str]:
    if settings.get("appendonly") != "yes":
        kept = settings.get("save", "").strip()
        yield (
            "Redis keeps snapshots only: if it stops, what was spent since the last one is forgotten and spent again. "
            "Set appendonly yes and appendfsync always."
            if kept
            else "Redis keeps nothing on disk: when it stops, budgets are gone, and nothing is granted until they are "
            "set again, from 0. Set appendonly yes and appendfsync always."
        )
    elif settings.get("appendfsync") != "always":
        yield (
            f"Redis answers before it has written to disk (appendfsync {settings.get('appendfsync')}): if its host "
            "stops, the last spending is forgotten. Set appendfsync always."
        )
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        yield (
            f"Redis throws data away when its memory is full (maxmemory-policy {policy}), what was spent included. "
            "Set maxmemory-policy noeviction."
        )


@contextmanager
def troubles(label: str, changing: Callable[[], bool]) -> Iterator[None]:
    """Turns what the client raises into TrackerUnavailable, in which the server is called `label`. `changing` tells
    afterwards whether something may have been changed.
    """
    import redis

    try:
        yield
    except redis.RedisError as error:
        raise _named(error, label, changed=changing()) from error


def _named(error: redis.RedisError, label: str, *, changed: bool) -> TrackerUnavailable:
    import redis

    outcome: Outcome = "unknown" if changed else _NOTHING_DONE

    # A script's error has the server's words somewhere within it, and older servers wrap them in their own.
    text = str(error)
    if "OOM " in text:
        return TrackerUnavailable(
            f"{label} has no memory left.",
            code="tracker_full",
            hint="Nothing was changed. Raise its maxmemory; commits and releases still work.",
            retryable=True,
            outcome=_NOTHING_DONE,
        )
    if "READONLY" in text:
        return TrackerUnavailable(
            f"{label} is a replica, which takes no writes.",
            hint="Nothing was changed. Give the URL of the primary.",
            retryable=True,
            outcome=_NOTHING_DONE,
        )
    if "MISCONF" in text:
        return TrackerUnavailable(
            f"{label} cannot write to its disk, and refuses to change anything.",
            hint="Nothing was changed. Its log says why.",
            retryable=True,
            outcome=_NOTHING_DONE,
        )
    if (
        isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError)
        or "NOPERM" in text
        or "NOAUTH" in text
    ):
        return TrackerUnavailable(
            f"{label} refuses this user.",
            code=_REFUSED,
            hint="Nothing was changed. Check user and password in the URL, and what the user may do.",
            outcome=_NOTHING_DONE,
        )
    if isinstance(error, redis.BusyLoadingError | redis.exceptions.ClusterDownError | redis.exceptions.TryAgainError):
        return TrackerUnavailable(
            f"{label} is not ready: {text[:200]}.", hint="Try again in a moment.", retryable=True, outcome=_NOTHING_DONE
        )
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        reason = _reason(error)
        return TrackerUnavailable(
            f"{label} did not answer{f': {reason}' if reason else ''}.",
            hint="It may have done what was asked: repeat a commit or a release; what was reserved expires by itself."
            if changed
            else "Nothing was changed. Check that it runs, and the host and the port in the URL.",
            retryable=True,
            outcome=outcome,
        )
    return TrackerUnavailable(
        f"{label} could not do it: {text[:200]}", code=_REFUSED, hint="See its log.", outcome=outcome
    )


def _reason(error: BaseException | None) -> str:
    """The system's word for why there is no connection, which the client wraps in errors of its own."""
    for _ in range(10):
        if error is None or (isinstance(error, OSError) and error.strerror):
            break
        error = error.__cause__ or error.__context__
    return (error.strerror or "") if isinstance(error, OSError) else ""


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
