// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {KernelStorage} from "../../../contracts/kernel/KernelStorage.sol";
import {Payouts} from "../../../contracts/kernel/Payouts.sol";
import {vm} from "../base/Vm.sol";

/// @dev The kernel's own fee code with a minimum of the prover's choice, and its books.
contract FeeCode is Payouts {
    constructor(uint256 minFee) KernelStorage(address(1), Economics(0, 0, 0, minFee, 0)) {}

    function take(uint256 amount, uint256 feeBps) external returns (uint256 net) {
        return _takeFee(bytes32(uint256(1)), amount, feeBps);
    }

    function accrued() external view returns (uint256) {
        return _fees.accrued;
    }
}

/// @title The fee and what the provider gets are what was paid out, to the unit
contract FeesTest {
    uint256 private constant CAP_BPS = 500;
    uint256 private constant MAXIMUM = 1e15;

    FeeCode private usual;
    FeeCode private free;

    function setUp() public {
        usual = new FeeCode(50_000);
        free = new FeeCode(0);
    }

    function check_fee_and_net_sum_to_the_payout(uint256 amount, uint256 feeBps) public {
        vm.assume(amount <= MAXIMUM && feeBps <= CAP_BPS);
        uint256 net = usual.take(amount, feeBps);
        assert(net <= amount);
        assert(net + usual.accrued() == amount);
    }

    function check_fee_and_net_sum_to_the_payout_without_minimum(uint256 amount, uint256 feeBps) public {
        vm.assume(amount <= MAXIMUM && feeBps <= CAP_BPS);
        uint256 net = free.take(amount, feeBps);
        assert(net <= amount);
        assert(net + free.accrued() == amount);
    }

    function check_fee_is_the_rate_the_minimum_or_the_payout(uint256 amount, uint256 feeBps) public {
        vm.assume(amount <= MAXIMUM && feeBps <= CAP_BPS);
        uint256 fee = amount - usual.take(amount, feeBps);
        uint256 wanted = amount * feeBps / 10_000;
        if (wanted < 50_000) wanted = 50_000;
        if (wanted > amount) wanted = amount;
        assert(fee == wanted);
    }

    function check_no_fee_on_nothing(uint256 feeBps) public {
        vm.assume(feeBps <= CAP_BPS);
        assert(usual.take(0, feeBps) == 0);
        assert(usual.accrued() == 0);
    }
}
