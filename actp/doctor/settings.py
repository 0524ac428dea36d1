"""Which settings are in force, and where each came from."""

from __future__ import annotations

import os

from actp.config import RPC_POOL_VARIABLE, RPC_URL_VARIABLE, STORE_VARIABLE
from actp.deployments import FOLDER_VARIABLE, writable_folder
from actp.doctor.report import Setting, Subject
from actp.engine.store.peeking import redacted
from actp.errors import ActpError
from actp.networks import transport_for

__all__ = ["settings_of"]


def settings_of(subject: Subject) -> tuple[Setting, ...]:
    """Every setting that a client of this subject would use, without secrets."""
    default = f"default of {subject.network.value}"
    found = [
        Setting("network", subject.network.value, "--network"),
        _rpc_setting(subject, default),
        Setting("chain id", str(subject.expected_chain), default if subject.chain_id is None else "--chain-id"),
        Setting("deployment", subject.deployment_name, "default" if subject.deployment is None else "--deployment"),
        Setting(
            "address books",
            str(writable_folder()),
            FOLDER_VARIABLE if os.environ.get(FOLDER_VARIABLE) else "default",
        ),
    ]
    found.append(_store_setting(subject))
    if subject.account is not None:
        found.append(Setting("account", subject.account, subject.account_origin))
    return tuple(found)


def _store_setting(subject: Subject) -> Setting:
    url = subject.store_url
    if url is None:
        return Setting("store", "memory", "default")
    try:
        shown = redacted(url)
    except ActpError:
        shown = "unusable"
    return Setting("store", shown, "--store" if subject.store else STORE_VARIABLE)


def _rpc_setting(subject: Subject, default: str) -> Setting:
    try:
        transport = transport_for(
            subject.network, rpc_url=subject.rpc_url, rpc_pool_urls=subject.rpc_pool_urls, chain_id=subject.chain_id
        )
        label = transport.label
    except ActpError:
        label = "unusable"
    if subject.rpc_url:
        origin = "--rpc-url"
    elif subject.rpc_pool_urls is not None:
        origin = "--rpc-pool-urls"
    else:
        named = [name for name in (RPC_POOL_VARIABLE, RPC_URL_VARIABLE) if os.environ.get(name)]
        origin = named[0] if named else default
    return Setting("rpc", label, origin)
