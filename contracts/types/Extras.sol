// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev The rarely used facts of a transaction; the `extras` bit of its `Progress` tells whether to read them.
///      bits   0..49  released: what milestones have paid or refunded out of the escrow so far
///      bits  50..81  when an announced cancellation takes effect, unix seconds, 0 for none
///      bits  82..95  id of the parameter record of penalty and bond, if `relocked`
///      bit   96      relocked: an accepted quote locked the fee rate anew; penalty and bond kept their record
///      bit   97      aliased: the escrow was linked under an id of the caller's choice
///      bit   98      disputed
///      bit   99      the provider opened the dispute (else the requester)
///      bit  100      the bond of the dispute is owed by its initiator
///      bit  101      clause: the transaction has a `Clause` of its own
///      bit  102      scheduled: the amount is paid by the milestones that were agreed at creation
type Extras is uint256;

using ExtrasLib for Extras global;

library ExtrasLib {
    uint256 private constant AMOUNT_MASK = (1 << 50) - 1;
    uint256 private constant TIME_MASK = (1 << 32) - 1;
    uint256 private constant RECORD_MASK = (1 << 14) - 1;
    uint256 private constant NOTICE_SHIFT = 50;
    uint256 private constant RECORD_SHIFT = 82;
    uint256 private constant RELOCKED = 1 << 96;
    uint256 private constant ALIASED = 1 << 97;
    uint256 private constant DISPUTED = 1 << 98;
    uint256 private constant BY_PROVIDER = 1 << 99;
    uint256 private constant BOND_OWED = 1 << 100;
    uint256 private constant CLAUSE = 1 << 101;
    uint256 private constant SCHEDULED = 1 << 102;

    function released(Extras self) internal pure returns (uint256) {
        return Extras.unwrap(self) & AMOUNT_MASK;
    }

    function cancellationAt(Extras self) internal pure returns (uint256) {
        return (Extras.unwrap(self) >> NOTICE_SHIFT) & TIME_MASK;
    }

    function isRelocked(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) & RELOCKED != 0;
    }

    function recordId(Extras self) internal pure returns (uint256) {
        return (Extras.unwrap(self) >> RECORD_SHIFT) & RECORD_MASK;
    }

    function isAliased(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) & ALIASED != 0;
    }

    function isDisputed(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) & DISPUTED != 0;
    }

    function isByProvider(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) & BY_PROVIDER != 0;
    }

    function isBondOwed(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) & BOND_OWED != 0;
    }

    function hasClause(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) & CLAUSE != 0;
    }

    function isScheduled(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) & SCHEDULED != 0;
    }

    function isEmpty(Extras self) internal pure returns (bool) {
        return Extras.unwrap(self) == 0;
    }

    function release(Extras self, uint256 amount) internal pure returns (Extras) {
        return Extras.wrap(Extras.unwrap(self) + amount);
    }

    function withCancellationAt(Extras self, uint256 at) internal pure returns (Extras) {
        return Extras.wrap((Extras.unwrap(self) & ~(TIME_MASK << NOTICE_SHIFT)) | (at << NOTICE_SHIFT));
    }

    /// @dev Only the record of the creation is kept: a second accepted quote must not overwrite it.
    function relock(Extras self, uint256 recordId_) internal pure returns (Extras) {
        if (isRelocked(self)) return self;
        return Extras.wrap(Extras.unwrap(self) | RELOCKED | (recordId_ << RECORD_SHIFT));
    }

    function withAlias(Extras self) internal pure returns (Extras) {
        return Extras.wrap(Extras.unwrap(self) | ALIASED);
    }

    function withClause(Extras self) internal pure returns (Extras) {
        return Extras.wrap(Extras.unwrap(self) | CLAUSE);
    }

    function withSchedule(Extras self) internal pure returns (Extras) {
        return Extras.wrap(Extras.unwrap(self) | SCHEDULED);
    }

    function dispute(Extras self, bool byProvider, bool owed) internal pure returns (Extras) {
        return Extras.wrap(
            Extras.unwrap(self) | DISPUTED | (byProvider ? BY_PROVIDER : 0) | (owed ? BOND_OWED : 0)
        );
    }

    function withBondPosted(Extras self) internal pure returns (Extras) {
        return Extras.wrap(Extras.unwrap(self) & ~BOND_OWED);
    }
}
