// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IKernelCancellations} from "../interfaces/IKernelCancellations.sol";
import {Extras} from "../types/Extras.sol";
import {Progress} from "../types/Progress.sol";
import {Terms} from "../types/Terms.sol";
import {Payouts} from "./Payouts.sol";

/// @title Ends without a delivery: the provider declines, the deadline passes, the requester walks away
abstract contract Cancellations is Payouts, ReentrancyGuardTransient, IKernelCancellations {
    /// @inheritdoc IKernelCancellations
    function announceCancellation(bytes32 transactionId) external {
        (Record storage record, Progress progress) = _load(transactionId);
        _checkRequester(record.terms);
        _checkState(progress, State.COMMITTED);
        uint256 effectiveAt = block.timestamp + CANCELLATION_NOTICE;
        record.extras = record.extras.withCancellationAt(effectiveAt);
        record.progress = progress.withExtras();
        emit CancellationAnnounced(transactionId, effectiveAt);
    }

    /// @inheritdoc IKernelCancellations
    function cancelEarly(bytes32 transactionId) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        _checkRequester(terms);
        _checkState(progress, State.COMMITTED);
        Extras extras = record.extras;
        uint256 effectiveAt = extras.cancellationAt();
        if (effectiveAt == 0) revert NoCancellationAnnounced(transactionId);
        if (block.timestamp < effectiveAt) revert NoticeRunning(effectiveAt, block.timestamp);
        // An old announcement is no notice: it would let a requester wait for the work and then walk away.
        if (block.timestamp > effectiveAt + CANCELLATION_VALIDITY) {
            revert CancellationLapsed(effectiveAt + CANCELLATION_VALIDITY, block.timestamp);
        }

        // After the deadline it is the provider who did not deliver: nothing is due to it.
        // Parts of a schedule may have gone back before.
        uint256 remaining = terms.amount() - extras.released();
        uint256 penalty = block.timestamp > progress.deadline()
            ? 0
            : remaining * _lockedRates(terms, extras).penaltyBps() / MAX_BPS;
        _move(transactionId, record, progress, State.CANCELLED);
        bytes32 escrowId = _escrowId(transactionId, record, extras);
        if (penalty != 0) {
            emit PenaltyPaid(transactionId, progress.provider(), penalty);
            _pay(transactionId, escrowId, progress.provider(), penalty);
        }
        _refundAndClose(transactionId, escrowId, terms.requester(), remaining - penalty);
    }

    /// @inheritdoc IKernelCancellations
    function cancellationEffectiveAt(bytes32 transactionId) external view returns (uint256) {
        (Record storage record,) = _load(transactionId);
        return record.extras.cancellationAt();
    }

    function _cancel(bytes32 transactionId) internal nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        State state = progress.state();
        if (state == State.INITIATED || state == State.QUOTED) {
            _checkRequester(terms);
            return _move(transactionId, record, progress, State.CANCELLED);
        }
        if (state != State.COMMITTED && state != State.IN_PROGRESS) revert InvalidTransition(state, State.CANCELLED);
        if (msg.sender != progress.provider()) {
            uint256 dueAfter = progress.deadline() + (msg.sender == terms.requester() ? 0 : REFUND_GRACE);
            if (block.timestamp <= dueAfter) revert RefundNotDue(dueAfter, block.timestamp);
        }
        Extras extras = record.extras;
        uint256 remaining = terms.amount() - extras.released();
        // Work that milestones have paid in full can only be settled, which anyone may do.
        if (remaining == 0) revert InvalidTransition(state, State.CANCELLED);
        _move(transactionId, record, progress, State.CANCELLED);
        bytes32 escrowId = _escrowId(transactionId, record, extras);
        _refundAndClose(transactionId, escrowId, terms.requester(), remaining);
    }

    function _refundAndClose(bytes32 transactionId, bytes32 escrowId, address requester, uint256 amount) private {
        emit EscrowRefunded(transactionId, requester, amount, block.timestamp);
        _payAndClose(transactionId, escrowId, requester, amount, _config.vault());
    }
}
