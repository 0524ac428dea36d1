// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Scene} from "../base/Scene.sol";
import {vm} from "../base/Vm.sol";

/// @title Every funded state ends by a stranger's call after a known time, whatever was agreed
/// @notice Amount, deadline, window and the moments of each step are any that the kernel accepts. The kernel is paused
///         and its vault takes nothing new, which no exit may mind.
contract ExitsTest is Scene {
    address private constant REQUESTER = address(0xA11CE);
    address private constant PROVIDER = address(0xB0B);
    address private constant STRANGER = address(0x57A);

    function setUp() public {
        _deploy(_usual());
        _fund(REQUESTER);
        _fund(PROVIDER);
    }

    function check_committed_is_refunded_after_the_grace(uint256 amount, uint256 deadline, uint256 timestamp) public {
        bytes32 id = _open(amount, deadline, 2 days);
        _closeTheDoors();
        _after(deadline + 7 days, timestamp);
        _succeeds(abi.encodeCall(kernel.transitionState, (id, State.CANCELLED, "")));
        _ended(id, State.CANCELLED);
        assert(token.balanceOf(REQUESTER) == 1e18);
    }

    function check_started_is_refunded_after_the_grace(uint256 amount, uint256 deadline, uint256 timestamp) public {
        bytes32 id = _open(amount, deadline, 2 days);
        vm.prank(PROVIDER);
        _succeeds(abi.encodeCall(kernel.transitionState, (id, State.IN_PROGRESS, "")));
        _closeTheDoors();
        _after(deadline + 7 days, timestamp);
        _succeeds(abi.encodeCall(kernel.transitionState, (id, State.CANCELLED, "")));
        _ended(id, State.CANCELLED);
        assert(token.balanceOf(REQUESTER) == 1e18);
    }

    function check_delivered_is_settled_after_the_window(
        uint256 amount,
        uint256 window,
        uint256 deliveredAt,
        uint256 timestamp
    ) public {
        vm.assume(window >= 1 hours && window <= 30 days);
        vm.assume(deliveredAt >= START && deliveredAt <= START + 365 days);
        bytes32 id = _open(amount, START + 365 days, window);
        vm.warp(deliveredAt);
        vm.prank(PROVIDER);
        _succeeds(abi.encodeCall(kernel.transitionState, (id, State.DELIVERED, "")));
        _closeTheDoors();
        _after(deliveredAt + window, timestamp);
        _succeeds(abi.encodeCall(kernel.releaseEscrow, (id)));
        _ended(id, State.SETTLED);
    }

    /// @dev One amount: the shares of any amount are products and quotients that a solver cannot bound in time. What
    ///      the parts sum to is an invariant of its own, which the fuzzed runs check.
    function check_disputed_is_closed_after_the_time_out(
        uint256 deliveredAt,
        uint256 disputedAt,
        uint256 timestamp,
        bool byProvider
    ) public {
        vm.assume(deliveredAt >= START && deliveredAt <= START + 365 days);
        vm.assume(disputedAt >= deliveredAt && disputedAt <= deliveredAt + 2 days);
        bytes32 id = _open(AMOUNT, START + 365 days, 2 days);
        vm.warp(deliveredAt);
        vm.prank(PROVIDER);
        _succeeds(abi.encodeCall(kernel.transitionState, (id, State.DELIVERED, "")));
        vm.warp(disputedAt);
        vm.prank(byProvider ? PROVIDER : REQUESTER);
        _succeeds(abi.encodeCall(kernel.transitionState, (id, State.DISPUTED, "")));
        _closeTheDoors();
        _after(disputedAt + 30 days, timestamp);
        _succeeds(abi.encodeCall(kernel.closeTimedOutDispute, (id)));
        _ended(id, State.SETTLED);
        assert(kernel.credits(REQUESTER) == 0 && kernel.credits(PROVIDER) == 0);
        assert(token.balanceOf(REQUESTER) == 1e18 - AMOUNT / 2);
    }

    function check_work_without_anything_left_is_settled_by_anyone(uint256 amount) public {
        bytes32 id = _open(amount, START + 10 days, 2 days);
        vm.prank(PROVIDER);
        _succeeds(abi.encodeCall(kernel.transitionState, (id, State.IN_PROGRESS, "")));
        vm.prank(REQUESTER);
        _succeeds(abi.encodeCall(kernel.releaseMilestone, (id, amount)));
        _closeTheDoors();
        vm.prank(STRANGER);
        _succeeds(abi.encodeCall(kernel.releaseEscrow, (id)));
        _ended(id, State.SETTLED);
    }

    function _open(uint256 amount, uint256 deadline, uint256 window) private returns (bytes32 id) {
        vm.assume(amount >= 50_000 && amount <= 1e15);
        vm.assume(deadline > START && deadline <= START + 365 days);
        Order memory order = Order(PROVIDER, amount, deadline, window, bytes32(uint256(7)), bytes32(0));
        vm.prank(REQUESTER);
        return abi.decode(_succeeds(abi.encodeCall(kernel.createFunded, (order))), (bytes32));
    }

    /// @dev halmos takes a revert for the end of a path, not for a failure, so success is asserted.
    function _succeeds(bytes memory data) private returns (bytes memory) {
        (bool done, bytes memory answer) = address(kernel).call(data);
        assert(done);
        return answer;
    }

    function _closeTheDoors() private {
        vm.prank(admin);
        kernel.pause();
        vm.prank(admin);
        kernel.approveEscrowVault(address(vault), false);
    }

    /// @dev The next call comes from a stranger, in any second after the given one.
    function _after(uint256 moment, uint256 timestamp) private {
        vm.assume(timestamp > moment && timestamp < 1 << 32);
        vm.warp(timestamp);
        vm.prank(STRANGER);
    }

    /// @dev Nothing but fees may be left in the vault.
    function _ended(bytes32 id, State state) private view {
        assert(kernel.getTransaction(id).state == state);
        assert(token.balanceOf(address(vault)) == kernel.accruedFees());
    }
}
