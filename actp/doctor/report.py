"""What a report consists of. No I/O."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from actp.config import STORE_VARIABLE
from actp.deployments import DEFAULT_NAME
from actp.pool import EndpointStatus
from actp.types import Network

__all__ = ["Check", "Database", "Lease", "Report", "Setting", "Status", "Subject"]


class Status(Enum):
    """How a check ended. Only FAILED makes a report fail."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and what to do about it."""

    name: str
    status: Status
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as it is in force, without secrets, and where it came from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Lease:
    """Who sends from an account: the process that has its lease, and how long ago it last wrote; None if none has."""

    account: str
    holder: str | None
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Database:
    """The store of what is sent, and how many calls of the chain (or of one account) are in it.

    `url` is without user, password and options. `stuck` are those in flight that do not get on; `schema` is the version
    of its tables, `expected_schema` this program's.
    """

    url: str
    schema: str
    expected_schema: str
    writable: bool
    queued: int
    held: int
    in_flight: int
    stuck: int
    dead: int
    unknown: int
    oldest_queued_seconds: int | None
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What an examination found. `endpoints` are those of a pool, if there is one, and `database` what is known of the
    store, if one was named and can be read.
    """

    settings: tuple[Setting, ...]
    endpoints: tuple[EndpointStatus, ...]
    checks: tuple[Check, ...]
    database: Database | None = None

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.status is not Status.FAILED for check in self.checks)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be examined: the arguments of `ACTPClient.create`, with an address for the key.

    `account_origin` is the setting that the address came from. `store` is a database's URL, else ACTP_STORE_URL.
    """

    network: Network
    rpc_url: str | None = field(default=None, repr=False)
    rpc_pool_urls: str | Sequence[str] | None = field(default=None, repr=False)
    chain_id: int | None = None
    deployment: str | None = None
    account: str | None = None
    account_origin: str = ""
    store: str | None = field(default=None, repr=False)

    @property
    def expected_chain(self) -> int:
        return self.network.chain_id if self.chain_id is None else self.chain_id

    @property
    def deployment_name(self) -> str:
        return self.deployment or DEFAULT_NAME

    @property
    def store_url(self) -> str | None:
        """The store that a client would use, None for one in memory."""
        return self.store or os.environ.get(STORE_VARIABLE) or None
