// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IACTPKernel} from "../interfaces/IACTPKernel.sol";
import {IEscrowVault} from "../interfaces/IEscrowVault.sol";
import {Config, Rates, RatesLib} from "../types/Rates.sol";

/// @title Who may configure the kernel, and its economic parameters
/// @notice The admin can stop new money, change rates for new transactions, and rule on disputes (with mediators).
///         Nothing here can move, redirect or lock tokens of a transaction that exists.
abstract contract Governance is IACTPKernel {
    uint256 public constant MAX_BPS = 10_000;
    uint256 public constant MAX_PLATFORM_FEE_CAP = 500;
    uint256 public constant MAX_REQUESTER_PENALTY_CAP = 5_000;
    uint256 public constant MAX_DISPUTE_BOND_BPS = 2_000;
    uint256 public constant MAX_MEDIATOR_FEE_BPS = 1_000;
    uint256 public constant MIN_TRANSACTION_AMOUNT = 50_000;
    uint256 public constant MAX_TRANSACTION_AMOUNT = 1e15;
    uint256 public constant ECONOMIC_PARAM_DELAY = 2 days;
    uint256 public constant MEDIATOR_APPROVAL_DELAY = 2 days;
    /// @dev Parameter record ids have 14 bits.
    uint256 private constant MAX_RECORDS = 1 << 14;

    uint256 public immutable MIN_FEE;
    uint256 public immutable MIN_DISPUTE_BOND;
    address public immutable USDC;
    address public immutable agentRegistry;
    /// @notice G1 names an archive here; this kernel sends nothing anywhere but to parties, mediators and fees.
    address public constant archiveTreasury = address(0);

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
    PendingRates private _pending;
    mapping(uint256 recordId => Rates) private _supersededRates;
    mapping(address => Mediator) private _mediators;

    modifier onlyAdmin() {
        _checkAdmin();
        _;
    }

    constructor(address admin_, address pauser_, address agentRegistry_, address usdc_, Economics memory economics) {
        if (admin_ == address(0) || usdc_ == address(0)) revert ZeroAddress();
        _checkRate(economics.platformFeeBps, MAX_PLATFORM_FEE_CAP);
        _checkRate(economics.requesterPenaltyBps, MAX_REQUESTER_PENALTY_CAP);
        _checkRate(economics.disputeBondBps, MAX_DISPUTE_BOND_BPS);
        if (economics.minFee > MAX_TRANSACTION_AMOUNT) revert MinimumTooHigh(economics.minFee, MAX_TRANSACTION_AMOUNT);
        if (economics.minDisputeBond > MAX_TRANSACTION_AMOUNT) {
            revert MinimumTooHigh(economics.minDisputeBond, MAX_TRANSACTION_AMOUNT);
        }
        admin = admin_;
        pauser = pauser_ == address(0) ? admin_ : pauser_;
        agentRegistry = agentRegistry_;
        USDC = usdc_;
        MIN_FEE = economics.minFee;
        MIN_DISPUTE_BOND = economics.minDisputeBond;
        Rates rates =
            RatesLib.pack(economics.platformFeeBps, economics.requesterPenaltyBps, economics.disputeBondBps);
        _config = Config.wrap(0).withRates(rates, 0);
    }

    // ---------------------------------------------------------------- roles and pause

    /// @inheritdoc IACTPKernel
    function pause() external {
        _setPaused(true);
        emit KernelPaused(msg.sender, block.timestamp);
    }

    /// @inheritdoc IACTPKernel
    function unpause() external {
        _setPaused(false);
        emit KernelUnpaused(msg.sender, block.timestamp);
    }

    /// @inheritdoc IACTPKernel
    function updatePauser(address newPauser) external onlyAdmin {
        if (newPauser == address(0)) revert ZeroAddress();
        emit PauserUpdated(pauser, newPauser);
        pauser = newPauser;
    }

    /// @inheritdoc IACTPKernel
    function transferAdmin(address newAdmin) external onlyAdmin {
        if (newAdmin == address(0)) revert ZeroAddress();
        pendingAdmin = newAdmin;
        emit AdminTransferInitiated(admin, newAdmin);
    }

    /// @inheritdoc IACTPKernel
    function acceptAdmin() external {
        if (msg.sender != pendingAdmin) revert NotPendingAdmin(msg.sender, pendingAdmin);
        emit AdminTransferred(admin, msg.sender);
        admin = msg.sender;
        delete pendingAdmin;
    }

    // ---------------------------------------------------------------- vault and mediators

    /// @inheritdoc IACTPKernel
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

    /// @inheritdoc IACTPKernel
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

    /// @inheritdoc IACTPKernel
    function scheduleEconomicParams(uint16 newPlatformFeeBps, uint16 newRequesterPenaltyBps) external onlyAdmin {
        _checkRate(newPlatformFeeBps, MAX_PLATFORM_FEE_CAP);
        _checkRate(newRequesterPenaltyBps, MAX_REQUESTER_PENALTY_CAP);
        if (_pending.executeAfter != 0) revert UpdatePending(_pending.executeAfter);
        uint256 executeAfter = block.timestamp + ECONOMIC_PARAM_DELAY;
        _pending = PendingRates(newPlatformFeeBps, newRequesterPenaltyBps, uint64(executeAfter));
        emit EconomicParamsUpdateScheduled(newPlatformFeeBps, newRequesterPenaltyBps, executeAfter);
    }

    /// @inheritdoc IACTPKernel
    function cancelEconomicParamsUpdate() external onlyAdmin {
        PendingRates memory pending = _takePending();
        emit EconomicParamsUpdateCancelled(pending.platformFeeBps, pending.requesterPenaltyBps, block.timestamp);
    }

    /// @inheritdoc IACTPKernel
    function executeEconomicParamsUpdate() external {
        PendingRates memory pending = _takePending();
        if (block.timestamp < pending.executeAfter) revert TimelockRunning(pending.executeAfter, block.timestamp);
        uint256 bondBps = _config.rates().bondBps();
        _supersedeRates(RatesLib.pack(pending.platformFeeBps, pending.requesterPenaltyBps, bondBps));
        emit EconomicParamsUpdated(pending.platformFeeBps, pending.requesterPenaltyBps, block.timestamp);
    }

    /// @inheritdoc IACTPKernel
    function updateDisputeBondBps(uint16 newDisputeBondBps) external onlyAdmin {
        _checkRate(newDisputeBondBps, MAX_DISPUTE_BOND_BPS);
        Rates current = _config.rates();
        _supersedeRates(RatesLib.pack(current.feeBps(), current.penaltyBps(), newDisputeBondBps));
        emit DisputeBondBpsUpdated(current.bondBps(), newDisputeBondBps);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IACTPKernel
    function getPendingEconomicParams() external view returns (uint16, uint16, uint256, bool) {
        PendingRates memory pending = _pending;
        return
            (pending.platformFeeBps, pending.requesterPenaltyBps, pending.executeAfter, pending.executeAfter != 0);
    }

    function paused() external view returns (bool) {
        return _config.isPaused();
    }

    function platformFeeBps() external view returns (uint16) {
        return _config.rates().feeBps();
    }

    function requesterPenaltyBps() external view returns (uint16) {
        return _config.rates().penaltyBps();
    }

    function disputeBondBps() external view returns (uint16) {
        return _config.rates().bondBps();
    }

    function approvedEscrowVaults(address vault) external view returns (bool) {
        return vault != address(0) && vault == _config.vault() && _config.isVaultApproved();
    }

    function approvedMediators(address mediator) external view returns (bool) {
        return _mediators[mediator].approved;
    }

    function mediatorApprovedAt(address mediator) external view returns (uint256) {
        return _mediators[mediator].approvedAt;
    }

    function mediatorRevokedAt(address mediator) external view returns (uint256) {
        return _mediators[mediator].revokedAt;
    }

    // ---------------------------------------------------------------- internals

    /// @dev The rates under which a transaction was created: the current ones, or those of a superseded record.
    function _ratesOf(Config config, uint256 recordId) internal view returns (Rates) {
        return recordId == config.recordId() ? config.rates() : _supersededRates[recordId];
    }

    function _isMediator(address account) internal view returns (bool) {
        Mediator memory record = _mediators[account];
        return record.approved && block.timestamp >= record.approvedAt + MEDIATOR_APPROVAL_DELAY;
    }

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

    function _checkRate(uint256 rate, uint256 cap) private pure {
        if (rate > cap) revert RateTooHigh(rate, cap);
    }
}
