"""Names that programs of this package give to scopes and ledgers: none of them means anything to a tracker."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from coordinator.tracker.money import checked_scope
from coordinator.tracker.words import Usage

__all__ = ["grant_of", "grant_scope", "is_ended_grant", "redis_label", "session_scope"]

_GRANT = "grant:"
_DATABASE = re.compile(r"/[0-9]{1,5}\Z")


def session_scope(session: str) -> str:
    """The scope of a session of this name. Raises InvalidInput."""
    return checked_scope(f"session:{session}")


def grant_scope(transaction_id: str) -> str:
    """The scope of what a treasury has granted for this transaction, within a session."""
    return f"{_GRANT}{transaction_id}"


def grant_of(scope: str) -> str | None:
    """The transaction whose scope it is, if it is one's."""
    return scope.removeprefix(_GRANT) if scope.startswith(_GRANT) else None


def is_ended_grant(one: Usage) -> bool:
    """Whether it is the scope of a grant for which nothing is reserved: not yet, or not any more. What was spent on it
    is in the session's scope, too.
    """
    return one.reservations == 0 and grant_of(one.scope) is not None


def redis_label(url: str) -> str:
    """What to call a Redis: never a password."""
    from actp.rpc import redact_url

    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return redact_url(url) + (parts.path if _DATABASE.match(parts.path) else "")
