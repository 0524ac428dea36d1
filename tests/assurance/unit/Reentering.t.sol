// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {vm} from "../base/Vm.sol";
import {Stage} from "./Stage.sol";

/// @notice Makes a call of its own while it moves tokens; it has all the tokens that it needs.
contract CallingToken {
    mapping(address => uint256) public balanceOf;
    address private _target;
    bytes private _data;
    bytes public answer;

    function callNext(address target, bytes calldata data) external {
        _target = target;
        _data = data;
    }

    function transferFrom(address, address to, uint256 amount) external returns (bool) {
        if (_target != address(0)) {
            address target = _target;
            delete _target;
            (, answer) = target.call(_data);
        }
        balanceOf[to] += amount;
        return true;
    }
}

/// @title No order is opened while the tokens of another one move
contract ReenteringTest is Stage {
    CallingToken private calling;

    function setUp() public override {
        vm.warp(START);
        calling = new CallingToken();
        _deployKernel(address(calling), _usual());
        vault = _newVault(address(calling));
        _ok(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), true)));
    }

    function test_no_way_of_funding_is_open_while_tokens_move() public {
        Order[] memory orders = new Order[](1);
        orders[0] = _order(0);
        bytes[4] memory ways = [
            abi.encodeCall(kernel.createFunded, (_order(0))),
            abi.encodeCall(kernel.createFundedBatch, (orders)),
            abi.encodeCall(kernel.createFundedWith, (_order(0), _usualClauses())),
            abi.encodeCall(kernel.createFundedWithPermit, (_order(0), _usualClauses(), Permit(0, 0, 0, 0, 0)))
        ];
        for (uint256 index = 0; index < ways.length; ++index) {
            calling.callNext(address(kernel), ways[index]);
            _funded(index);
            bytes memory refusal = abi.encodeWithSignature("ReentrancyGuardReentrantCall()");
            require(keccak256(calling.answer()) == keccak256(refusal), "entered while tokens moved");
        }
        require(calling.balanceOf(address(vault)) == ways.length * AMOUNT, "one payment each");
    }
}
