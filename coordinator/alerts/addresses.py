"""Whom to tell: URLs of apprise. As they are secrets, none is ever shown, logged or stored; digests stand for them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from actp.errors import ConfigError
from coordinator.alerts.quiet import quiet
from coordinator.store.alerts import AlertKind

if TYPE_CHECKING:
    from apprise import NotifyBase

__all__ = ["ARBITER", "URLS_VARIABLE", "Address", "read_addresses"]

URLS_VARIABLE = "ACTP_ALERT_URLS"
"""The environment variable with the URLs, separated by white space."""

ARBITER = "arbiter"
"""The word in front of a URL that is told of disputes and nothing else."""

_WORDS = {**{one.value: frozenset({one}) for one in AlertKind}, ARBITER: frozenset({AlertKind.DISPUTE})}
_PREFIX = re.compile(r"([A-Za-z]+(?:,[A-Za-z]+)*)=(?=[A-Za-z0-9]+://)")
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Address:
    """Somewhere to send alerts of these kinds. `name` is the service's ("Slack"); `digest` stands for the URL."""

    name: str
    digest: str
    kinds: frozenset[AlertKind]
    service: NotifyBase = field(repr=False, compare=False)


def read_addresses(path: Path | None = None, environment: Mapping[str, str] | None = None) -> tuple[Address, ...]:
    """The addresses in a file, or else in the environment variable ACTP_ALERT_URLS; none if there is neither.

    One URL after the other, separated by white space; in a file, lines that begin with # are left out. A URL is told of
    everything, or with a prefix only of some kinds: `budget,drift=slack://...`, `arbiter=mailto://...` for disputes.

    Raises ConfigError, which never shows a URL, if the file cannot be read, a URL is none of apprise's, a kind is
    unknown, or the extra `alerts` is not installed.
    """
    if path is None:
        values = os.environ if environment is None else environment
        place, texts = URLS_VARIABLE, values.get(URLS_VARIABLE, "").split()
    else:
        place, texts = str(path), list(_words_of(path))
    found: dict[str, Address] = {}
    for position, text in enumerate(texts, start=1):
        address = _address(text, f"URL {position} of {place}")
        found.setdefault(address.digest, address)
    return tuple(found.values())


def _words_of(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} with the URLs of alerts cannot be read: {type(error).__name__}.") from error
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            yield from line.split()


def _address(text: str, what: str) -> Address:
    kinds, url = frozenset(AlertKind), text
    prefix = _PREFIX.match(text)
    if prefix is not None:
        url = text[prefix.end() :]
        words = prefix[1].lower().split(",")
        unknown = [word for word in words if word not in _WORDS]
        if unknown:
            raise ConfigError(
                f"{what} is for alerts of the kind {unknown[0]!r}, and there is none.",
                hint=f"Kinds are {', '.join(_WORDS)}.",
            )
        kinds = frozenset[AlertKind]().union(*(_WORDS[word] for word in words))
    service = _service(url)
    if service is None:
        raise ConfigError(
            f"{what} is not one that alerts can be sent to.",
            hint="The schemes and their parts are listed at https://appriseit.com/services/.",
        )
    digest = hashlib.sha256(url.encode()).hexdigest()[:_SHOWN]
    return Address(str(service.service_name), digest, kinds, service)


def _service(url: str) -> NotifyBase | None:
    try:
        from apprise import Apprise, AppriseAsset
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Alerts are sent with apprise, which is not installed.", hint="pip install 'actp-escrow[alerts]'"
        ) from error
    with quiet():
        asset = AppriseAsset(app_id="ACTP", app_desc="Budgets of agents", async_mode=False)
        return Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
