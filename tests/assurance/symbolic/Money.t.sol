// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Scene} from "../base/Scene.sol";
import {Svm, svm} from "../base/Svm.sol";
import {vm} from "../base/Vm.sol";

/// @title Only the kernel moves the vault's tokens, and nobody settles early
contract MoneyTest is Scene {
    address private constant REQUESTER = address(0xA11CE);
    address private constant PROVIDER = address(0xB0B);

    bytes32 private id;
    uint256 private windowEnd;

    function setUp() public {
        _deploy(_usual());
        _fund(REQUESTER);
        _fund(PROVIDER);
        Order memory order = Order(PROVIDER, AMOUNT, START + 10 days, 2 days, bytes32(uint256(7)), bytes32(0));
        vm.prank(REQUESTER);
        id = kernel.createFunded(order);
        vm.prank(PROVIDER);
        kernel.transitionState(id, State.DELIVERED, "");
        windowEnd = START + 2 days;
    }

    function check_only_the_kernel_moves_the_vaults_tokens(address caller, address spender) public {
        vm.assume(caller != address(kernel));
        bytes memory data = svm.createCalldata("EscrowVault");
        uint256 held = token.balanceOf(address(vault));
        uint256 allowed = token.allowance(address(vault), spender);
        vm.prank(caller);
        address(vault).call(data);
        assert(token.balanceOf(address(vault)) == held);
        assert(token.allowance(address(vault), spender) == allowed);
    }

    /// @dev The extension by itself has no vault, so it can move nothing.
    function check_the_extension_by_itself_moves_nothing(address caller, bytes32 transactionId) public {
        address extension = kernel.extension();
        bytes[5] memory calls = [
            abi.encodeCall(kernel.releaseMilestone, (transactionId, AMOUNT)),
            abi.encodeCall(kernel.closeTimedOutDispute, (transactionId)),
            abi.encodeCall(kernel.postBond, (transactionId, caller)),
            abi.encodeCall(kernel.transitionState, (transactionId, State.DISPUTED, "")),
            abi.encodeCall(kernel.approveEscrowVault, (address(vault), true))
        ];
        for (uint256 index = 0; index < calls.length; ++index) {
            vm.prank(caller);
            (bool done,) = extension.call(calls[index]);
            assert(!done);
        }
        assert(token.balanceOf(address(vault)) == AMOUNT);
    }

    function check_no_early_settle_by_transition(address caller, uint256 timestamp) public {
        _early(caller, timestamp);
        vm.prank(caller);
        (bool done,) = address(kernel).call(abi.encodeCall(kernel.transitionState, (id, State.SETTLED, "")));
        _untouched(done);
    }

    function check_no_early_settle_by_release(address caller, uint256 timestamp) public {
        _early(caller, timestamp);
        vm.prank(caller);
        (bool done,) = address(kernel).call(abi.encodeCall(kernel.releaseEscrow, (id)));
        _untouched(done);
    }

    function check_no_early_settle_in_a_batch(address caller, uint256 timestamp) public {
        _early(caller, timestamp);
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = id;
        vm.prank(caller);
        (bool done, bytes memory answer) = address(kernel).call(abi.encodeCall(kernel.settleBatch, (ids)));
        assert(done && abi.decode(answer, (uint256)) == 0);
        _untouched(false);
    }

    function check_no_early_way_out_by_cancelling(address caller, uint256 timestamp) public {
        vm.assume(timestamp >= START && timestamp < 1 << 32);
        vm.warp(timestamp);
        vm.prank(caller);
        (bool done,) = address(kernel).call(abi.encodeCall(kernel.transitionState, (id, State.CANCELLED, "")));
        _untouched(done);
        vm.prank(caller);
        (done,) = address(kernel).call(abi.encodeCall(kernel.cancelEarly, (id)));
        _untouched(done);
        vm.prank(caller);
        (done,) = address(kernel).call(abi.encodeCall(kernel.releaseMilestone, (id, AMOUNT)));
        _untouched(done);
        vm.prank(caller);
        (done,) = address(kernel).call(abi.encodeCall(kernel.closeTimedOutDispute, (id)));
        _untouched(done);
    }

    function check_the_requester_may_always_settle(uint256 timestamp) public {
        vm.assume(timestamp >= START && timestamp < 1 << 32);
        vm.warp(timestamp);
        vm.prank(REQUESTER);
        // halmos takes a revert for the end of a path, not for a failure.
        (bool done,) = address(kernel).call(abi.encodeCall(kernel.releaseEscrow, (id)));
        assert(done);
        assert(kernel.getTransaction(id).state == State.SETTLED);
    }

    function _early(address caller, uint256 timestamp) private {
        vm.assume(caller != REQUESTER);
        vm.assume(timestamp >= START && timestamp <= windowEnd);
        vm.warp(timestamp);
    }

    function _untouched(bool done) private view {
        assert(!done);
        assert(kernel.getTransaction(id).state == State.DELIVERED);
        assert(token.balanceOf(address(vault)) == AMOUNT);
    }
}
