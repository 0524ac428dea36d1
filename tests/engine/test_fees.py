from itertools import pairwise

import pytest

from actp.engine import fees
from actp.engine.fees import FeePolicy, Fees
from actp.errors import ConfigError, FeeTooHigh, InvalidInput

GWEI = 10**9


def history(base_fee, *tips):
    return {"baseFeePerGas": [hex(1), hex(base_fee)], "reward": [[hex(tip)] for tip in tips]}


class Asked:
    """A node that answers one question and remembers it."""

    label = "node"

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def request(self, method, params):
        self.asked.append((method, params))
        return self.answer


def test_the_fee_covers_a_doubled_base_fee_and_a_tip_above_that_of_most_others():
    offered = fees.from_history(history(10 * GWEI, 1 * GWEI, 2 * GWEI, 3 * GWEI))
    assert (offered.base_fee, offered.tip, offered.max_fee) == (10 * GWEI, 2_300_000_000, 22_300_000_000)
    assert offered.most_for(21_000) == 21_000 * 22_300_000_000


def test_the_tip_comes_from_the_75th_percentile():
    node = Asked(history(GWEI, GWEI))
    assert fees.suggest(node).tip == 1_150_000_000
    assert node.asked == [("eth_feeHistory", ["0x5", "latest", [75]])]


def test_blocks_without_rewards_leave_the_smallest_tip():
    for answer in (
        {"baseFeePerGas": ["0x7"]},
        {"baseFeePerGas": ["0x7"], "reward": None},
        {"baseFeePerGas": ["0x7"], "reward": []},
        {"baseFeePerGas": ["0x7"], "reward": [[]]},
        history(7, 0, 0),
    ):
        assert fees.from_history(answer) == Fees(14 + fees.MIN_TIP, fees.MIN_TIP, 7)


def test_a_panic_does_not_set_the_tip():
    assert fees.from_history(history(1, 500 * GWEI)).tip == fees.MAX_TIP
    assert fees.from_history(history(1, 500 * GWEI), FeePolicy(max_tip=7)).tip == 7


def test_empty_blocks_do_not_pull_the_tip_down():
    assert fees.from_history(history(1, 0, 0, 0, 2 * GWEI)).tip == 2_300_000_000


def test_a_cap_below_twice_the_base_fee_is_the_fee():
    capped = fees.from_history(history(10 * GWEI, GWEI), FeePolicy(max_fee_per_gas=12 * GWEI))
    assert capped == Fees(12 * GWEI, 1_150_000_000, 10 * GWEI)


def test_a_cap_that_does_not_pay_the_next_block_is_an_error_that_names_the_setting():
    with pytest.raises(FeeTooHigh, match=r"11\.15 gwei per gas, and the cap is 11 gwei") as caught:
        fees.from_history(history(10 * GWEI, GWEI), FeePolicy(max_fee_per_gas=11 * GWEI))
    assert (caught.value.asked, caught.value.cap) == (11_150_000_000, 11 * GWEI)
    assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)
    assert "ACTP_MAX_FEE_PER_GAS_GWEI" in caught.value.hint


def grow(first, offered, policy=None):
    """All offers until no more is allowed."""
    offers = [first]
    while True:
        try:
            offers.append(fees.raised(first, offers[-1], offered, policy))
        except FeeTooHigh:
            return offers


def test_each_raise_is_an_eighth_in_both_fields_and_all_stay_within_four_times_the_first_offer():
    first = Fees(max_fee=100 * GWEI, tip=2 * GWEI, base_fee=49 * GWEI)
    offers = grow(first, first)
    for lower, higher in pairwise(offers):
        assert higher.max_fee * 8 >= lower.max_fee * 9
        assert higher.tip * 8 >= lower.tip * 9
    assert (len(offers), offers[-1].max_fee, offers[-1].tip) == (5, 400 * GWEI, 8 * GWEI)


def test_no_raise_goes_above_the_cap():
    first = Fees(max_fee=100 * GWEI, tip=2 * GWEI, base_fee=49 * GWEI)
    market = Fees(max_fee=900 * GWEI, tip=3 * GWEI, base_fee=448 * GWEI)
    for offered in (first, market):
        offers = grow(first, offered, FeePolicy(max_fee_per_gas=300 * GWEI))
        assert offers[-1].max_fee == 300 * GWEI


def test_a_raise_follows_a_chain_whose_fees_rose_by_more():
    first = Fees(max_fee=100 * GWEI, tip=2 * GWEI, base_fee=49 * GWEI)
    market = Fees(max_fee=480 * GWEI, tip=3 * GWEI, base_fee=238 * GWEI)
    assert fees.raised(first, first, market) == market


def test_our_own_tips_in_todays_suggestion_do_not_end_the_raises():
    """What we tipped before is what the chain's history shows today: 3.7 times the first tip, which leaves less than
    an eighth to four times of it.
    """
    first = Fees(max_fee=100 * GWEI, tip=GWEI // 2, base_fee=49 * GWEI)
    todays = Fees(max_fee=101 * GWEI, tip=1_850_000_000, base_fee=49 * GWEI)
    offers = grow(first, todays)
    assert offers[1].tip == todays.tip
    assert offers[-1].max_fee > 355 * GWEI
    assert len(offers) >= 5


def test_a_chain_that_outgrows_the_raises_is_followed_up_to_the_cap():
    """Both bounds of growth are used up, and today's sends offer more: then the least step is always open."""
    first = Fees(max_fee=10 * GWEI, tip=GWEI, base_fee=4 * GWEI)
    refused = Fees(max_fee=40 * GWEI, tip=4 * GWEI, base_fee=4 * GWEI)
    dearer = Fees(max_fee=41 * GWEI, tip=GWEI, base_fee=20 * GWEI)
    higher = fees.raised(first, refused, dearer)
    assert (higher.max_fee >= 45 * GWEI, higher.tip) == (True, 4_500_000_000)
    with pytest.raises(FeeTooHigh, match="the cap is 44 gwei"):
        fees.raised(first, refused, dearer, FeePolicy(max_fee_per_gas=44 * GWEI))


def test_where_a_call_offers_far_more_than_is_usual_it_says_so_instead_of_paying_more():
    first = Fees(max_fee=10 * GWEI, tip=GWEI, base_fee=4 * GWEI)
    refused = Fees(max_fee=40 * GWEI, tip=4 * GWEI, base_fee=4 * GWEI)
    with pytest.raises(
        FeeTooHigh, match=r"40 gwei per gas with a tip of 4, 4 times what is usual \(today 10 gwei"
    ) as no:
        fees.raised(first, refused, first)
    assert (no.value.asked, no.value.cap) == (45 * GWEI, 40 * GWEI)
    assert fees.raised(first, refused, first, FeePolicy(max_growth=5)).tip == 5 * GWEI


def test_a_raised_tip_is_never_more_than_the_whole_fee():
    low = Fees(max_fee=10, tip=10, base_fee=0)
    assert all(offer.tip <= offer.max_fee for offer in grow(low, low))
    assert grow(low, low)[-1] == Fees(40, 40, 0)


def test_even_a_fee_of_one_wei_is_raised():
    one = Fees(max_fee=1, tip=1, base_fee=0)
    assert fees.raised(one, one, one) == Fees(2, 2, 0)


def test_the_caps_come_from_the_environment_exactly():
    assert FeePolicy.from_environment({}) == FeePolicy()
    assert FeePolicy.from_environment({fees.MAX_FEE_VARIABLE: " ", fees.MAX_COST_VARIABLE: ""}) == FeePolicy()
    policy = FeePolicy.from_environment({fees.MAX_FEE_VARIABLE: "0.1", fees.MAX_COST_VARIABLE: "0.000000000000000003"})
    assert policy == FeePolicy(max_fee_per_gas=GWEI // 10, max_total_wei=3)


@pytest.mark.parametrize("name", [fees.MAX_FEE_VARIABLE, fees.MAX_COST_VARIABLE])
@pytest.mark.parametrize("value", ["0", "-1", "much", "NaN", "Infinity", "1e-30", "0.0000000000000000001", "1 ETH"])
def test_a_cap_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        FeePolicy.from_environment({name: value})


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1", None])
def test_a_policy_takes_positive_ints_only(value):
    with pytest.raises(InvalidInput, match="max_total_wei"):
        FeePolicy(max_total_wei=value)


def test_the_stand_in_is_longer_than_any_signed_eth_transaction(accounts):
    from actp.signers import LocalSigner
    from actp.types import EthTransaction

    most = 2**96 - 1
    data = bytes(range(256)) * 10
    signed = LocalSigner(accounts[0].private_key).sign_transaction(
        EthTransaction(2**63, 2**63, "0x" + "05" * 20, 2**256 - 1, data, 2**24, most, most)
    )
    assert len(data) < len(signed) <= len(fees.stand_in(data))
