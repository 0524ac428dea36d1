from actp.engine import fees

GWEI = 10**9


def history(base_fee, *tips):
    return {"baseFeePerGas": [hex(1), hex(base_fee)], "reward": [[hex(tip)] for tip in tips]}


def test_the_fee_covers_a_doubled_base_fee_and_the_median_tip():
    offered = fees.from_history(history(10 * GWEI, 1 * GWEI, 2 * GWEI, 3 * GWEI))
    assert (offered.base_fee, offered.tip, offered.max_fee) == (10 * GWEI, 2 * GWEI, 22 * GWEI)
    assert offered.most_for(21_000) == 21_000 * 22 * GWEI


def test_blocks_without_rewards_leave_the_smallest_tip():
    for answer in (
        {"baseFeePerGas": ["0x7"]},
        {"baseFeePerGas": ["0x7"], "reward": None},
        {"baseFeePerGas": ["0x7"], "reward": []},
        {"baseFeePerGas": ["0x7"], "reward": [[]]},
        history(7, 0, 0),
    ):
        assert fees.from_history(answer) == fees.Fees(14 + fees.MIN_TIP, fees.MIN_TIP, 7)


def test_a_panic_does_not_set_the_tip():
    assert fees.from_history(history(1, 500 * GWEI)).tip == fees.MAX_TIP


def test_empty_blocks_do_not_pull_the_tip_down():
    assert fees.from_history(history(1, 0, 0, 0, 2 * GWEI)).tip == 2 * GWEI


def test_raised_fees_stay_within_four_times_the_first_offer_and_the_highest_tip():
    first = refused = fees.Fees(max_fee=100 * GWEI, tip=2 * GWEI, base_fee=49 * GWEI)
    for _ in range(4):
        higher = fees.raised(first, refused, first)
        assert higher.max_fee * 8 >= refused.max_fee * 9
        refused = higher
    assert (refused.max_fee, refused.tip) == (400 * GWEI, fees.MAX_TIP)
    assert fees.raised(first, refused, fees.Fees(900 * GWEI, fees.MAX_TIP, 448 * GWEI)).max_fee == 400 * GWEI


def test_a_raised_tip_is_never_more_than_the_whole_fee():
    low = fees.Fees(max_fee=10, tip=10, base_fee=0)
    assert fees.raised(low, low, fees.Fees(GWEI, GWEI, 0)) == fees.Fees(40, 40, 0)
