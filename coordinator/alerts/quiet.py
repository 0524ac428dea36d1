"""Keeping the URLs of alerts out of logs: below warnings, apprise and what it sends with write whole URLs into them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["quiet"]

_LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests", "requests_oauthlib", "httpx")
_kept: ContextVar[list[str] | None] = ContextVar("actp_alerts_kept", default=None)


class _Silence(logging.Filter):
    """Lets nothing through that is logged while alerts are sent, by the thread that does so or one of its helpers, and
    keeps the warnings.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        kept = _kept.get()
        if kept is not None and record.levelno >= logging.WARNING:
            kept.append(record.getMessage())
        return kept is None


_SILENCE = _Silence()


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Nothing is logged about what happens in here; others who use the same libraries log as they did. Gives the list
    of the warnings that there would have been, which may have parts of URLs in them.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_SILENCE)  # once: a filter that is there is not added again
    kept: list[str] = []
    token = _kept.set(kept)
    try:
        yield kept
    finally:
        _kept.reset(token)
