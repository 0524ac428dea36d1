// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {KernelExtension} from "./KernelExtension.sol";
import {IACTPKernel} from "./interfaces/IACTPKernel.sol";
import {IEscrowVault} from "./interfaces/IEscrowVault.sol";
import {Cancellations} from "./kernel/Cancellations.sol";
import {KernelStorage} from "./kernel/KernelStorage.sol";
import {Raw} from "./kernel/Raw.sol";
import {Openings} from "./kernel/Openings.sol";
import {Clause} from "./types/Clause.sol";
import {Extras} from "./types/Extras.sol";
import {Progress, ProgressLib} from "./types/Progress.sol";
import {Config, Rates, RatesLib} from "./types/Rates.sol";
import {Terms, TermsLib} from "./types/Terms.sol";

/// @title ACTP kernel
/// @notice The state machine of escrowed payments. See `IACTPKernel` for every function, event and error.
/// @dev Two promises shape the code. Every funded state has an exit that needs nobody's consent after a known time,
///      so no exit looks at the pause, at the vault's approval or at a rate that can change. And the vault's balance
///      equals escrows + bonds + credits + fees after every call, so money is counted before it moves.
///      Here are the steps of every payment and the views; what is rare runs in the extension, at the end of this file.
contract ACTPKernel is Openings, Cancellations, IACTPKernel {
    /// @dev What a batch has to pay, in one transfer for each payee.
    struct Payables {
        address[] payees;
        uint256[] sums;
        uint256 count;
    }

    uint256 public constant DEFAULT_DISPUTE_WINDOW = 2 days;
    /// @notice G1 names an archive here; this kernel sends nothing anywhere but to parties, mediators and fees.
    address public constant archiveTreasury = address(0);

    address public immutable agentRegistry;
    address public immutable extension;

    constructor(
        address admin_,
        address pauser_,
        address feeRecipient_,
        address agentRegistry_,
        address usdc_,
        Economics memory economics
    ) KernelStorage(usdc_, economics) {
        if (admin_ == address(0) || feeRecipient_ == address(0) || usdc_ == address(0)) revert ZeroAddress();
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
        extension = address(new KernelExtension(usdc_, economics));
        _fees.recipient = feeRecipient_;
        Rates rates =
            RatesLib.pack(economics.platformFeeBps, economics.requesterPenaltyBps, economics.disputeBondBps);
        _config = Config.wrap(0).withRates(rates, 0);
    }

    // ---------------------------------------------------------------- create, quote, fund

    /// @inheritdoc IACTPKernel
    function createTransaction(
        address provider,
        address requester,
        uint256 amount,
        uint256 deadline,
        uint256 disputeWindow,
        bytes32 serviceHash,
        uint256 agentId,
        uint256 requesterAgentId
    ) external returns (bytes32 transactionId) {
        Config config = _config;
        if (requester != msg.sender) revert NotRequester(msg.sender, requester);
        _checkTerms(config, requester, provider, amount, deadline, disputeWindow);

        // Chain and kernel are part of the id, so that no id means something elsewhere. The provider as a fifth word
        // keeps ids made of a counter apart from ids made of four words and a caller's salt.
        uint256 nonce;
        unchecked {
            nonce = requesterNonces[requester]++;
        }
        transactionId = keccak256(abi.encode(block.chainid, address(this), requester, nonce, provider));

        Record storage record = _records[transactionId];
        record.terms = TermsLib.pack(requester, amount, block.timestamp, config.recordId());
        record.progress = ProgressLib.pack(provider, block.timestamp, deadline, disputeWindow);
        if (serviceHash != 0) record.serviceHash = serviceHash;
        if (agentId != 0) record.agentId = agentId;
        if (requesterAgentId != 0) record.requesterAgentId = requesterAgentId;
        Raw.transactionCreated(transactionId, requester, provider, amount, serviceHash, deadline, agentId);
    }

    /// @inheritdoc IACTPKernel
    function createFunded(Order calldata order) external nonReentrant returns (bytes32 transactionId) {
        Config config = _config;
        transactionId = _open(msg.sender, order, config, Extras.wrap(0), 0, true);
        IEscrowVault(config.vault()).createEscrow(transactionId, msg.sender, order.provider, order.amount);
    }

    /// @inheritdoc IACTPKernel
    function createFundedBatch(Order[] calldata orders) external nonReentrant returns (bytes32[] memory transactionIds) {
        Config config = _config;
        uint256 count = orders.length;
        transactionIds = new bytes32[](count);
        uint256 total;
        for (uint256 index = 0; index < count; ++index) {
            transactionIds[index] = _open(msg.sender, orders[index], config, Extras.wrap(0), 0, true);
            total += orders[index].amount;
        }
        IEscrowVault(config.vault()).collect(msg.sender, total);
    }

    /// @inheritdoc IACTPKernel
    function acceptQuote(bytes32 transactionId, uint256 newAmount) external {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        _checkRequester(terms);
        _checkState(progress, State.QUOTED);
        if (record.extras.isScheduled()) revert ScheduleAgreed(transactionId);
        _checkDeadline(progress);
        _checkAmount(newAmount);

        // The price is new, so today's fee applies to it. Penalty and bond were not part of the quote and stay.
        uint256 currentRecord = _config.recordId();
        if (currentRecord != terms.recordId()) {
            record.extras = record.extras.relock(terms.recordId());
            progress = progress.withExtras();
        }
        record.terms = TermsLib.pack(terms.requester(), newAmount, terms.createdAt(), currentRecord);
        record.progress = progress.moveTo(State.QUOTED, block.timestamp);
        emit QuoteAccepted(transactionId, terms.amount(), newAmount, block.timestamp);
    }

    /// @inheritdoc IACTPKernel
    function linkEscrow(bytes32 transactionId, address escrowContract, bytes32 escrowId) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        Config config = _config;
        if (config.isPaused()) revert KernelIsPaused();
        State state = progress.state();
        if (state != State.INITIATED && state != State.QUOTED) revert InvalidTransition(state, State.COMMITTED);
        _checkRequester(terms);
        _checkDeadline(progress);
        if (escrowContract != config.vault() || !config.isVaultApproved()) revert VaultNotApproved(escrowContract);
        // A transaction may be older than the vault.
        if (progress.provider() == escrowContract) revert InvalidProvider(escrowContract);

        progress = progress.fund();
        if (escrowId != transactionId) {
            _claimAlias(transactionId, record, escrowId);
            progress = progress.withExtras();
        }
        _move(transactionId, record, progress, State.COMMITTED);
        Raw.escrowLinked(transactionId, escrowContract, escrowId, terms.amount());
        IEscrowVault(escrowContract).createEscrow(escrowId, terms.requester(), progress.provider(), terms.amount());
    }

    // ---------------------------------------------------------------- start, deliver, settle

    /// @inheritdoc IACTPKernel
    function transitionState(bytes32 transactionId, State newState, bytes calldata proof) external {
        if (newState == State.IN_PROGRESS) return _start(transactionId);
        if (newState == State.DELIVERED) return _deliver(transactionId, proof);
        if (newState == State.QUOTED) return _quote(transactionId, proof);
        if (newState == State.DISPUTED || _records[transactionId].progress.state() == State.DISPUTED) _extend();
        if (newState == State.SETTLED) return _settle(transactionId);
        if (newState == State.CANCELLED) return _cancel(transactionId);
        (, Progress progress) = _load(transactionId);
        revert InvalidTransition(progress.state(), newState);
    }

    /// @inheritdoc IACTPKernel
    function releaseEscrow(bytes32 transactionId) external {
        _settle(transactionId);
    }

    /// @inheritdoc IACTPKernel
    function deliverBatch(bytes32[] calldata transactionIds) external returns (uint256 delivered) {
        for (uint256 index = 0; index < transactionIds.length; ++index) {
            bytes32 transactionId = Raw.at(transactionIds, index);
            Record storage record = _records[transactionId];
            Progress progress = record.progress;
            bytes4 problem = _deliveryProblem(progress);
            if (problem != 0) {
                emit BatchItemSkipped(transactionId, index, problem);
                continue;
            }
            record.progress = progress.deliver(block.timestamp, progress.agreedWindow());
            Raw.stateTransitioned(transactionId, progress.state(), State.DELIVERED);
            unchecked {
                ++delivered;
            }
        }
    }

    /// @inheritdoc IACTPKernel
    /// @dev Nothing outside of this contract is called before the last item is booked, so no item can stop another.
    function settleBatch(bytes32[] calldata transactionIds) external nonReentrant returns (uint256 settled) {
        uint256 currentId = _config.recordId();
        uint256 currentBps = _config.rates().feeBps();
        address feeRecipient_ = _fees.recipient;
        uint256 fees;
        Payables memory payables = _noPayables(transactionIds.length);
        address payee;
        uint256 due;
        settled = transactionIds.length;
        // Sums of amounts that the vault received cannot overflow.
        unchecked {
            for (uint256 index = 0; index < transactionIds.length; ++index) {
                bytes32 transactionId = Raw.at(transactionIds, index);
                Record storage record = _records[transactionId];
                Progress progress = record.progress;
                Terms terms = record.terms;
                bool hasExtras = progress.hasExtras();
                uint256 amount = terms.amount();
                if (hasExtras) amount -= record.extras.released();
                if (!_isWindowOver(progress)) {
                    bytes4 problem = _settlementProblem(progress, terms, amount);
                    if (problem != 0) {
                        emit BatchItemSkipped(transactionId, index, problem);
                        --settled;
                        continue;
                    }
                }
                record.progress = progress.moveTo(State.SETTLED, block.timestamp);
                Raw.stateTransitioned(transactionId, progress.state(), State.SETTLED);
                uint256 recordId = terms.recordId();
                uint256 fee =
                    _feeOf(amount, recordId == currentId ? currentBps : _supersededRates[recordId].feeBps());
                if (fee != 0) Raw.platformFeeAccrued(transactionId, feeRecipient_, fee);
                fees += fee;
                amount -= fee;
                address provider = progress.provider();
                Raw.escrowReleased(transactionId, provider, amount);
                if (hasExtras) {
                    _creditBond(transactionId, record.requesterBond);
                    _creditBond(transactionId, record.providerBond);
                }
                // Payments to one payee mostly come one after the other.
                if (provider != payee) {
                    _book(payables, payee, due);
                    payee = provider;
                    due = 0;
                }
                due += amount;
            }
        }
        if (fees != 0) _fees.accrued += uint96(fees);
        _book(payables, payee, due);
        for (uint256 place = 0; place < payables.count; ++place) {
            _pay(bytes32(0), bytes32(0), payables.payees[place], payables.sums[place]);
        }
    }

    /// @inheritdoc IACTPKernel
    function anchorAttestation(bytes32 transactionId, bytes32 attestationUID) external {
        (Record storage record, Progress progress) = _load(transactionId);
        if (msg.sender != progress.provider() && msg.sender != record.terms.requester()) revert NotParty(msg.sender);
        if (!progress.isDelivered() && progress.state() != State.SETTLED) {
            revert WrongState(progress.state(), State.DELIVERED);
        }
        bytes32 current = record.attestationUID;
        if (current != 0 || attestationUID == 0) revert AttestationRefused(current, attestationUID);
        record.attestationUID = attestationUID;
        emit AttestationAnchored(transactionId, attestationUID, msg.sender, block.timestamp);
    }

    // ---------------------------------------------------------------- credits and fees

    /// @inheritdoc IACTPKernel
    function withdrawCredit(address payee) external nonReentrant {
        uint256 amount = credits[payee];
        if (amount == 0) revert NothingToWithdraw(payee);
        credits[payee] = 0;
        if (_vault().payout(bytes32(0), payee, amount) == 0) revert PushRefused(payee, amount);
        emit CreditWithdrawn(payee, msg.sender, amount);
    }

    /// @inheritdoc IACTPKernel
    function withdrawFees() external nonReentrant {
        FeeAccount memory account = _fees;
        if (msg.sender != account.recipient) revert NotFeeRecipient(msg.sender, account.recipient);
        if (account.accrued == 0) revert NothingToWithdraw(msg.sender);
        _fees.accrued = 0;
        if (_vault().payout(bytes32(0), account.recipient, account.accrued) == 0) {
            revert PushRefused(account.recipient, account.accrued);
        }
        emit FeesWithdrawn(account.recipient, account.accrued);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IACTPKernel
    function kernelVersion() external pure returns (string memory) {
        return "actp-escrow/2";
    }

    /// @inheritdoc IACTPKernel
    function getTransaction(bytes32 transactionId) external view returns (TransactionView memory view_) {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        Extras extras = record.extras;
        Rates locked = _lockedRates(terms, extras);
        view_.transactionId = transactionId;
        view_.requester = terms.requester();
        view_.provider = progress.provider();
        view_.state = progress.state();
        view_.amount = terms.amount();
        view_.createdAt = terms.createdAt();
        view_.updatedAt = progress.updatedAt();
        view_.deadline = progress.deadline();
        view_.serviceHash = record.serviceHash;
        if (progress.isFunded()) {
            view_.escrowContract = _config.vault();
            view_.escrowId = _escrowId(transactionId, record, extras);
        }
        view_.attestationUID = record.attestationUID;
        view_.disputeWindow = progress.windowField();
        view_.metadata = record.quoteHash;
        view_.platformFeeBpsLocked = _ratesOf(_config, terms.recordId()).feeBps();
        view_.requesterPenaltyBpsLocked = locked.penaltyBps();
        view_.disputeBondBpsLocked = locked.bondBps();
        view_.agentId = record.agentId;
        view_.requesterAgentId = record.requesterAgentId;
        if (extras.isDisputed()) {
            view_.disputeInitiator = extras.isByProvider() ? progress.provider() : terms.requester();
            view_.disputeBond = extras.isByProvider() ? record.providerBond.amount : record.requesterBond.amount;
        }
    }

    /// @inheritdoc IACTPKernel
    function requiredBond(bytes32 transactionId) external view returns (uint256) {
        (Record storage record,) = _load(transactionId);
        return _bondFor(record.terms, record.extras);
    }

    /// @inheritdoc IACTPKernel
    function bondsOf(bytes32 transactionId)
        external
        view
        returns (Bond memory requesterBond, Bond memory providerBond, uint256 owed)
    {
        (Record storage record, Progress progress) = _load(transactionId);
        requesterBond = Bond(record.requesterBond.poster, record.requesterBond.amount);
        providerBond = Bond(record.providerBond.poster, record.providerBond.amount);
        if (progress.state() == State.DISPUTED && record.extras.isBondOwed()) owed = _bondFor(record.terms, record.extras);
    }

    /// @inheritdoc IACTPKernel
    function escrowOf(bytes32 escrowId)
        external
        view
        returns (address requester, address provider, uint256 amount, uint256 releasedAmount, bool active)
    {
        // A transaction's own id comes first, so that no alias can stand in for it.
        bytes32 transactionId = _records[escrowId].progress.exists() ? escrowId : _aliases[escrowId];
        Record storage record = _records[transactionId];
        Progress progress = record.progress;
        if (!progress.isFunded()) return (address(0), address(0), 0, 0, false);
        Terms terms = record.terms;
        State state = progress.state();
        active = state != State.SETTLED && state != State.CANCELLED;
        amount = terms.amount();
        releasedAmount = active ? record.extras.released() : amount;
        return (terms.requester(), progress.provider(), amount, releasedAmount, active);
    }

    /// @inheritdoc IACTPKernel
    function clausesOf(bytes32 transactionId) external view returns (address arbiter, uint256 timeoutRequesterBps) {
        (Record storage record,) = _load(transactionId);
        Clause clause = _clauseOf(record, record.extras);
        return (clause.arbiter(), clause.timeoutRequesterBps());
    }

    /// @inheritdoc IACTPKernel
    function milestonesOf(bytes32 transactionId) external view returns (MilestoneView[] memory milestones) {
        (Record storage record,) = _load(transactionId);
        uint256 count = record.milestones.length;
        milestones = new MilestoneView[](count);
        for (uint256 index = 0; index < count; ++index) {
            MilestoneRecord memory part = record.milestones[index];
            milestones[index] = MilestoneView(part.amount, part.deadline, part.conditionHash, part.status);
        }
    }

    /// @inheritdoc IACTPKernel
    function feeRecipient() external view returns (address) {
        return _fees.recipient;
    }

    /// @inheritdoc IACTPKernel
    function accruedFees() external view returns (uint256) {
        return _fees.accrued;
    }

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

    // ---------------------------------------------------------------- one function per step

    function _quote(bytes32 transactionId, bytes calldata proof) private {
        (Record storage record, Progress progress) = _load(transactionId);
        if (progress.state() != State.INITIATED) revert InvalidTransition(progress.state(), State.QUOTED);
        _checkProvider(progress);
        _checkDeadline(progress);
        if (proof.length != 0) {
            bytes32 quoteHash = proof.length == 32 ? bytes32(proof) : bytes32(0);
            if (quoteHash == 0) revert InvalidProof(proof.length);
            record.quoteHash = quoteHash;
        }
        _move(transactionId, record, progress, State.QUOTED);
    }

    function _start(bytes32 transactionId) private {
        (Record storage record, Progress progress) = _load(transactionId);
        if (progress.state() != State.COMMITTED) revert InvalidTransition(progress.state(), State.IN_PROGRESS);
        _checkProvider(progress);
        _checkDeadline(progress);
        _move(transactionId, record, progress, State.IN_PROGRESS);
    }

    function _deliver(bytes32 transactionId, bytes calldata proof) private {
        (Record storage record, Progress progress) = _load(transactionId);
        State state = progress.state();
        if (!_isUnderWay(progress)) revert InvalidTransition(state, State.DELIVERED);
        _checkProvider(progress);
        _checkDeadline(progress);
        uint256 window = progress.agreedWindow();
        if (proof.length != 0) {
            if (proof.length != 32) revert InvalidProof(proof.length);
            uint256 wanted = uint256(bytes32(proof));
            if (wanted > MAX_DISPUTE_WINDOW) {
                revert DisputeWindowOutOfBounds(wanted, MIN_DISPUTE_WINDOW, MAX_DISPUTE_WINDOW);
            }
            // The provider may give the requester more time than agreed, never less.
            if (wanted > window) window = wanted;
        }
        record.progress = progress.deliver(block.timestamp, window);
        Raw.stateTransitioned(transactionId, state, State.DELIVERED);
    }

    function _settle(bytes32 transactionId) private nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        Extras extras;
        if (progress.hasExtras()) extras = record.extras;
        uint256 remaining = terms.amount() - extras.released();
        bytes4 problem = _settlementProblem(progress, terms, remaining);
        if (problem == WindowOpen.selector) revert WindowOpen(progress.windowEnd(), block.timestamp);
        if (problem != 0) revert InvalidTransition(progress.state(), State.SETTLED);
        _move(transactionId, record, progress, State.SETTLED);
        Config config = _config;
        uint256 net = _takeFee(transactionId, remaining, _ratesOf(config, terms.recordId()).feeBps());
        Raw.escrowReleased(transactionId, progress.provider(), net);
        bytes32 escrowId = _escrowId(transactionId, record, extras);
        _payAndClose(transactionId, escrowId, progress.provider(), net, config.vault());
        if (progress.hasExtras()) {
            _creditBond(transactionId, record.requesterBond);
            _creditBond(transactionId, record.providerBond);
        }
    }

    // ---------------------------------------------------------------- internals

    /// @return problem What speaks against settling now, as the selector of the error, else zero.
    function _settlementProblem(Progress progress, Terms terms, uint256 remaining)
        private
        view
        returns (bytes4 problem)
    {
        if (progress.isIn(State.DELIVERED)) {
            if (_isWindowOver(progress) || msg.sender == terms.requester()) return 0;
            return WindowOpen.selector;
        }
        if (!progress.exists()) return UnknownTransaction.selector;
        // Work whose milestones are all paid or refunded is settled without a delivery.
        if (remaining == 0 && _isUnderWay(progress)) return 0;
        return InvalidTransition.selector;
    }

    /// @return problem What speaks against delivering now, as the selector of the error, else zero.
    function _deliveryProblem(Progress progress) private view returns (bytes4 problem) {
        if (!_isUnderWay(progress)) {
            return progress.exists() ? InvalidTransition.selector : UnknownTransaction.selector;
        }
        if (msg.sender != progress.provider()) return NotProvider.selector;
        if (block.timestamp > progress.deadline()) return DeadlinePassed.selector;
        return 0;
    }

    function _isWindowOver(Progress progress) private view returns (bool) {
        return progress.isIn(State.DELIVERED) && block.timestamp > progress.windowEnd();
    }

    /// @dev Funded, and neither delivered nor at an end.
    function _isUnderWay(Progress progress) private pure returns (bool) {
        return progress.isIn(State.IN_PROGRESS) || progress.isIn(State.COMMITTED);
    }

    function _noPayables(uint256 atMost) private pure returns (Payables memory) {
        return Payables(new address[](atMost), new uint256[](atMost), 0);
    }

    /// @dev Adds to what a payee is to be paid at the end of a batch.
    function _book(Payables memory payables, address payee, uint256 amount) private pure {
        if (amount == 0) return;
        uint256 place = payables.count;
        while (place > 0 && payables.payees[place - 1] != payee) --place;
        if (place == 0) {
            payables.payees[payables.count] = payee;
            place = ++payables.count;
        }
        payables.sums[place - 1] += amount;
    }

    /// @dev Takes an escrow id of the caller's choice. It can shadow nobody: a real transaction id always wins.
    function _claimAlias(bytes32 transactionId, Record storage record, bytes32 escrowId) private {
        if (escrowId == 0 || _aliases[escrowId] != 0 || _records[escrowId].progress.exists()) {
            revert EscrowIdTaken(escrowId);
        }
        _aliases[escrowId] = transactionId;
        record.escrowAlias = escrowId;
        record.extras = record.extras.withAlias();
    }

    /// @dev Runs the same call in the extension, on this storage, and ends with what it returns.
    function _extend() private {
        address target = extension;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            calldatacopy(pointer, 0, calldatasize())
            let succeeded := delegatecall(gas(), target, pointer, calldatasize(), 0, 0)
            returndatacopy(pointer, 0, returndatasize())
            if iszero(succeeded) { revert(pointer, returndatasize()) }
            return(pointer, returndatasize())
        }
    }

    // ---------------------------------------------------------------- run by the extension

    function createSalted(Order calldata, Clauses calldata) external returns (bytes32) {
        _extend();
    }

    function createFundedWith(Order calldata, Clauses calldata) external returns (bytes32) {
        _extend();
    }

    function createFundedWithPermit(Order calldata, Clauses calldata, Permit calldata) external returns (bytes32) {
        _extend();
    }

    function createFundedWithAuthorization(address, Order calldata, Clauses calldata, Authorization calldata) external returns (bytes32) {
        _extend();
    }

    function payMilestone(bytes32, uint256) external {
        _extend();
    }

    function refundMilestone(bytes32, uint256) external {
        _extend();
    }

    function settleByConsent(bytes32, uint256, uint256, uint256, bytes calldata, bytes calldata) external {
        _extend();
    }

    function releaseMilestone(bytes32, uint256) external {
        _extend();
    }

    function pause() external {
        _extend();
    }

    function unpause() external {
        _extend();
    }

    function updatePauser(address) external {
        _extend();
    }

    function updateFeeRecipient(address) external {
        _extend();
    }

    function transferAdmin(address) external {
        _extend();
    }

    function acceptAdmin() external {
        _extend();
    }

    function approveEscrowVault(address, bool) external {
        _extend();
    }

    function approveMediator(address, bool) external {
        _extend();
    }

    function scheduleEconomicParams(uint16, uint16) external {
        _extend();
    }

    function cancelEconomicParamsUpdate() external {
        _extend();
    }

    function executeEconomicParamsUpdate() external {
        _extend();
    }

    function updateDisputeBondBps(uint16) external {
        _extend();
    }

    function closeTimedOutDispute(bytes32) external {
        _extend();
    }

    function postBond(bytes32, address) external {
        _extend();
    }

}
