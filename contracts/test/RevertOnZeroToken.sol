// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PlainERC20} from "./PlainERC20.sol";

/// @notice Unusual token: a transfer of zero reverts, so that a careless payout of nothing blocks its caller.
contract RevertOnZeroToken is PlainERC20 {
    error ZeroTransfer();

    function _update(address from, address to, uint256 value) internal override {
        if (value == 0) revert ZeroTransfer();
        super._update(from, to, value);
    }
}
