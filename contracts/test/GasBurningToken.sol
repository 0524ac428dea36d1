// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PlainERC20} from "./PlainERC20.sol";

/// @notice Hostile token: while burning, every transfer uses up all the gas that it is given, and fails.
contract GasBurningToken is PlainERC20 {
    bool public burning;

    function setBurning(bool on) external {
        burning = on;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (burning) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        super._update(from, to, value);
    }
}
