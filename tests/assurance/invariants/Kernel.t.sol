// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelTypes} from "../../../contracts/interfaces/IKernelTypes.sol";
import {vm} from "../base/Vm.sol";
import {Handler} from "./Handler.sol";

/// @title What holds after every call of everybody
contract KernelInvariants {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private handler;

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[25] memory steps = [
            Handler.create.selector,
            Handler.createFunded.selector,
            Handler.createFundedBatch.selector,
            Handler.createFundedWith.selector,
            Handler.createFundedWithAuthorization.selector,
            Handler.quote.selector,
            Handler.link.selector,
            Handler.start.selector,
            Handler.deliver.selector,
            Handler.deliverBatch.selector,
            Handler.releaseMilestone.selector,
            Handler.payMilestone.selector,
            Handler.refundMilestone.selector,
            Handler.settle.selector,
            Handler.settleBatch.selector,
            Handler.cancel.selector,
            Handler.walkAway.selector,
            Handler.dispute.selector,
            Handler.postBond.selector,
            Handler.rule.selector,
            Handler.closeTimedOutDispute.selector,
            Handler.settleByConsent.selector,
            Handler.withdrawCredit.selector,
            Handler.withdrawFees.selector,
            Handler.govern.selector
        ];
        bytes4[3] memory around = [Handler.freeze.selector, Handler.sendUnsolicited.selector, Handler.pass.selector];
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), new bytes4[](steps.length + around.length));
        for (uint256 index = 0; index < steps.length; ++index) {
            targets[0].selectors[index] = steps[index];
        }
        for (uint256 index = 0; index < around.length; ++index) {
            targets[0].selectors[steps.length + index] = around[index];
        }
    }

    /// @dev One campaign for all of it: after every call the vault's balance is what is owed plus what somebody sent on
    ///      their own, every escrow has paid exactly what it says and nothing twice, and what has ended stays ended.
    function invariant_books_payments_and_ends() public {
        handler.checkBooks();
        handler.checkPaidOnce();
        handler.checkFinality();
    }

    /// @dev After every run: whatever is still funded ends without anybody's consent, and nothing stays in the vault.
    function afterInvariant() public {
        // Runs of refusals would prove nothing, so the successes of all runs are added up and compared.
        vm.writeLine("tallies/invariants.jsonl", handler.tally());
        handler.endEverything();
        handler.checkPaidOnce();
    }
}
