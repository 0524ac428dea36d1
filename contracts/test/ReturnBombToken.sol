// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PlainERC20} from "./PlainERC20.sol";

/// @notice Hostile token: answers a transfer with `size` bytes, so that a caller who copies the answer runs out of gas.
/// @dev Returning, the tokens have moved and the first word is true; reverting, nothing has moved.
contract ReturnBombToken is PlainERC20 {
    uint256 public size;
    bool public reverting;

    /// @param size_ Bytes of the answer, at least 32; 0 switches the bomb off.
    function setBomb(uint256 size_, bool reverting_) external {
        size = size_;
        reverting = reverting_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        super.transfer(to, value);
        return _answer();
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        super.transferFrom(from, to, value);
        return _answer();
    }

    function _answer() private view returns (bool) {
        uint256 length = size;
        if (length == 0) return true;
        bool failed = reverting;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, 1)
            if failed { revert(start, length) }
            return(start, length)
        }
    }
}
