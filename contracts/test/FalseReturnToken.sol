// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PlainERC20} from "./PlainERC20.sol";

/// @notice Hostile token: while refusing, every transfer returns false instead of reverting.
contract FalseReturnToken is PlainERC20 {
    bool public refusing;

    function setRefusing(bool on) external {
        refusing = on;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return !refusing && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return !refusing && super.transferFrom(from, to, value);
    }
}
