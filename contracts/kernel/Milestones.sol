// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IKernelExtension} from "../interfaces/IKernelExtension.sol";
import {Extras} from "../types/Extras.sol";
import {Progress} from "../types/Progress.sol";
import {Terms} from "../types/Terms.sol";
import {Payouts} from "./Payouts.sol";

/// @title Parts of an escrow that are paid before the delivery: of the requester's choice, or by an agreed schedule
abstract contract Milestones is Payouts, ReentrancyGuardTransient, IKernelExtension {
    /// @inheritdoc IKernelExtension
    function releaseMilestone(bytes32 transactionId, uint256 amount) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        _checkRequester(terms);
        _checkState(progress, State.IN_PROGRESS);
        Extras extras = record.extras;
        if (extras.isScheduled()) revert ScheduleAgreed(transactionId);
        uint256 remaining = terms.amount() - extras.released();
        // Dust would round the fee down to nothing, so only the last piece may be small.
        if (amount == 0 || amount > remaining || (amount < MIN_TRANSACTION_AMOUNT && amount != remaining)) {
            revert MilestoneOutOfBounds(amount, MIN_TRANSACTION_AMOUNT, remaining);
        }
        _release(transactionId, record, progress, amount);
    }

    /// @inheritdoc IKernelExtension
    function payMilestone(bytes32 transactionId, uint256 index) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        _checkRequester(terms);
        _checkState(progress, State.IN_PROGRESS);
        uint256 amount = _unlock(record, index, MilestoneStatus.PAID);
        emit MilestonePaid(transactionId, index, amount);
        _release(transactionId, record, progress, amount);
    }

    /// @inheritdoc IKernelExtension
    function refundMilestone(bytes32 transactionId, uint256 index) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        State state = progress.state();
        if (state != State.COMMITTED) _checkState(progress, State.IN_PROGRESS);
        uint256 amount = _unlock(record, index, MilestoneStatus.REFUNDED);
        uint256 dueAfter = record.milestones[index].deadline;
        if (msg.sender != terms.requester()) dueAfter += REFUND_GRACE;
        if (block.timestamp <= dueAfter) revert RefundNotDue(dueAfter, block.timestamp);

        Extras extras = record.extras;
        record.extras = extras.release(amount);
        record.progress = progress.moveTo(state, block.timestamp);
        emit MilestoneRefunded(transactionId, index, amount);
        emit EscrowRefunded(transactionId, terms.requester(), amount, block.timestamp);
        _pay(transactionId, _escrowId(transactionId, record, extras), terms.requester(), amount);
    }

    /// @dev Writes the schedule of a new transaction. The parts sum to its amount, so nothing is left over that no part
    ///      could release.
    function _schedule(bytes32 transactionId, Order calldata order, Milestone[] calldata milestones) internal {
        uint256 count = milestones.length;
        if (count > MAX_MILESTONES) revert TooManyMilestones(count, MAX_MILESTONES);
        MilestoneRecord[] storage records = _records[transactionId].milestones;
        uint256 sum;
        for (uint256 index = 0; index < count; ++index) {
            Milestone calldata part = milestones[index];
            _checkAmount(part.amount);
            if (part.deadline <= block.timestamp || part.deadline > order.deadline) {
                revert MilestoneDeadlineOutOfBounds(index, part.deadline, block.timestamp + 1, order.deadline);
            }
            sum += part.amount;
            records.push(
                MilestoneRecord(
                    uint64(part.amount), uint64(part.deadline), MilestoneStatus.LOCKED, part.conditionHash
                )
            );
            emit MilestoneScheduled(transactionId, index, part.amount, part.deadline, part.conditionHash);
        }
        if (sum != order.amount) revert ScheduleMismatch(sum, order.amount);
    }

    /// @dev Marks a locked part. Each one leaves its state once, so none is paid or refunded twice.
    function _unlock(Record storage record, uint256 index, MilestoneStatus status) private returns (uint256 amount) {
        uint256 count = record.milestones.length;
        if (index >= count) revert UnknownMilestone(index, count);
        MilestoneRecord storage part = record.milestones[index];
        if (part.status != MilestoneStatus.LOCKED) revert MilestoneNotLocked(index, part.status);
        part.status = status;
        return part.amount;
    }

    function _release(bytes32 transactionId, Record storage record, Progress progress, uint256 amount) private {
        Extras extras = record.extras;
        record.extras = extras.release(amount);
        record.progress = progress.withExtras().moveTo(State.IN_PROGRESS, block.timestamp);
        emit EscrowMilestoneReleased(transactionId, amount, block.timestamp);
        uint256 net = _takeFee(transactionId, amount, _ratesOf(_config, record.terms.recordId()).feeBps());
        _pay(transactionId, _escrowId(transactionId, record, extras), progress.provider(), net);
    }
}
