"""What a treasury allows. Read from TOML or given as arguments; checked either way, and frozen."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from actp.errors import ConfigError, InvalidInput
from coordinator.canonical import digest
from coordinator.policy import reading
from coordinator.policy.reading import ANY, RateCaps
from coordinator.types import IntentType

__all__ = ["ANY", "PolicyError", "PolicySettings", "RateCaps"]

_FORM = 1
"""Part of every version: goes up when a rule changes its meaning, so that equal versions always decide alike."""
_VERSION_DIGITS = 16
_MAX_BYTES = 1_000_000

_READERS: Mapping[str, Callable[[object, str], Any]] = {
    "allowed_intents": reading.intents,
    "allowed_contracts": reading.contracts,
    "allowed_providers": reading.parties,
    "allowed_spenders": reading.parties,
    "max_amount": reading.assets,
    "approval_over": reading.assets,
    "max_concentration_bps": reading.bps,
    "max_fee_wei": reading.amount,
    "max_slippage_bps": reading.bps,
    "max_quote_age_seconds": reading.seconds,
    "oracle_deviation_bps": reading.bps,
    "max_token_exposure": reading.assets,
    "max_contract_exposure": reading.assets,
    "max_counterparty_exposure": reading.assets,
    "max_daily_loss": reading.assets,
    "max_drawdown_bps": reading.bps,
    "agent_rate": reading.caps,
    "wallet_rate": reading.caps,
    "require_approval_on_demand": reading.flag,
}


class PolicyError(ConfigError):
    """Settings that no policy can be made of: one line for each thing that is wrong, which begins with its key."""

    default_code = "policy"

    def __init__(self, problems: Sequence[str], *, source: str = "These settings") -> None:
        super().__init__("\n".join([f"{source} cannot be used:", *(f"  {problem}" for problem in problems)]))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """Every rule's limit; None leaves the rule out. coordinator/policy/README.md describes each.

    Limits are inclusive. Amounts are base units by asset ("ETH" or a token's address), and an asset that a table of
    amounts does not name has the limit 0 there, except in `max_daily_loss`. Raises PolicyError.
    """

    allowed_intents: Mapping[str, frozenset[IntentType]] | None = None
    allowed_contracts: Mapping[str, frozenset[str]] | None = None
    allowed_providers: frozenset[str] | None = None
    allowed_spenders: frozenset[str] | None = None
    max_amount: Mapping[str, int] | None = None
    approval_over: Mapping[str, int] | None = None
    max_concentration_bps: int | None = None
    max_fee_wei: int | None = None
    max_slippage_bps: int | None = None
    max_quote_age_seconds: int | None = None
    oracle_deviation_bps: int | None = None
    max_token_exposure: Mapping[str, int] | None = None
    max_contract_exposure: Mapping[str, int] | None = None
    max_counterparty_exposure: Mapping[str, int] | None = None
    max_daily_loss: Mapping[str, int] | None = None
    max_drawdown_bps: int | None = None
    agent_rate: RateCaps | None = None
    wallet_rate: RateCaps | None = None
    require_approval_on_demand: bool = True
    version: str = field(init=False, compare=False)
    """Sixteen hex digits of the SHA-256 of the canonical form: equal settings, however written, have equal versions."""

    def __post_init__(self) -> None:
        problems = []
        for name, read in _READERS.items():
            value = getattr(self, name)
            if value is None and name != "require_approval_on_demand":
                continue
            try:
                object.__setattr__(self, name, read(value, name))
            except InvalidInput as error:
                problems.append(error.message)
        if not problems:
            problems = _contradictions(self)
        if problems:
            raise PolicyError(problems)
        object.__setattr__(self, "version", digest({"form": _FORM, "rules": self.as_json()})[2 : 2 + _VERSION_DIGITS])

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Settings from plain data, such as a parsed TOML or JSON file. Raises PolicyError, for unknown keys too."""
        unknown = [_unknown(name) for name in settings if name not in _READERS]
        known = {name: value for name, value in settings.items() if name in _READERS}
        try:
            result = cls(**known)
        except PolicyError as error:
            raise PolicyError([*unknown, *error.problems]) from None
        if unknown:
            raise PolicyError(unknown)
        return result

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Settings from a TOML file. Raises PolicyError, which names the file."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise PolicyError([f"cannot be read: {error.strerror or error}"], source=str(path)) from None
        if len(raw) > _MAX_BYTES:
            raise PolicyError([f"larger than {_MAX_BYTES:,} bytes"], source=str(path))
        try:
            settings = tomllib.loads(raw.decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PolicyError([f"not TOML: {error}"], source=str(path)) from None
        try:
            return cls.from_mapping(settings)
        except PolicyError as error:
            raise PolicyError(error.problems, source=str(path)) from None

    def as_json(self) -> dict[str, Any]:
        """The canonical form, which `from_mapping` reads back: plain data with sorted lists and amounts as strings,
        without the rules that are left out.
        """
        written = {name: _plain(getattr(self, name), name) for name in _READERS}
        return {name: value for name, value in written.items() if value is not None}


def _plain(value: object, name: str) -> Any:
    if isinstance(value, RateCaps):
        counts = {"minute": value.minute, "hour": value.hour, "day": value.day}
        return {window: count for window, count in counts.items() if count is not None}
    if isinstance(value, Mapping):
        return {key: str(inner) if type(inner) is int else _plain(inner, name) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return ANY if value == {ANY} else sorted(str(item) for item in value)
    return str(value) if type(value) is int and _READERS[name] is reading.amount else value


def _contradictions(settings: PolicySettings) -> list[str]:
    """Limits that another one makes unreachable: one of the two is not what was meant."""
    pairs = (
        ("approval_over", "max_amount"),
        ("max_contract_exposure", "max_token_exposure"),
        ("max_counterparty_exposure", "max_token_exposure"),
    )
    problems = []
    for inner_name, outer_name in pairs:
        inner, outer = getattr(settings, inner_name), getattr(settings, outer_name)
        if inner is None or outer is None:
            continue
        for asset, limit in inner.items():
            most = outer.get(asset, 0)
            if limit > most:
                named = f"{most:,}" if asset in outer else "0, as it does not name this asset"
                problems.append(f"{inner_name}.{asset}: {limit:,} is above {outer_name}, which is {named}")
    return problems


def _unknown(name: object) -> str:
    near = difflib.get_close_matches(str(name), _READERS, n=1)
    return f"{name}: unknown key" + (
        f", did you mean {near[0]}?" if near else f"; known keys are {', '.join(_READERS)}"
    )
