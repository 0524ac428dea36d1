// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PlainERC20} from "./PlainERC20.sol";

/// @notice Hostile token: delivers 1 % less than it takes (the fee is burned).
contract FeeOnTransferToken is PlainERC20 {
    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value / 100;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}
