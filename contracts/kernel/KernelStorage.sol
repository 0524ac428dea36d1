// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelParameters} from "../interfaces/IKernelParameters.sol";
import {Clause, ClauseLib} from "../types/Clause.sol";
import {Extras} from "../types/Extras.sol";
import {Progress} from "../types/Progress.sol";
import {Config, Rates} from "../types/Rates.sol";
import {Terms} from "../types/Terms.sol";
import {Raw} from "./Raw.sol";

/// @title Everything that kernel and extension store, and how it is read
/// @notice The kernel runs the code of its extension on its own storage, so both inherit their whole layout from here
///         and neither declares a storage variable of its own.
abstract contract KernelStorage is IKernelParameters {
    uint256 public constant MAX_BPS = 10_000;
    uint256 public constant MAX_PLATFORM_FEE_CAP = 500;
    uint256 public constant MAX_REQUESTER_PENALTY_CAP = 5_000;
    uint256 public constant MAX_DISPUTE_BOND_BPS = 2_000;
    uint256 public constant MIN_TRANSACTION_AMOUNT = 50_000;
    uint256 public constant MAX_TRANSACTION_AMOUNT = 1e15;
    uint256 public constant MIN_DISPUTE_WINDOW = 1 hours;
    uint256 public constant MAX_DISPUTE_WINDOW = 30 days;
    uint256 public constant MAX_DEADLINE = 365 days;
    uint256 public constant ECONOMIC_PARAM_DELAY = 2 days;
    uint256 public constant MEDIATOR_APPROVAL_DELAY = 2 days;
    uint256 public constant MAX_MEDIATOR_FEE_BPS = 1_000;
    uint256 public constant REFUND_GRACE = 7 days;
    uint256 public constant DISPUTE_TIMEOUT = 30 days;
    uint256 public constant CANCELLATION_NOTICE = 1 hours;
    uint256 public constant CANCELLATION_VALIDITY = 1 days;
    uint256 public constant MAX_MILESTONES = 64;

    uint256 public immutable MIN_FEE;
    uint256 public immutable MIN_DISPUTE_BOND;
    address public immutable USDC;

    /// @dev The first three words are written at creation, the rest only when used. Nothing is stored that can be
    ///      derived: neither the id nor the vault nor the initiator of a dispute.
    struct Record {
        Terms terms;
        Progress progress;
        bytes32 serviceHash;
        Extras extras;
        bytes32 quoteHash;
        bytes32 attestationUID;
        bytes32 escrowAlias;
        uint256 agentId;
        uint256 requesterAgentId;
        HeldBond requesterBond;
        HeldBond providerBond;
        Clause clause;
        MilestoneRecord[] milestones;
    }

    struct HeldBond {
        address poster;
        uint96 amount;
    }

    struct MilestoneRecord {
        uint64 amount;
        uint64 deadline;
        MilestoneStatus status;
        bytes32 conditionHash;
    }

    struct FeeAccount {
        address recipient;
        uint96 accrued;
    }

    struct Mediator {
        uint64 approvedAt;
        uint64 revokedAt;
        bool approved;
    }

    struct PendingRates {
        uint16 platformFeeBps;
        uint16 requesterPenaltyBps;
        uint64 executeAfter;
    }

    Config internal _config;
    address public admin;
    address public pendingAdmin;
    address public pauser;
    PendingRates internal _pending;
    FeeAccount internal _fees;
    mapping(address payee => uint256) public credits;
    mapping(address requester => uint256) public requesterNonces;
    mapping(uint256 recordId => Rates) internal _supersededRates;
    mapping(address => Mediator) internal _mediators;
    mapping(bytes32 transactionId => Record) internal _records;
    mapping(bytes32 escrowAlias => bytes32 transactionId) internal _aliases;

    constructor(address usdc_, Economics memory economics) {
        USDC = usdc_;
        MIN_FEE = economics.minFee;
        MIN_DISPUTE_BOND = economics.minDisputeBond;
    }

    // ---------------------------------------------------------------- reading and moving a transaction

    function _load(bytes32 transactionId) internal view returns (Record storage record, Progress progress) {
        record = _records[transactionId];
        progress = record.progress;
        if (!progress.exists()) revert UnknownTransaction(transactionId);
    }

    function _move(bytes32 transactionId, Record storage record, Progress progress, State newState) internal {
        record.progress = progress.moveTo(newState, block.timestamp);
        Raw.stateTransitioned(transactionId, progress.state(), newState);
    }

    function _escrowId(bytes32 transactionId, Record storage record, Extras extras) internal view returns (bytes32) {
        return extras.isAliased() ? record.escrowAlias : transactionId;
    }

    function _clauseOf(Record storage record, Extras extras) internal view returns (Clause) {
        return extras.hasClause() ? record.clause : ClauseLib.usual();
    }

    // ---------------------------------------------------------------- rates

    /// @dev The rates under which a transaction was created: the current ones, or those of a superseded record.
    function _ratesOf(Config config, uint256 recordId) internal view returns (Rates) {
        return recordId == config.recordId() ? config.rates() : _supersededRates[recordId];
    }

    /// @dev Nothing is locked in a rate that can change: bond and penalty come from the record of the creation.
    function _lockedRates(Terms terms, Extras extras) internal view returns (Rates) {
        return _ratesOf(_config, extras.isRelocked() ? extras.recordId() : terms.recordId());
    }

    function _bondFor(Terms terms, Extras extras) internal view returns (uint256 bond) {
        bond = terms.amount() * _lockedRates(terms, extras).bondBps() / MAX_BPS;
        if (bond < MIN_DISPUTE_BOND) bond = MIN_DISPUTE_BOND;
    }

    // ---------------------------------------------------------------- checks

    function _checkAmount(uint256 amount) internal pure {
        if (amount < MIN_TRANSACTION_AMOUNT || amount > MAX_TRANSACTION_AMOUNT) {
            revert AmountOutOfBounds(amount, MIN_TRANSACTION_AMOUNT, MAX_TRANSACTION_AMOUNT);
        }
    }

    function _checkRequester(Terms terms) internal view {
        if (msg.sender != terms.requester()) revert NotRequester(msg.sender, terms.requester());
    }

    function _checkProvider(Progress progress) internal view {
        if (msg.sender != progress.provider()) revert NotProvider(msg.sender, progress.provider());
    }

    function _checkState(Progress progress, State required) internal pure {
        if (!progress.isIn(required)) revert WrongState(progress.state(), required);
    }

    /// @dev The deadline gates work and funding, never an exit.
    function _checkDeadline(Progress progress) internal view {
        if (block.timestamp > progress.deadline()) revert DeadlinePassed(progress.deadline(), block.timestamp);
    }

    function _checkRate(uint256 rate, uint256 cap) internal pure {
        if (rate > cap) revert RateTooHigh(rate, cap);
    }
}
