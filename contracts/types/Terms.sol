// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev Slot A of a transaction: what was agreed. Written at creation and rewritten only by an accepted quote.
///      bits   0..159 requester
///      bits 160..209 amount, 50 bits (MAX_TRANSACTION_AMOUNT is 10^15 < 2^50)
///      bits 210..241 createdAt, unix seconds
///      bits 242..255 id of the parameter record that holds the locked rates
type Terms is uint256;

using TermsLib for Terms global;

library TermsLib {
    uint256 private constant AMOUNT_SHIFT = 160;
    uint256 private constant CREATED_SHIFT = 210;
    uint256 private constant RECORD_SHIFT = 242;
    uint256 private constant AMOUNT_MASK = (1 << 50) - 1;
    uint256 private constant TIME_MASK = (1 << 32) - 1;

    function pack(address requester_, uint256 amount_, uint256 createdAt_, uint256 recordId_)
        internal
        pure
        returns (Terms)
    {
        return Terms.wrap(
            uint256(uint160(requester_)) | (amount_ << AMOUNT_SHIFT) | (createdAt_ << CREATED_SHIFT)
                | (recordId_ << RECORD_SHIFT)
        );
    }

    function requester(Terms self) internal pure returns (address) {
        return address(uint160(Terms.unwrap(self)));
    }

    function amount(Terms self) internal pure returns (uint256) {
        return (Terms.unwrap(self) >> AMOUNT_SHIFT) & AMOUNT_MASK;
    }

    function createdAt(Terms self) internal pure returns (uint256) {
        return (Terms.unwrap(self) >> CREATED_SHIFT) & TIME_MASK;
    }

    function recordId(Terms self) internal pure returns (uint256) {
        return Terms.unwrap(self) >> RECORD_SHIFT;
    }
}
