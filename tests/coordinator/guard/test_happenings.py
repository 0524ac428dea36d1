"""What is read from receipts and logs, and from whom it is believed."""

from __future__ import annotations

from typing import Any

import pytest

from actp.units import to_checksum
from coordinator.guard import Watched
from coordinator.guard.happenings import APPROVAL, CREDIT, OWED, TRANSFER, Names, from_logs, from_receipt, topic_of
from coordinator.types import BlockRef

US, KERNEL, PAYEE, TOKEN, UNKNOWN = (to_checksum("0x" + digits * 20) for digits in ("a1", "b2", "c3", "d4", "e5"))
BLOCK = BlockRef(7, "0x" + "77" * 32)
NAMES = Names(Watched((US, PAYEE), (TOKEN,), (KERNEL,)))


def log(address: str, topic: str, first: str, second: str, amount: int = 9, **more: Any) -> dict[str, Any]:
    return {
        "address": address.lower(),
        "topics": [topic, topic_of(first), topic_of(second)],
        "data": f"0x{amount:064x}",
        "blockNumber": "0x7",
        "blockHash": BLOCK.hash,
        "transactionHash": "0x" + "11" * 32,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        **more,
    }


def receipt(*logs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "transactionHash": "0x" + "11" * 32,
        "transactionIndex": "0x0",
        "blockNumber": "0x7",
        "blockHash": BLOCK.hash,
        "status": "0x1",
        "from": US.lower(),
        "to": KERNEL.lower(),
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x2",
        "logs": list(logs),
        **more,
    }


def test_debts_are_believed_from_the_contract_that_was_called_only() -> None:
    noted = (log(KERNEL, CREDIT, US, PAYEE), log(KERNEL, OWED, US, US, 8, logIndex="0x1"))
    told = from_receipt(receipt(*noted), BLOCK, NAMES, layered=False)
    assert (told.credits, told.owed) == ([(PAYEE, 9)], [(US, 8)])
    claimed = (log(TOKEN, CREDIT, US, PAYEE), log(TOKEN, OWED, US, US, 8, logIndex="0x1"))
    told = from_receipt(receipt(*claimed), BLOCK, NAMES, layered=False)
    assert (told.credits, told.owed) == ([], [])


def test_a_log_that_two_filters_find_counts_once() -> None:
    one = log(TOKEN, TRANSFER, US, PAYEE)
    (told,) = from_logs([one, log(TOKEN, APPROVAL, US, KERNEL, logIndex="0x1"), dict(one)], NAMES)
    assert told.transfers == [(TOKEN, US, PAYEE, 9)]
    assert told.approvals == [(TOKEN, US, KERNEL, 9)]


@pytest.mark.parametrize(
    "entry",
    [
        log(UNKNOWN, TRANSFER, US, PAYEE),
        {**log(TOKEN, TRANSFER, US, PAYEE), "topics": [TRANSFER, topic_of(US), topic_of(PAYEE), topic_of(TOKEN)]},
        {**log(TOKEN, TRANSFER, US, PAYEE), "topics": [TRANSFER]},
        {**log(TOKEN, TRANSFER, US, PAYEE), "data": "0x"},
    ],
)
def test_events_of_other_tokens_or_other_forms_move_nothing(entry: dict[str, Any]) -> None:
    told = from_receipt(receipt(entry), BLOCK, NAMES, layered=False)
    assert (told.transfers, told.approvals) == ([], [])


@pytest.mark.parametrize(
    ("layered", "fields", "fee"),
    [
        (False, {}, 42_000),
        (True, {}, None),
        (True, {"l1Fee": "0x5"}, 42_005),
        (False, {"l1Fee": 5}, 42_005),
        (True, {"l1Fee": "nonsense"}, None),
        (True, {"l1Fee": "0x5", "operatorFeeConstant": "0x1"}, None),
        (True, {"l1Fee": "0x5", "operatorFeeScalar": "0x0", "operatorFeeConstant": "0x1"}, 42_006),
        (False, {"effectiveGasPrice": None}, None),
    ],
)
def test_a_fee_is_known_whole_or_not_at_all(layered: bool, fields: dict[str, Any], fee: int | None) -> None:
    assert from_receipt(receipt(**fields), BLOCK, NAMES, layered=layered).fee == fee
