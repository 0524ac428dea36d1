// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev Who rules on the disputes of a transaction, and how one ends on which nobody rules. Stored only where it is not
///      the usual one.
///      bits   0..159 arbiter, zero for the admin and the approved mediators
///      bits 160..173 the requester's share of a dispute that timed out, in basis points
type Clause is uint256;

using ClauseLib for Clause global;

library ClauseLib {
    uint256 private constant SHARE_SHIFT = 160;
    uint256 private constant USUAL_SHARE_BPS = 5_000;

    function pack(address arbiter_, uint256 timeoutRequesterBps_) internal pure returns (Clause) {
        return Clause.wrap(uint256(uint160(arbiter_)) | (timeoutRequesterBps_ << SHARE_SHIFT));
    }

    function usual() internal pure returns (Clause) {
        return pack(address(0), USUAL_SHARE_BPS);
    }

    function isUsual(Clause self) internal pure returns (bool) {
        return Clause.unwrap(self) == Clause.unwrap(usual());
    }

    function arbiter(Clause self) internal pure returns (address) {
        return address(uint160(Clause.unwrap(self)));
    }

    function timeoutRequesterBps(Clause self) internal pure returns (uint256) {
        return Clause.unwrap(self) >> SHARE_SHIFT;
    }
}
