"""Settings: what is refused, with which words, and what makes two of them the same."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from actp.errors import ConfigError
from coordinator.policy import PolicyError, PolicySettings, RateCaps, evaluate
from coordinator.types import IntentType, Ruling
from tests.coordinator.policy.support import ESCROW, KERNEL, PROVIDER, USDC

README = Path(__file__).parents[3] / "coordinator" / "policy" / "README.md"
MISTYPED = PROVIDER.replace("7099", "7098")

REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"max_slipage_bps": 1}, "max_slipage_bps: unknown key, did you mean max_slippage_bps?"),
    "key like none": ({"zzz": 1}, "zzz: unknown key; known keys are allowed_intents, "),
    "the version": ({"version": "1"}, "version: unknown key"),
    "float": ({"max_fee_wei": 1.5}, "max_fee_wei: write base units as an int or as digits in quotes"),
    "whole float": ({"max_slippage_bps": 100.0}, "max_slippage_bps: write basis points as an int"),
    "float in a table": ({"max_amount": {"ETH": 0.5}}, "max_amount.ETH: write base units"),
    "bool": ({"max_fee_wei": True}, "max_fee_wei: write base units"),
    "negative": ({"max_fee_wei": -1}, "max_fee_wei: must not be negative"),
    "negative in quotes": ({"max_fee_wei": "-1"}, "max_fee_wei: write base units"),
    "exponent": ({"max_fee_wei": "1e18"}, "max_fee_wei: write base units"),
    "other digits": ({"max_fee_wei": "\uff11"}, "max_fee_wei: write base units"),
    "beyond 256 bits": ({"max_fee_wei": 2**256}, "max_fee_wei: must be at most"),
    "negative seconds": ({"max_quote_age_seconds": -1}, "max_quote_age_seconds: must not be negative"),
    "seconds in quotes": ({"max_quote_age_seconds": "60"}, "max_quote_age_seconds: write whole seconds"),
    "more than all": ({"max_concentration_bps": 10_001}, "max_concentration_bps: must be at most 10,000"),
    "table expected": ({"max_amount": 5}, "max_amount: must be a table"),
    "asset by its symbol": ({"max_amount": {"USDC": 5}}, "max_amount.USDC: address 'USDC' is not an address"),
    "mistyped address": ({"max_amount": {MISTYPED: 5}}, f"max_amount.{MISTYPED}: address {MISTYPED} has a wrong check"),
    "zero address": ({"allowed_providers": ["0x" + "00" * 20]}, "allowed_providers[0]: address is the zero address"),
    "two spellings of an asset": (
        {"max_amount": {USDC: 5, USDC.lower(): 6}},
        f"max_amount.{USDC.lower()}: is there twice",
    ),
    "two spellings of a contract": ({"allowed_contracts": {KERNEL: "*", KERNEL.lower(): []}}, "is there twice"),
    "provider twice": ({"allowed_providers": [PROVIDER, PROVIDER.lower()]}, "allowed_providers[1]: "),
    "spenders that are no list": ({"allowed_spenders": PROVIDER}, "allowed_spenders: must be a list"),
    "mistyped provider": ({"allowed_providers": [MISTYPED]}, "allowed_providers[0]: address"),
    "selector too short": ({"allowed_contracts": {KERNEL: ["0x1234"]}}, f"allowed_contracts.{KERNEL}[0]: '0x1234' is"),
    "signature as selector": ({"allowed_contracts": {KERNEL: ["pay()"]}}, "'pay()' is no selector"),
    "selector twice": ({"allowed_contracts": {KERNEL: ["0xABCDEF12", "0xabcdef12"]}}, "[1]: 0xabcdef12 is there twice"),
    "any among others": ({"allowed_contracts": {KERNEL: ["*", "0x"]}}, "'*' is no selector"),
    "unknown intent": ({"allowed_intents": {"a": ["swap"]}}, "allowed_intents.a[0]: 'swap' is no type of intent"),
    "intent twice": ({"allowed_intents": {"a": ["transfer_eth", "transfer_eth"]}}, "allowed_intents.a[1]: "),
    "agent without a name": ({"allowed_intents": {" ": []}}, "the name of an agent must not be empty"),
    "unknown window": ({"agent_rate": {"week": 1}}, "agent_rate.week: unknown key; known keys are minute, hour, day"),
    "no window": ({"wallet_rate": {}}, "wallet_rate: names no window"),
    "float rate": ({"wallet_rate": {"day": 1.0}}, "wallet_rate.day: write a number"),
    "minute above hour": ({"agent_rate": {"minute": 6, "hour": 5}}, "agent_rate.minute: 6 can never be reached"),
    "minute above day": ({"agent_rate": {"minute": 6, "day": 5}}, "agent_rate.minute: 6 can never be reached"),
    "flag as text": ({"require_approval_on_demand": "yes"}, "require_approval_on_demand: must be true or false"),
    "flag as nothing": ({"require_approval_on_demand": None}, "require_approval_on_demand: must be true or false"),
    "approval never asked": (
        {"approval_over": {USDC: 11}, "max_amount": {USDC: 10}},
        f"approval_over.{USDC}: 11 is above max_amount, which is 10",
    ),
    "approval of what may not leave": (
        {"approval_over": {"ETH": 1}, "max_amount": {USDC: 10}},
        "approval_over.ETH: 1 is above max_amount, which is 0, as it does not name this asset",
    ),
    "contract above token": (
        {"max_contract_exposure": {USDC: 11}, "max_token_exposure": {USDC: 10}},
        f"max_contract_exposure.{USDC}: 11 is above max_token_exposure, which is 10",
    ),
    "counterparty above token": (
        {"max_counterparty_exposure": {USDC: 11}, "max_token_exposure": {USDC: 10}},
        f"max_counterparty_exposure.{USDC}: 11 is above max_token_exposure",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_settings_are_refused_by_key_and_reason(case: str) -> None:
    settings, words = REFUSED[case]
    with pytest.raises(PolicyError) as refused:
        PolicySettings.from_mapping(settings)
    assert len(refused.value.problems) == 1
    assert words in str(refused.value)
    assert refused.value.problems[0].startswith(next(iter(settings)))
    assert isinstance(refused.value, ConfigError)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(PolicyError) as refused:
        PolicySettings.from_mapping({"zzz": 1, "max_fee_wei": -1, "max_amount": 3})
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["zzz", "max_amount", "max_fee_wei"]


def test_limits_may_be_equal() -> None:
    PolicySettings(approval_over={USDC: 5}, max_amount={USDC: 5}, agent_rate=RateCaps(5, 5, 5))


def test_arguments_are_checked_like_a_file() -> None:
    with pytest.raises(PolicyError, match="max_slippage_bps"):
        PolicySettings(max_slippage_bps=-1)
    with pytest.raises(PolicyError, match="max_fee_wei"):
        replace(PolicySettings(), max_fee_wei=-1)


def test_settings_cannot_be_changed_behind_the_version() -> None:
    given = {USDC: 5}
    settings = PolicySettings(max_amount=given, allowed_providers=frozenset({PROVIDER}))
    given[USDC] = 6
    assert settings.max_amount == {USDC: 5}
    with pytest.raises(TypeError):
        settings.max_amount[USDC] = 7  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        settings.max_fee_wei = 7  # type: ignore[misc]


FULL: dict[str, Any] = {
    "allowed_intents": {"a": ["transfer_eth", "create_escrow"], "*": []},
    "allowed_contracts": {KERNEL: "*", USDC: ["0x", "0x095ea7b3"]},
    "allowed_providers": [PROVIDER, KERNEL],
    "max_amount": {"ETH": 10**24, USDC: 5},
    "max_fee_wei": 2**80,
    "max_slippage_bps": 7,
    "agent_rate": {"minute": 1, "day": 2},
}


def test_the_version_depends_on_what_is_set_and_not_on_how_it_is_written() -> None:
    one = PolicySettings.from_mapping(FULL)
    other = PolicySettings.from_mapping(
        {
            "agent_rate": {"day": 2, "minute": 1},
            "max_slippage_bps": 7,
            "max_fee_wei": str(2**80),
            "max_amount": {USDC.lower(): "5", "ETH": str(10**24)},
            "allowed_providers": [KERNEL.lower(), PROVIDER],
            "allowed_contracts": {USDC: ["0x095EA7B3", "0x"], KERNEL: "*"},
            "allowed_intents": {"*": [], "a": ["create_escrow", "transfer_eth"]},
            "require_approval_on_demand": True,
        }
    )
    assert (one, one.version) == (other, other.version)
    assert re.fullmatch("[0-9a-f]{16}", one.version)


def test_the_canonical_form_is_read_back() -> None:
    settings = PolicySettings.from_mapping(FULL)
    again = PolicySettings.from_mapping(settings.as_json())
    assert (again, again.version) == (settings, settings.version)
    assert replace(settings) == settings


def test_each_setting_changes_the_version() -> None:
    full = PolicySettings.from_mapping(tomllib.loads(example()))
    versions = {full.version}
    for name in full.as_json():
        without: Any = {name: False if name == "require_approval_on_demand" else None}
        versions.add(replace(full, **without).version)
    assert len(versions) == 1 + len(full.as_json())
    nobody: tuple[frozenset[str] | None, ...] = (None, frozenset())
    assert len({PolicySettings(allowed_providers=given).version for given in nobody}) == 2


def test_the_version_is_the_same_everywhere() -> None:
    """Proofs carry it; if this number moves without a new form, old proofs no longer name their policy."""
    assert PolicySettings(max_amount={"ETH": 5}, agent_rate=RateCaps(minute=3)).version == "827c33278ecea661"


def example() -> str:
    """The TOML of the README."""
    (block,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


def test_the_example_in_the_readme_loads_and_has_every_setting(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(example(), encoding="utf-8")
    settings = PolicySettings.load(path)
    names = {each.name for each in fields(PolicySettings)} - {"version"}
    assert set(settings.as_json()) == names
    assert settings.allowed_intents is not None
    assert settings.allowed_intents["treasury"] == {IntentType.APPROVE_ERC20}
    assert evaluate(replace(ESCROW, agent="nobody"), settings).ruling is Ruling.DENY


def test_the_readme_describes_every_setting() -> None:
    described = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (.*?) \|", README.read_text(), re.MULTILINE))))
    assert described == {each.name for each in fields(PolicySettings)} - {"version"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_fee_wei = ", "not TOML"),
        ("max_fee_wei = 1\nmax_fee_wei = 2", "not TOML"),
        ("max_fee_wei = 0.1", "max_fee_wei: write base units"),
        ("#" * 1_000_001, "larger than"),
    ],
)
def test_a_bad_file_is_refused_by_its_name(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=words) as refused:
        PolicySettings.load(path)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_read_is_no_empty_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        PolicySettings.load(tmp_path / "missing.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b'allowed_intents = { "\xff" = [] }')
    with pytest.raises(PolicyError, match="not TOML"):
        PolicySettings.load(path)
