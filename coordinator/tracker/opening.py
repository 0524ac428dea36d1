"""Which tracker: from flags, from a URL, or from the environment that `coordinator budget exec` gives its program."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from actp.errors import ConfigError
from coordinator.tracker.guarding import Budget
from coordinator.tracker.local import LocalTracker
from coordinator.tracker.naming import redis_label
from coordinator.tracker.redis import RedisTracker
from coordinator.tracker.stopping import Stop
from coordinator.tracker.words import DEFAULT_TTL_SECONDS, Tracker, Unit

__all__ = [
    "ROOT_VARIABLE",
    "SESSION_VARIABLE",
    "TRACKER_VARIABLE",
    "URL_VARIABLE",
    "Kind",
    "Place",
    "open_budget",
    "open_tracker",
]

TRACKER_VARIABLE = "ACTP_BUDGET_TRACKER"
"""The kind of tracker: a `Kind`."""
URL_VARIABLE = "ACTP_BUDGET_URL"
"""Where its ledger is; with its password, if it has one."""
ROOT_VARIABLE = "ACTP_BUDGET_ROOT"
"""Which fleet's."""
SESSION_VARIABLE = "ACTP_BUDGET_SESSION"
"""The scope that everything is spent in."""

_REDIS_SCHEMES = ("redis", "rediss", "unix")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Kind(StrEnum):
    """Kinds of trackers."""

    LOCAL = "local"
    """Dictionaries of one process, which nobody else sees."""
    REDIS = "redis"
    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ledger is. `url` may have a password in it and is not for people; `label` is."""

    kind: Kind
    url: str = field(default="", repr=False)
    root: str = "default"

    @property
    def label(self) -> str:
        """What to call it: never a password."""
        match self.kind:
            case Kind.LOCAL:
                return "local"
            case Kind.REDIS:
                return redis_label(self.url)
            case Kind.SQLITE | Kind.POSTGRESQL:
                from actp.engine.store.database import parse_url

                parsed = parse_url(self.url)
                host = parsed.host if parsed.port is None else f"{parsed.host or 'localhost'}:{parsed.port}"
                return f"{self.kind}:{f'//{host}/' if host else ''}{parsed.database or 'in memory'}"

    @property
    def file(self) -> Path | None:
        """The file of a database in SQLite."""
        if self.kind is not Kind.SQLITE:
            return None
        from actp.engine.store.database import parse_url

        name = parse_url(self.url).database
        return None if name in (None, "", ":memory:") else Path(str(name))

    def open(self, *, ttl_seconds: float = DEFAULT_TTL_SECONDS) -> Tracker:
        """A tracker on it. Raises ConfigError, InvalidInput, TrackerUnavailable."""
        match self.kind:
            case Kind.LOCAL:
                return LocalTracker(ttl_seconds=ttl_seconds)
            case Kind.REDIS:
                return RedisTracker(self.url, self.root, ttl_seconds=ttl_seconds)
            case Kind.SQLITE | Kind.POSTGRESQL:
                # Databases take long to import, and most trackers need none.
                from coordinator.tracker.ledger import LedgerTracker

                return LedgerTracker(self.url, self.root, ttl_seconds=ttl_seconds)

    def environment(self, session: str | None = None) -> dict[str, str]:
        """The variables with which `open_tracker` finds it in another process, and `open_budget` the session too."""
        found = {TRACKER_VARIABLE: self.kind.value, URL_VARIABLE: self._anywhere(), ROOT_VARIABLE: self.root}
        return found if session is None else {**found, SESSION_VARIABLE: session}

    def _anywhere(self) -> str:
        """The URL as it holds for a process in any folder."""
        file = self.file
        if file is None or file.is_absolute():
            return self.url
        if _SCHEME.match(self.url) is None:
            return str(file.absolute())
        from actp.engine.store.database import parse_url

        return parse_url(self.url).set(database=str(file.absolute())).render_as_string(hide_password=False)

    @classmethod
    def of(
        cls,
        kind: Kind | str | None = None,
        url: str | None = None,
        root: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> Place:
        """The place that these name. What is not given is in the environment: all of it, or the URL of a kind, or the
        kind that a URL says. Without any of it, a tracker of this process. Raises ConfigError.
        """
        named = url or (None if kind == Kind.LOCAL else environ.get(URL_VARIABLE))
        wanted = kind or (None if url else environ.get(TRACKER_VARIABLE))
        said = None if not named else _kind_of(named)
        if wanted is None:
            chosen = Kind.LOCAL if said is None else said
        else:
            try:
                chosen = Kind(wanted)
            except ValueError as error:
                raise ConfigError(
                    f"There is no tracker {str(wanted)[:40]!r}.", hint=f"There are {', '.join(Kind)}."
                ) from error
        if said is not None and chosen is not said:
            raise ConfigError(
                f"The tracker is to be {chosen}, and its URL is one of {said}.", hint="Give the URL that belongs to it."
            )
        if named is None and chosen is not Kind.LOCAL:
            raise ConfigError(
                f"It is not said where the tracker's ledger is ({chosen}).",
                hint=f"Give its URL, or set {URL_VARIABLE}.",
            )
        return cls(chosen, named or "", root or environ.get(ROOT_VARIABLE) or "default")


def open_tracker(
    kind: Kind | str | None = None,
    url: str | None = None,
    root: str | None = None,
    *,
    ttl_seconds: float = DEFAULT_TTL_SECONDS,
) -> Tracker:
    """A tracker of this kind, or at this URL, or else the one that the environment names, as `coordinator budget exec`
    does. Raises ConfigError, InvalidInput, TrackerUnavailable.
    """
    return Place.of(kind, url, root).open(ttl_seconds=ttl_seconds)


def open_budget(
    *scopes: str,
    unit: Unit | str = Unit.USD,
    ttl_seconds: float | None = None,
    not_charged: tuple[type[BaseException], ...] = (),
    stop: Stop | None = None,
) -> Budget:
    """Guards calls with the tracker that the environment names, in its session, and in `scopes` within that. Raises
    what `open_tracker` raises.
    """
    session = os.environ.get(SESSION_VARIABLE)
    return Budget(
        open_tracker(),
        *(() if not session else (session,)),
        *(one for one in scopes if one != session),
        unit=unit,
        ttl_seconds=ttl_seconds,
        not_charged=not_charged,
        stop=stop,
    )


def _kind_of(url: str) -> Kind:
    scheme = _SCHEME.match(url)
    name = "" if scheme is None else scheme[1].lower().partition("+")[0]
    if name in _REDIS_SCHEMES:
        return Kind.REDIS
    from actp.engine.store.database import parse_url

    return Kind(parse_url(url).get_backend_name())
