// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEscrowVault} from "../interfaces/IEscrowVault.sol";
import {IKernelExtension} from "../interfaces/IKernelExtension.sol";
import {Config, Rates, RatesLib} from "../types/Rates.sol";
import {Payouts} from "./Payouts.sol";

/// @title Who may configure the kernel, and its economic parameters
/// @notice The admin can stop new money, change rates for new transactions, and rule on disputes (with mediators).
///         Nothing here can move, redirect or lock tokens of a transaction that exists.
abstract contract Governance is Payouts, IKernelExtension {
    /// @dev Parameter record ids have 14 bits.
    uint256 private constant MAX_RECORDS = 1 << 14;

    modifier onlyAdmin() {
        _checkAdmin();
        _;
    }

    // ---------------------------------------------------------------- roles and pause

    /// @inheritdoc IKernelExtension
    function pause() external {
        _setPaused(true);
        emit KernelPaused(msg.sender, block.timestamp);
    }

    /// @inheritdoc IKernelExtension
    function unpause() external {
        _setPaused(false);
        emit KernelUnpaused(msg.sender, block.timestamp);
    }

    /// @inheritdoc IKernelExtension
    function updatePauser(address newPauser) external onlyAdmin {
        if (newPauser == address(0)) revert ZeroAddress();
        emit PauserUpdated(pauser, newPauser);
        pauser = newPauser;
    }

    /// @inheritdoc IKernelExtension
    function transferAdmin(address newAdmin) external onlyAdmin {
        if (newAdmin == address(0)) revert ZeroAddress();
        pendingAdmin = newAdmin;
        emit AdminTransferInitiated(admin, newAdmin);
    }

    /// @inheritdoc IKernelExtension
    function acceptAdmin() external {
        if (msg.sender != pendingAdmin) revert NotPendingAdmin(msg.sender, pendingAdmin);
        emit AdminTransferred(admin, msg.sender);
        admin = msg.sender;
        delete pendingAdmin;
    }

    /// @inheritdoc IKernelExtension
    function updateFeeRecipient(address newRecipient) external onlyAdmin {
        if (newRecipient == address(0)) revert ZeroAddress();
        FeeAccount memory old = _fees;
        _fees = FeeAccount(newRecipient, 0);
        if (old.accrued != 0) _credit(bytes32(0), old.recipient, old.accrued);
        emit FeeRecipientUpdated(old.recipient, newRecipient);
    }

    // ---------------------------------------------------------------- vault and mediators

    /// @inheritdoc IKernelExtension
    function approveEscrowVault(address vault, bool approved) external onlyAdmin {
        address bound = _config.vault();
        if (bound == address(0)) {
            if (!approved) revert VaultNotApproved(vault);
            _checkVault(vault);
        } else if (bound != vault) {
            revert VaultAlreadyBound(bound, vault);
        }
        _config = _config.withVault(vault, approved);
        emit EscrowVaultApproved(vault, approved);
    }

    /// @inheritdoc IKernelExtension
    function approveMediator(address mediator, bool approved) external onlyAdmin {
        if (mediator == address(0)) revert ZeroAddress();
        Mediator storage record = _mediators[mediator];
        if (approved) {
            // Approving again must not restart the delay of a mediator who is in office.
            if (!record.approved) record.approvedAt = uint64(block.timestamp);
        } else {
            record.revokedAt = uint64(block.timestamp);
        }
        record.approved = approved;
        emit MediatorApproved(mediator, approved);
    }

    // ---------------------------------------------------------------- rates

    /// @inheritdoc IKernelExtension
    function scheduleEconomicParams(uint16 newPlatformFeeBps, uint16 newRequesterPenaltyBps) external onlyAdmin {
        _checkRate(newPlatformFeeBps, MAX_PLATFORM_FEE_CAP);
        _checkRate(newRequesterPenaltyBps, MAX_REQUESTER_PENALTY_CAP);
        if (_pending.executeAfter != 0) revert UpdatePending(_pending.executeAfter);
        uint256 executeAfter = block.timestamp + ECONOMIC_PARAM_DELAY;
        _pending = PendingRates(newPlatformFeeBps, newRequesterPenaltyBps, uint64(executeAfter));
        emit EconomicParamsUpdateScheduled(newPlatformFeeBps, newRequesterPenaltyBps, executeAfter);
    }

    /// @inheritdoc IKernelExtension
    function cancelEconomicParamsUpdate() external onlyAdmin {
        PendingRates memory pending = _takePending();
        emit EconomicParamsUpdateCancelled(pending.platformFeeBps, pending.requesterPenaltyBps, block.timestamp);
    }

    /// @inheritdoc IKernelExtension
    function executeEconomicParamsUpdate() external {
        PendingRates memory pending = _takePending();
        if (block.timestamp < pending.executeAfter) revert TimelockRunning(pending.executeAfter, block.timestamp);
        uint256 bondBps = _config.rates().bondBps();
        _supersedeRates(RatesLib.pack(pending.platformFeeBps, pending.requesterPenaltyBps, bondBps));
        emit EconomicParamsUpdated(pending.platformFeeBps, pending.requesterPenaltyBps, block.timestamp);
    }

    /// @inheritdoc IKernelExtension
    function updateDisputeBondBps(uint16 newDisputeBondBps) external onlyAdmin {
        _checkRate(newDisputeBondBps, MAX_DISPUTE_BOND_BPS);
        Rates current = _config.rates();
        _supersedeRates(RatesLib.pack(current.feeBps(), current.penaltyBps(), newDisputeBondBps));
        emit DisputeBondBpsUpdated(current.bondBps(), newDisputeBondBps);
    }

    // ---------------------------------------------------------------- internals

    function _checkAdmin() internal view {
        if (msg.sender != admin) revert NotAdmin(msg.sender, admin);
    }

    function _setPaused(bool paused_) private {
        if (msg.sender != pauser && msg.sender != admin) revert NotPauser(msg.sender, pauser);
        _config = _config.withPaused(paused_);
    }

    /// @dev Open transactions point at their record by id, so what they locked must stay readable.
    function _supersedeRates(Rates newRates) private {
        Config config = _config;
        uint256 recordId = config.recordId();
        if (recordId + 1 == MAX_RECORDS) revert ParameterRecordsExhausted(MAX_RECORDS);
        _supersededRates[recordId] = config.rates();
        _config = config.withRates(newRates, recordId + 1);
    }

    function _takePending() private returns (PendingRates memory pending) {
        pending = _pending;
        if (pending.executeAfter == 0) revert NoPendingUpdate();
        delete _pending;
    }

    function _checkVault(address vault) private view {
        if (USDC.code.length == 0) revert NoCode(USDC);
        if (vault.code.length == 0) revert NoCode(vault);
        if (IEscrowVault(vault).token() != USDC || IEscrowVault(vault).kernel() != address(this)) {
            revert VaultMismatch(vault);
        }
    }
}
