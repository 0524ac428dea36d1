"""Budgets of a fleet, in a Redis: one Lua script for each call, so that each is one step for everybody."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from actp import observing
from actp.errors import InvalidInput
from actp.units import shown
from coordinator.tracker.connecting import connect, new_epoch, script_text, settings_warnings, troubles
from coordinator.tracker.durability import Durability
from coordinator.tracker.errors import ForeignToken, TokenUsed, UnitMismatch, UnknownToken, exceeded, too_much
from coordinator.tracker.measuring import counted, readings
from coordinator.tracker.money import amount_of, checked_scope, checked_scopes, checked_ttl, micros_of, unit_of
from coordinator.tracker.naming import redis_label
from coordinator.tracker.words import (
    DEFAULT_TTL_SECONDS,
    KEPT_SECONDS,
    Amount,
    Committed,
    Reservation,
    ReservationToken,
    TokenState,
    Unit,
    Usage,
)

__all__ = ["RedisTracker"]

_log = logging.getLogger(__name__)
_PREFIX = re.compile(r"[!-z|~]{1,200}\Z")
_LONGEST_ROOT = 200
_KEPT_MS = int(KEPT_SECONDS * 1000)
_LOOK_AT_ONCE = 100


class _Script(NamedTuple):
    text: str
    digest: str


@cache
def _script(name: str) -> _Script:
    text = script_text(name)
    # Redis names scripts by SHA-1; nothing rests on it.
    return _Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class RedisTracker:
    """`Tracker` over a Redis, of version 5 or newer, for all processes that give the same URL, root and prefix.

    `root` keeps apart fleets that share a Redis; the keys are `PREFIX:{ROOT}:spent:SCOPE` and so on, on one node of a
    cluster. Instead of the URL, `client` may be a redis.Redis or redis.cluster.RedisCluster of yours; it is not closed
    here, and what a new primary has not got is not noticed with it. Connects with the first call. Raises ConfigError
    and InvalidInput.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        root: str = "default",
        prefix: str = "actp:budget",
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        client: Any = None,
    ) -> None:
        self._ttl = checked_ttl(ttl_seconds)
        self._base = _base(root, prefix)
        self._name = f"redis:{self._base}"
        self._epoch, self._names = f"{self._base}epoch", f"{self._base}scopes"
        self._replication_id = ""
        self._lock = threading.Lock()
        self._lost: tuple[str, ...] = ()
        self._owned = client is None
        self._label = f"Redis at {redis_label(url)}" if client is None else "Redis"
        self._connected = client is not None
        """Whether there has ever been a connection: without one, nothing was done, whatever was asked for."""
        self._client: Any = connect(url, self._epoch, self._note) if client is None else client
        self._durability = Durability(lambda: settings_warnings(self._client, self._label))
        observing.watch(self, readings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `Tracker.warnings`."""
        return self._durability.warnings + self._lost

    def check(self) -> tuple[str, ...]:
        """See `Tracker.check`: persistence, and what happens when memory is full."""
        self._durability.check()
        return self.warnings

    def reserve(
        self,
        scope: str | Sequence[str],
        amount_usd: Amount,
        *,
        unit: Unit | str = Unit.USD,
        ttl_seconds: float | None = None,
    ) -> ReservationToken:
        """See `Tracker.reserve`."""
        names = checked_scopes(scope)
        kind = unit_of(unit)
        micros = micros_of(amount_usd, kind, positive=True)
        ttl = self._ttl if ttl_seconds is None else checked_ttl(ttl_seconds)
        # Chosen here, so that the script knows the call again if its answer was lost and it is repeated.
        token_id = secrets.token_hex(16)
        ttl_ms = max(1, round(ttl * 1000))
        self._durability.tell()
        answer = self._run(
            "reserve",
            self._keys(token_id, names),
            (token_id, micros, kind.value, ttl_ms, _KEPT_MS, self._fresh(), *names),
        )
        if answer[0] == "granted":
            return ReservationToken(token_id, self._name, names, micros, kind, int(answer[1]) / 1000, answer[2])
        name = names[int(answer[1]) - 1]
        if answer[0] == "unit":
            raise UnitMismatch(name, expected=Unit(answer[2]), given=kind)
        limit = None if answer[2] == "" else int(answer[2])
        raise exceeded(name, limit, int(answer[3]), int(answer[4]), micros, kind)

    def commit(self, token: ReservationToken, actual_usd: Amount) -> Committed:
        """See `Tracker.commit`. After a loss of data it is recorded, too: `lost`."""
        self._check_token(token)
        actual = micros_of(actual_usd, token.unit, name="actual")
        _, repeated, late, lost = self._finish(token, str(actual))
        if lost == "1" and repeated == "0":
            self._warn_of_loss(
                "Redis has lost data: it does not know the reservation of a commit. What that cost is recorded; limits "
                "and what else was spent may be gone."
            )
        gone = late == "1" or lost == "1"
        returned = 0 if gone else max(0, token.micros - actual)
        overrun = max(0, actual - token.micros)
        return counted(token, Committed(actual, returned, overrun, late == "1", lost == "1", repeated == "1"))

    def release(self, token: ReservationToken) -> None:
        """See `Tracker.release`."""
        self._check_token(token)
        self._finish(token, "")

    def get_spent(self, scope: str) -> Decimal:
        """See `Tracker.get_spent`."""
        return self._look([checked_scope(scope)])[0].spent

    def get_reserved(self, scope: str) -> Decimal:
        """See `Tracker.get_reserved`."""
        return self._look([checked_scope(scope)])[0].reserved

    def get_budget(self, scope: str) -> Decimal | None:
        """See `Tracker.get_budget`."""
        return self._look([checked_scope(scope)])[0].limit

    def set_budget(self, scope: str, limit: Amount | None, *, unit: Unit | str = Unit.USD) -> None:
        """See `Tracker.set_budget`."""
        name = checked_scope(scope)
        kind = unit_of(unit)
        micros = "" if limit is None else micros_of(limit, kind, name="limit")
        self._durability.tell()
        answer = self._run("limit", [self._names, *self._scope_keys(name)], (name, micros, kind.value))
        if answer[0] == "unit":
            raise UnitMismatch(name, expected=Unit(answer[1]), given=kind)

    def reservations(self, scope: str | None = None) -> tuple[Reservation, ...]:
        """See `Tracker.reservations`. What changes while they are read may or may not be among them."""
        names = self._known_names() if scope is None else [checked_scope(scope)]
        with self._troubles(changes=False):
            tokens = set()
            for name in names:
                tokens |= {_text(one) for one in self._client.zrange(f"{self._base}reserved:{name}", 0, -1)}
            seconds, micros = self._client.time()
            found = [(one, self._client.hgetall(f"{self._base}token:{one}")) for one in sorted(tokens)]
        now = int(seconds) + int(micros) / 1_000_000
        opened = [
            self._token(one, {_text(key): _text(value) for key, value in row.items()}) for one, row in found if row
        ]
        held = [one for one in opened if one is not None and one.expires_at > now]
        held.sort(key=lambda one: (one.expires_at, one.id))
        return tuple(Reservation(one, amount_of(one.micros, one.unit), one.expires_at - now) for one in held)

    def scopes(self) -> tuple[Usage, ...]:
        """See `Tracker.scopes`. Each is as it was at one moment, not all at the same."""
        names = self._known_names()
        found: list[Usage] = []
        for start in range(0, len(names), _LOOK_AT_ONCE):
            found += self._look(names[start : start + _LOOK_AT_ONCE])
        return tuple(found)

    def close(self) -> None:
        """See `Tracker.close`."""
        observing.unwatch(self)
        if self._owned:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finish(self, token: ReservationToken, actual: str) -> list[str]:
        about = (token.id, token.micros, token.unit.value, round(token.expires_at * 1000))
        answer = self._run(
            "finish",
            self._keys(token.id, token.scopes),
            (*about, token.epoch, self._fresh(), _KEPT_MS, actual, *token.scopes),
        )
        match answer[0]:
            case "unknown":
                raise UnknownToken(token.id)
            case "foreign":
                raise ForeignToken(token.id, "is not as it was given out")
            case "used":
                state = TokenState(answer[1])
                raise TokenUsed(token.id, state, amount_of(int(answer[2]), token.unit) if answer[2] else None)
            case "unit":
                raise UnitMismatch(token.scopes[int(answer[1]) - 1], expected=Unit(answer[2]), given=token.unit)
            case "overflow":
                raise too_much(token.scopes[int(answer[1]) - 1])
        return answer

    def _look(self, names: Sequence[str]) -> list[Usage]:
        answers = self._run("look", [key for name in names for key in self._scope_keys(name)], (), changes=False)
        found = []
        for name, (limit, spent, reserved, unit, count, overruns, late, lost) in zip(names, answers, strict=True):
            kind = Unit(unit or Unit.USD)
            found.append(
                Usage(
                    scope=name,
                    unit=kind,
                    limit=None if limit == "" else amount_of(int(limit), kind),
                    spent=amount_of(int(spent), kind),
                    reserved=amount_of(int(reserved), kind),
                    reservations=int(count),
                    overruns=int(overruns),
                    late=int(late),
                    lost=int(lost),
                )
            )
        return found

    def _known_names(self) -> list[str]:
        with self._troubles(changes=False):
            return sorted(_text(name) for name in self._client.smembers(self._names))

    def _token(self, token_id: str, row: dict[str, str]) -> ReservationToken | None:
        if row["state"] != "held":
            return None
        names = tuple(row["scopes"].split("\n"))
        expires_at = int(row["expires_at"]) / 1000
        return ReservationToken(
            token_id, self._name, names, int(row["amount"]), Unit(row["unit"]), expires_at, row["epoch"]
        )

    def _check_token(self, token: object) -> None:
        if type(token) is not ReservationToken:
            raise InvalidInput(f"{shown(token)} is no token.", hint="Give the token that reserve has returned.")
        if token.tracker != self._name:
            raise ForeignToken(token.id, "belongs to another tracker")

    def _keys(self, token_id: str, names: Sequence[str]) -> list[str]:
        keys = [self._epoch, self._names, f"{self._base}token:{token_id}"]
        for name in names:
            keys += self._scope_keys(name)
        return keys

    def _scope_keys(self, name: str) -> list[str]:
        # The name comes last, so that no two names can have the same key whatever is in them.
        base = self._base
        return [
            f"{base}limit:{name}", f"{base}spent:{name}", f"{base}reserved:{name}", f"{base}amounts:{name}",
            f"{base}scope:{name}",
        ]  # fmt: skip

    def _run(self, name: str, keys: list[str], args: Sequence[str | int], *, changes: bool = True) -> list[Any]:
        import redis

        script = _script(name)
        with self._troubles(changes=changes):
            try:
                answer = self._client.evalsha(script.digest, len(keys), *keys, *args)
            except redis.exceptions.NoScriptError:
                answer = self._client.eval(script.text, len(keys), *keys, *args)
        return [[_text(part) for part in one] if isinstance(one, list) else _text(one) for one in answer]

    def _fresh(self) -> str:
        return new_epoch(self._replication_id)

    def _troubles(self, *, changes: bool) -> AbstractContextManager[None]:
        return troubles(self._label, lambda: changes and self._connected)

    def _note(self, replication_id: str) -> None:
        self._connected = True
        self._replication_id = replication_id or self._replication_id

    def _warn_of_loss(self, warning: str) -> None:
        with self._lock:
            if self._lost:
                return
            self._lost = (warning,)
        _log.warning("%s", warning)


def _base(root: object, prefix: object) -> str:
    """What all keys begin with: a cluster keeps together what has the same text in braces."""
    if type(prefix) is not str or not _PREFIX.match(prefix):
        raise InvalidInput(
            f"{shown(prefix)} is no prefix of keys.", hint="Use printable ASCII without braces and blanks."
        )
    if type(root) is not str or not 1 <= len(root) <= _LONGEST_ROOT or not root.isprintable():
        raise InvalidInput(
            f"{shown(root)} is no root of budgets.", hint=f"Use 1 to {_LONGEST_ROOT} printable characters."
        )
    return f"{prefix}:{{{quote(root, safe=' !#$&()*+,/;:=?@[]^|')}}}:"


def _text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
