import pytest

from actp.engine import receipts

ADDRESS = "0x" + "05" * 20
PLAIN = {
    "transactionHash": "0x" + "11" * 32,
    "status": "0x1",
    "blockNumber": "0x2",
    "blockHash": "0x" + "22" * 32,
    "from": ADDRESS,
    "to": ADDRESS,
    "contractAddress": None,
    "gasUsed": "0x5208",
    "effectiveGasPrice": "0x7",
    "logs": [],
}


def fees_of(**fields):
    receipt = receipts.parse({**PLAIN, **fields})
    return receipt.l1_fee, receipt.operator_fee


def test_fees_that_a_receipt_does_not_tell_are_unknown_and_not_zero():
    assert fees_of() == (None, None)
    assert fees_of(l1Fee=None, operatorFeeConstant="0x5", operatorFeeScalar="0x0") == (None, None)


@pytest.mark.parametrize("value", ["0x2a", 42])
def test_the_l1_fee_is_read_as_hex_and_as_a_number(value):
    assert fees_of(l1Fee=value)[0] == 42


@pytest.mark.parametrize("value", ["", "0xzz", True, 1.5, []])
def test_an_l1_fee_that_is_no_number_is_unknown(value):
    assert fees_of(l1Fee=value) == (None, None)


def test_no_operator_parameters_beside_an_l1_fee_are_a_fee_of_zero_by_the_chains_rule():
    assert fees_of(l1Fee="0x0") == (0, 0)


@pytest.mark.parametrize(
    ("fields", "fee"),
    [
        ({"operatorFeeScalar": "0x0", "operatorFeeConstant": "0x9"}, 9),
        ({"operatorFeeScalar": 3, "operatorFeeConstant": 9, "daFootprintGasScalar": "0x190"}, 21_000 * 300 + 9),
        # Isthmus or Jovian: without a footprint both are possible.
        ({"operatorFeeScalar": "0x3", "operatorFeeConstant": "0x9"}, None),
        ({"operatorFeeScalar": "0x3"}, None),
        ({"operatorFeeConstant": "0x9"}, None),
        ({"operatorFeeScalar": "much", "operatorFeeConstant": "0x9"}, None),
    ],
)
def test_the_operator_fee_follows_the_parameters_or_is_unknown(fields, fee):
    assert fees_of(l1Fee="0x1", **fields) == (1, fee)
