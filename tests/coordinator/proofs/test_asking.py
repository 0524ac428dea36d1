"""That what was sent is what was asked for, for every kind of intent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actp.chain import dev_accounts
from actp.orders import salt_of, salted_id
from coordinator.canonical import digest
from coordinator.intents.models import MODELS, Spending
from coordinator.lifecycle import Lifecycle
from coordinator.proofs import asking
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import verify
from coordinator.types import IntentType, Stage
from tests.coordinator.lifecycle.conftest import faulty, house
from tests.coordinator.lifecycle.support import DAY, House
from tests.coordinator.proofs.support import KEY, resigned

__all__ = ["faulty", "house"]

UNSAID = {"memo", "service", "quoted_amount", "quoted_at", "require_approval"}
"""What an intent says to the policy and to people, and no call carries."""


def test_every_intent_that_spends_has_a_call() -> None:
    spending = {model for model in MODELS.values() if issubclass(model, Spending)}
    assert set(asking._CALLS) == spending
    assert len(spending) == sum(not kind.query for kind in IntentType)


@pytest.mark.slow
def test_nothing_in_the_body_of_any_intent_can_be_changed(house: House) -> None:
    requester = house.lifecycle(proof_signer=KEY)
    provider, judge = (Lifecycle(house.client_of(dev_accounts()[one]), proof_signer=KEY) for one in (2, 0))
    deadline = house.client.now() + DAY
    order = {"provider": provider.wallet, "amount": "4000000", "deadline": deadline, "terms": "a report"}
    parts = [{"amount": "1000000", "condition": "half"}, {"amount": "3000000", "deadline": deadline}]
    named: dict[str, Any] = {"creator": house.wallet}
    split: dict[str, Any] = {"decision": "split", "requester_amount": "1000000", "provider_amount": "3000000"}
    split["provider_at_fault"] = True
    story: list[tuple[Lifecycle, str, dict[str, Any]]] = [
        (requester, "transfer_eth", {"to": "0x" + "05" * 20, "amount": "7", "memo": "for tea"}),
        (requester, "transfer_erc20", {"to": "0x" + "05" * 20, "amount": "7"}),
        (requester, "approve_erc20", {"amount": "50000000"}),
        (requester, "create_escrow", {"escrow_numeric_id": "1", **order}),
        (requester, "create_escrow", {"escrow_numeric_id": "5", "arbiter": dev_accounts()[7].address, **order}),
        (provider, "accept_escrow", {"escrow_numeric_id": "1", **named}),
        (provider, "deliver_escrow", {"escrow_numeric_id": "1", "dispute_window": 7_200, **named}),
        (requester, "dispute_escrow", {"escrow_numeric_id": "1", "evidence": "it is empty", **named}),
        (judge, "resolve_dispute", {"escrow_numeric_id": "1", **split, **named}),
        (requester, "create_milestone_escrow", {"escrow_numeric_id": "2", "milestones": parts, **order}),
        (provider, "accept_escrow", {"escrow_numeric_id": "2", **named}),
        (requester, "release_milestone", {"escrow_numeric_id": "2", "index": 0, **named}),
        (requester, "release_escrow", {"escrow_numeric_id": "2", **named}),
        (requester, "create_escrow_batch", {"orders": [{"escrow_numeric_id": str(one), **order} for one in (3, 4)]}),
        (provider, "refund_escrow", {"escrow_numeric_id": "3", **named}),
        (requester, "create_escrow_batch", {"orders": [{"escrow_numeric_id": str(one), **order} for one in (6, 7, 8)]}),
        *((provider, "deliver_escrow", {"escrow_numeric_id": str(one), **named}) for one in (6, 7, 8)),
        (requester, "settle_escrow_batch", {"transaction_ids": [_numbered(house, one) for one in (6, 7)]}),
        (judge, "withdraw_fees", {}),
    ]  # fmt: skip
    unseen: set[tuple[str, str]] = set()
    for who, kind, wanted in story:
        unseen |= _unseen(house, who, kind, wanted)
    stranger = house.client_of(dev_accounts()[5])
    stranger.token.mint(5_000_000)
    stranger.kernel.post_bond(_numbered(house, 8), provider.wallet)
    unseen |= _unseen(house, requester, "dispute_escrow", {"escrow_numeric_id": "8", **named})
    house.chain.time_travel(31 * DAY)
    house.chain.mine()
    unseen |= _unseen(house, judge, "close_dispute", {"escrow_numeric_id": "8", **named})
    unseen |= _unseen(house, judge, "withdraw_credit", {"payee": stranger.address})
    assert {name for _, name in unseen} <= UNSAID, unseen


def _numbered(house: House, number: int) -> str:
    """The id of the treasury's escrow of this number."""
    kernel = house.client.kernel.address
    return salted_id(house.chain.chain_id, kernel, house.wallet, salt_of(str(number)))


def _unseen(house: House, who: Lifecycle, kind: str, wanted: dict[str, Any]) -> set[tuple[str, str]]:
    """Carries it out, and finds the fields of its body whose change nobody would notice."""
    unseen: set[tuple[str, str]] = set()
    done = house.done(who, who.submit(kind, wanted, agent="ann"))
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None), kind
    file = write_document(who.proofs_of(done.id))
    assert verify(file, house.chain, signer=KEY.address).wrong == (), kind
    for name, value in done.intent.items():
        changed = resigned(file, lambda link, name=name, value=value: _ask(link, name, _other(value)))
        if verify(changed, signer=KEY.address).ok:
            unseen.add((kind, name))
    return unseen


def _ask(link: dict[str, Any], name: str, value: Any) -> None:
    """Another body, which was hashed."""
    intent = link["parts"]["intent"]
    intent["body"][name] = value
    intent["bodyHash"] = digest(intent["body"])


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str() if value.isdigit():
            return str(int(value) + 1)
        case str() if value.startswith("0x"):
            return dev_accounts()[8].address
        case "split":
            return "refund"
        case str():
            return f"{value}!"
        case [str(), *rest]:
            return ["0x" + "77" * 32, *rest]
        case _:
            first = json.loads(json.dumps(value))
            first[0]["amount"] = str(int(first[0]["amount"]) + 1)
            return first
