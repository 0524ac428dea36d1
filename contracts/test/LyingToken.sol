// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PlainERC20} from "./PlainERC20.sol";

/// @notice Hostile token: while lying, every transfer returns true and emits its event, and moves nothing.
contract LyingToken is PlainERC20 {
    bool public lying;

    function setLying(bool on) external {
        lying = on;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (lying && from != address(0)) {
            emit Transfer(from, to, value);
        } else {
            super._update(from, to, value);
        }
    }
}
