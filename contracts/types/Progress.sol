// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelTypes} from "../interfaces/IKernelTypes.sol";

/// @dev Slot B of a transaction: the only one that a transition rewrites. Zero means that the id is unknown, since a
///      provider is never zero.
///      bits   0..159 provider
///      bits 160..191 updatedAt, unix seconds
///      bits 192..223 until delivery the deadline, from then on the end of the dispute window
///      bits 224..249 until delivery the dispute window in seconds, from then on the deadline as an offset:
///                    deadline + 30 days - windowEnd, which lies in 0 .. 395 days
///      bits 250..252 state
///      bit  253      delivered: the two fields above have their second meaning
///      bit  254      funded: the vault has received the amount
///      bit  255      extras: the cold `Extras` word or a bond of this transaction is in use
type Progress is uint256;

using ProgressLib for Progress global;

library ProgressLib {
    uint256 private constant UPDATED_SHIFT = 160;
    uint256 private constant CLOCK_SHIFT = 192;
    uint256 private constant SPAN_SHIFT = 224;
    uint256 private constant STATE_SHIFT = 250;
    uint256 private constant TIME_MASK = (1 << 32) - 1;
    uint256 private constant SPAN_MASK = (1 << 26) - 1;
    uint256 private constant STATE_MASK = 7;
    uint256 private constant DELIVERED = 1 << 253;
    uint256 private constant FUNDED = 1 << 254;
    uint256 private constant EXTRAS = 1 << 255;
    /// @dev Longest dispute window, which keeps the deadline's offset from going below zero.
    uint256 private constant OFFSET_BASE = 30 days;

    function pack(address provider_, uint256 createdAt, uint256 deadline_, uint256 window)
        internal
        pure
        returns (Progress)
    {
        return Progress.wrap(
            uint256(uint160(provider_)) | (createdAt << UPDATED_SHIFT) | (deadline_ << CLOCK_SHIFT)
                | (window << SPAN_SHIFT)
        );
    }

    function exists(Progress self) internal pure returns (bool) {
        return Progress.unwrap(self) != 0;
    }

    function provider(Progress self) internal pure returns (address) {
        return address(uint160(Progress.unwrap(self)));
    }

    function updatedAt(Progress self) internal pure returns (uint256) {
        return (Progress.unwrap(self) >> UPDATED_SHIFT) & TIME_MASK;
    }

    /// @dev Three bits hold the eight states, so there is nothing to check.
    function state(Progress self) internal pure returns (IKernelTypes.State state_) {
        uint256 word = (Progress.unwrap(self) >> STATE_SHIFT) & STATE_MASK;
        assembly ("memory-safe") {
            state_ := word
        }
    }

    /// @dev Cheaper than comparing `state()`, which the compiler checks again wherever it is used.
    function isIn(Progress self, IKernelTypes.State state_) internal pure returns (bool) {
        return (Progress.unwrap(self) >> STATE_SHIFT) & STATE_MASK == uint256(state_);
    }

    function isDelivered(Progress self) internal pure returns (bool) {
        return Progress.unwrap(self) & DELIVERED != 0;
    }

    function isFunded(Progress self) internal pure returns (bool) {
        return Progress.unwrap(self) & FUNDED != 0;
    }

    function hasExtras(Progress self) internal pure returns (bool) {
        return Progress.unwrap(self) & EXTRAS != 0;
    }

    /// @dev The agreed deadline, whether delivered or not.
    function deadline(Progress self) internal pure returns (uint256) {
        uint256 clock = _clock(self);
        unchecked {
            return isDelivered(self) ? clock + _span(self) - OFFSET_BASE : clock;
        }
    }

    /// @dev The agreed dispute window in seconds; only before delivery.
    function agreedWindow(Progress self) internal pure returns (uint256) {
        return _span(self);
    }

    /// @dev Last second in which a dispute is accepted; only after delivery.
    function windowEnd(Progress self) internal pure returns (uint256) {
        return _clock(self);
    }

    /// @dev What G1's view calls `disputeWindow`: a duration until delivery, then the absolute end.
    function windowField(Progress self) internal pure returns (uint256) {
        return isDelivered(self) ? _clock(self) : _span(self);
    }

    function moveTo(Progress self, IKernelTypes.State newState, uint256 timestamp) internal pure returns (Progress) {
        uint256 word = Progress.unwrap(self) & ~((TIME_MASK << UPDATED_SHIFT) | (STATE_MASK << STATE_SHIFT));
        return Progress.wrap(word | (timestamp << UPDATED_SHIFT) | (uint256(newState) << STATE_SHIFT));
    }

    function deliver(Progress self, uint256 timestamp, uint256 window) internal pure returns (Progress) {
        // Times have 32 bits; the window is at most 30 days and delivery is not after the deadline.
        unchecked {
            uint256 end = timestamp + window;
            uint256 offset = _clock(self) + OFFSET_BASE - end;
            uint256 word = Progress.unwrap(self) & ~((TIME_MASK << CLOCK_SHIFT) | (SPAN_MASK << SPAN_SHIFT));
            word |= (end << CLOCK_SHIFT) | (offset << SPAN_SHIFT) | DELIVERED;
            return moveTo(Progress.wrap(word), IKernelTypes.State.DELIVERED, timestamp);
        }
    }

    function fund(Progress self) internal pure returns (Progress) {
        return Progress.wrap(Progress.unwrap(self) | FUNDED);
    }

    function withExtras(Progress self) internal pure returns (Progress) {
        return Progress.wrap(Progress.unwrap(self) | EXTRAS);
    }

    function _clock(Progress self) private pure returns (uint256) {
        return (Progress.unwrap(self) >> CLOCK_SHIFT) & TIME_MASK;
    }

    function _span(Progress self) private pure returns (uint256) {
        return (Progress.unwrap(self) >> SPAN_SHIFT) & SPAN_MASK;
    }
}
