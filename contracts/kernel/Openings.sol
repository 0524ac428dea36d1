// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Extras} from "../types/Extras.sol";
import {Progress, ProgressLib} from "../types/Progress.sol";
import {Config} from "../types/Rates.sol";
import {TermsLib} from "../types/Terms.sol";
import {Raw} from "./Raw.sol";
import {Payouts} from "./Payouts.sol";

/// @title How a transaction comes into being
abstract contract Openings is Payouts {
    /// @dev Writes a payment that its requester named by a salt, funded or not. Emits `TransactionCreated` first.
    function _open(
        address requester,
        Order calldata order,
        Config config,
        Extras extras,
        uint256 agentId,
        bool funded
    ) internal returns (bytes32 transactionId) {
        address provider = order.provider;
        uint256 amount = order.amount;
        uint256 deadline = order.deadline;
        bytes32 serviceHash = order.serviceHash;
        transactionId = _saltedId(requester, order.salt);
        Record storage record = _records[transactionId];
        // Before all else, so that a retry learns of the first payment whatever has changed since.
        if (record.progress.exists()) revert SaltUsed(transactionId, order.salt);
        if (funded && !config.isVaultApproved()) revert VaultNotApproved(config.vault());
        _checkTerms(config, requester, provider, amount, deadline, order.disputeWindow);

        Progress progress = ProgressLib.pack(provider, block.timestamp, deadline, order.disputeWindow);
        if (funded) progress = progress.fund().moveTo(State.COMMITTED, block.timestamp);
        if (!extras.isEmpty()) {
            progress = progress.withExtras();
            record.extras = extras;
        }
        record.terms = TermsLib.pack(requester, amount, block.timestamp, config.recordId());
        record.progress = progress;
        if (serviceHash != 0) record.serviceHash = serviceHash;
        Raw.transactionCreated(transactionId, requester, provider, amount, serviceHash, deadline, agentId);
        if (funded) {
            Raw.stateTransitioned(transactionId, State.INITIATED, State.COMMITTED);
            Raw.escrowLinked(transactionId, config.vault(), transactionId, amount);
        }
    }

    /// @dev Four words; ids made of a counter have five, so that neither can ever be the other.
    function _saltedId(address requester, bytes32 salt) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), requester, salt));
    }

    function _checkTerms(
        Config config,
        address requester,
        address provider,
        uint256 amount,
        uint256 deadline,
        uint256 disputeWindow
    ) internal view {
        if (config.isPaused()) revert KernelIsPaused();
        if (provider == address(0)) revert ZeroAddress();
        // A vault that pays itself would keep tokens that nobody is owed.
        if (provider == requester || provider == config.vault()) revert InvalidProvider(provider);
        _checkAmount(amount);
        unchecked {
            if (deadline <= block.timestamp || deadline > block.timestamp + MAX_DEADLINE) {
                revert DeadlineOutOfBounds(deadline, block.timestamp + 1, block.timestamp + MAX_DEADLINE);
            }
        }
        if (disputeWindow < MIN_DISPUTE_WINDOW || disputeWindow > MAX_DISPUTE_WINDOW) {
            revert DisputeWindowOutOfBounds(disputeWindow, MIN_DISPUTE_WINDOW, MAX_DISPUTE_WINDOW);
        }
    }
}
