// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IACTPKernel} from "./interfaces/IACTPKernel.sol";
import {IEscrowVault} from "./interfaces/IEscrowVault.sol";
import {Governance} from "./kernel/Governance.sol";
import {Payouts} from "./kernel/Payouts.sol";
import {Extras} from "./types/Extras.sol";
import {Progress, ProgressLib} from "./types/Progress.sol";
import {Config, Rates} from "./types/Rates.sol";
import {Terms, TermsLib} from "./types/Terms.sol";

/// @title ACTP kernel
/// @notice The state machine of escrowed payments. See `IACTPKernel` for every function, event and error.
/// @dev Two promises shape the code. Every funded state has an exit that needs nobody's consent after a known time,
///      so no exit looks at the pause, at the vault's approval or at a rate that can change. And the vault's balance
///      equals escrows + bonds + credits + fees after every call, so money is counted before it moves.
contract ACTPKernel is Payouts, ReentrancyGuardTransient {
    uint256 public constant DEFAULT_DISPUTE_WINDOW = 2 days;
    uint256 public constant MIN_DISPUTE_WINDOW = 1 hours;
    uint256 public constant MAX_DISPUTE_WINDOW = 30 days;
    uint256 public constant MAX_DEADLINE = 365 days;
    uint256 public constant REFUND_GRACE = 7 days;
    uint256 public constant DISPUTE_TIMEOUT = 30 days;
    uint256 public constant CANCELLATION_NOTICE = 1 hours;
    uint256 public constant CANCELLATION_VALIDITY = 1 days;
    /// @dev The requester's share of a dispute on which nobody rules.
    uint256 private constant TIMEOUT_REQUESTER_BPS = 5_000;

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
    }

    /// @dev How a dispute ends; the amounts sum to what the escrow still holds.
    struct Ruling {
        uint256 requesterAmount;
        uint256 providerAmount;
        address mediator;
        uint256 mediatorAmount;
        bool providerAtFault;
    }

    mapping(bytes32 transactionId => Record) private _records;
    mapping(bytes32 escrowAlias => bytes32 transactionId) private _aliases;
    mapping(address requester => uint256) public requesterNonces;

    constructor(
        address admin_,
        address pauser_,
        address feeRecipient_,
        address agentRegistry_,
        address usdc_,
        Economics memory economics
    ) Governance(admin_, pauser_, agentRegistry_, usdc_, economics) Payouts(feeRecipient_) {}

    /// @inheritdoc IACTPKernel
    function kernelVersion() external pure returns (string memory) {
        return "actp-escrow/1";
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
        if (config.isPaused()) revert KernelIsPaused();
        if (requester != msg.sender) revert NotRequester(msg.sender, requester);
        if (provider == address(0)) revert ZeroAddress();
        // A vault that pays itself would keep tokens that nobody is owed.
        if (provider == requester || provider == config.vault()) revert InvalidProvider(provider);
        _checkAmount(amount);
        if (deadline <= block.timestamp || deadline > block.timestamp + MAX_DEADLINE) {
            revert DeadlineOutOfBounds(deadline, block.timestamp + 1, block.timestamp + MAX_DEADLINE);
        }
        if (disputeWindow < MIN_DISPUTE_WINDOW || disputeWindow > MAX_DISPUTE_WINDOW) {
            revert DisputeWindowOutOfBounds(disputeWindow, MIN_DISPUTE_WINDOW, MAX_DISPUTE_WINDOW);
        }

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
        emit TransactionCreated(
            transactionId, requester, provider, amount, serviceHash, deadline, block.timestamp, agentId
        );
    }

    /// @inheritdoc IACTPKernel
    function acceptQuote(bytes32 transactionId, uint256 newAmount) external {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        _checkRequester(terms);
        _checkState(progress, State.QUOTED);
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
        emit EscrowLinked(transactionId, escrowContract, escrowId, terms.amount(), block.timestamp);
        IEscrowVault(escrowContract).createEscrow(escrowId, terms.requester(), progress.provider(), terms.amount());
    }

    // ---------------------------------------------------------------- transitions

    /// @inheritdoc IACTPKernel
    function transitionState(bytes32 transactionId, State newState, bytes calldata proof) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        if (newState == State.IN_PROGRESS) return _start(transactionId, record, progress);
        if (newState == State.DELIVERED) return _deliver(transactionId, record, progress, proof);
        State state = progress.state();
        if (newState == State.SETTLED && state != State.DISPUTED) return _settle(transactionId, record, progress);
        if (newState == State.QUOTED) return _quote(transactionId, record, progress, proof);
        if (newState == State.DISPUTED) return _dispute(transactionId, record, progress);
        if (newState != State.SETTLED && newState != State.CANCELLED) revert InvalidTransition(state, newState);
        if (state == State.DISPUTED) return _rule(transactionId, record, progress, newState, proof);
        _cancel(transactionId, record, progress);
    }

    /// @inheritdoc IACTPKernel
    function releaseEscrow(bytes32 transactionId) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        _settle(transactionId, record, progress);
    }

    /// @inheritdoc IACTPKernel
    function releaseMilestone(bytes32 transactionId, uint256 amount) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        _checkRequester(terms);
        _checkState(progress, State.IN_PROGRESS);
        Extras extras = record.extras;
        uint256 remaining = terms.amount() - extras.released();
        // Dust would round the fee down to nothing, so only the last piece may be small.
        if (amount == 0 || amount > remaining || (amount < MIN_TRANSACTION_AMOUNT && amount != remaining)) {
            revert MilestoneOutOfBounds(amount, MIN_TRANSACTION_AMOUNT, remaining);
        }
        record.extras = extras.release(amount);
        record.progress = progress.withExtras().moveTo(State.IN_PROGRESS, block.timestamp);
        emit EscrowMilestoneReleased(transactionId, amount, block.timestamp);
        uint256 net = _takeFee(transactionId, amount, _ratesOf(_config, terms.recordId()).feeBps());
        _pay(transactionId, _escrowId(transactionId, record, extras), progress.provider(), net);
    }

    /// @inheritdoc IACTPKernel
    function announceCancellation(bytes32 transactionId) external {
        (Record storage record, Progress progress) = _load(transactionId);
        _checkRequester(record.terms);
        _checkState(progress, State.COMMITTED);
        uint256 effectiveAt = block.timestamp + CANCELLATION_NOTICE;
        record.extras = record.extras.withCancellationAt(effectiveAt);
        record.progress = progress.withExtras();
        emit CancellationAnnounced(transactionId, effectiveAt);
    }

    /// @inheritdoc IACTPKernel
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
        uint256 penalty = block.timestamp > progress.deadline()
            ? 0
            : terms.amount() * _lockedRates(terms, extras).penaltyBps() / MAX_BPS;
        _move(transactionId, record, progress, State.CANCELLED);
        bytes32 escrowId = _escrowId(transactionId, record, extras);
        if (penalty != 0) {
            emit PenaltyPaid(transactionId, progress.provider(), penalty);
            _pay(transactionId, escrowId, progress.provider(), penalty);
        }
        _refundAndClose(transactionId, escrowId, terms.requester(), terms.amount() - penalty);
    }

    /// @inheritdoc IACTPKernel
    function closeTimedOutDispute(bytes32 transactionId) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        _checkState(progress, State.DISPUTED);
        uint256 timesOutAfter = progress.updatedAt() + DISPUTE_TIMEOUT;
        if (block.timestamp <= timesOutAfter) revert DisputeNotTimedOut(timesOutAfter, block.timestamp);

        Terms terms = record.terms;
        Extras extras = record.extras;
        uint256 remaining = terms.amount() - extras.released();
        Ruling memory ruling;
        ruling.requesterAmount = remaining * TIMEOUT_REQUESTER_BPS / MAX_BPS;
        ruling.providerAmount = remaining - ruling.requesterAmount;
        _move(transactionId, record, progress, State.SETTLED);
        emit DisputeTimedOut(transactionId, ruling.requesterAmount, ruling.providerAmount);
        uint256 net = _takeFee(transactionId, ruling.providerAmount, _ratesOf(_config, terms.recordId()).feeBps());
        (HeldBond storage bond, HeldBond storage spare) = _bonds(record, extras);
        _creditBond(transactionId, spare);
        _payRuling(transactionId, record, progress, ruling, net, bond, bond.poster);
    }

    /// @inheritdoc IACTPKernel
    function postBond(bytes32 transactionId, address party) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        Extras extras = record.extras;
        bool forProvider = party == progress.provider();
        if (!forProvider && party != terms.requester()) revert NotParty(party);

        if (progress.state() == State.DISPUTED) {
            if (!extras.isBondOwed() || extras.isByProvider() != forProvider) revert BondNotWanted(party);
            record.extras = extras.withBondPosted();
        } else {
            _checkState(progress, State.DELIVERED);
            _checkWindowOpen(progress);
            record.progress = progress.withExtras();
        }
        HeldBond storage bond = forProvider ? record.providerBond : record.requesterBond;
        uint256 required = _bondFor(terms, extras);
        if (bond.amount != 0 || required == 0) revert BondNotWanted(party);
        if (!_pullBond(transactionId, bond, party, required)) revert BondRefused(msg.sender, required);
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

    /// @inheritdoc IACTPKernel
    function withdrawCredit(address payee) external nonReentrant {
        _payCredit(payee);
    }

    /// @inheritdoc IACTPKernel
    function withdrawFees() external nonReentrant {
        _payFees();
    }

    // ---------------------------------------------------------------- views

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
    function cancellationEffectiveAt(bytes32 transactionId) external view returns (uint256) {
        (Record storage record,) = _load(transactionId);
        return record.extras.cancellationAt();
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

    // ---------------------------------------------------------------- one function per transition

    function _quote(bytes32 transactionId, Record storage record, Progress progress, bytes calldata proof) private {
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

    function _start(bytes32 transactionId, Record storage record, Progress progress) private {
        if (progress.state() != State.COMMITTED) revert InvalidTransition(progress.state(), State.IN_PROGRESS);
        _checkProvider(progress);
        _checkDeadline(progress);
        _move(transactionId, record, progress, State.IN_PROGRESS);
    }

    function _deliver(bytes32 transactionId, Record storage record, Progress progress, bytes calldata proof) private {
        if (progress.state() != State.IN_PROGRESS) revert InvalidTransition(progress.state(), State.DELIVERED);
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
        emit StateTransitioned(transactionId, State.IN_PROGRESS, State.DELIVERED, msg.sender, block.timestamp);
    }

    function _settle(bytes32 transactionId, Record storage record, Progress progress) private {
        Terms terms = record.terms;
        Extras extras;
        if (progress.hasExtras()) extras = record.extras;
        uint256 remaining = terms.amount() - extras.released();
        State state = progress.state();
        if (state == State.DELIVERED) {
            if (block.timestamp <= progress.windowEnd() && msg.sender != terms.requester()) {
                revert WindowOpen(progress.windowEnd(), block.timestamp);
            }
        } else if (state != State.IN_PROGRESS || remaining != 0) {
            // Work that milestones have paid in full is settled without a delivery.
            revert InvalidTransition(state, State.SETTLED);
        }
        _move(transactionId, record, progress, State.SETTLED);
        Config config = _config;
        uint256 net = _takeFee(transactionId, remaining, _ratesOf(config, terms.recordId()).feeBps());
        emit EscrowReleased(transactionId, progress.provider(), net, block.timestamp);
        bytes32 escrowId = _escrowId(transactionId, record, extras);
        _payAndClose(transactionId, escrowId, progress.provider(), net, config.vault());
        if (progress.hasExtras()) {
            _creditBond(transactionId, record.requesterBond);
            _creditBond(transactionId, record.providerBond);
        }
    }

    function _dispute(bytes32 transactionId, Record storage record, Progress progress) private {
        if (progress.state() != State.DELIVERED) revert InvalidTransition(progress.state(), State.DISPUTED);
        Terms terms = record.terms;
        bool byProvider = msg.sender == progress.provider();
        if (!byProvider && msg.sender != terms.requester()) revert NotParty(msg.sender);
        _checkWindowOpen(progress);

        Extras extras = record.extras;
        HeldBond storage bond = byProvider ? record.providerBond : record.requesterBond;
        uint256 required = _bondFor(terms, extras);
        bool owed = false;
        if (bond.amount == 0 && required != 0) {
            owed = !_pullBond(transactionId, bond, msg.sender, required);
            if (owed) emit BondOwed(transactionId, msg.sender, required);
        }
        record.extras = extras.dispute(byProvider, owed);
        _move(transactionId, record, progress.withExtras(), State.DISPUTED);
        emit DisputeOpened(transactionId, msg.sender, required, block.timestamp);
    }

    function _rule(
        bytes32 transactionId,
        Record storage record,
        Progress progress,
        State newState,
        bytes calldata proof
    ) private {
        Terms terms = record.terms;
        Extras extras = record.extras;
        _checkResolver(terms.requester(), progress.provider());
        Ruling memory ruling = _decodeRuling(proof, newState, terms.amount() - extras.released());
        if (ruling.mediatorAmount != 0) {
            address mediator = ruling.mediator;
            if (!_isMediator(mediator) || mediator == terms.requester() || mediator == progress.provider()) {
                revert MediatorNotApproved(mediator);
            }
        }

        _move(transactionId, record, progress, newState);
        address initiator = extras.isByProvider() ? progress.provider() : terms.requester();
        (HeldBond storage bond, HeldBond storage spare) = _bonds(record, extras);
        emit DisputeResolved(
            transactionId,
            keccak256(abi.encode(transactionId, initiator)),
            initiator,
            ruling.providerAtFault,
            bond.amount,
            block.timestamp
        );
        uint256 net = _takeFee(transactionId, ruling.providerAmount, _ratesOf(_config, terms.recordId()).feeBps());
        // Whoever posted the bond of a party that is right, or of a dispute that is called off, gets it back.
        address bondPayee = bond.poster;
        if (newState == State.SETTLED && extras.isByProvider() == ruling.providerAtFault) {
            if (extras.isBondOwed()) net = _takeOwedBond(ruling, net, _bondFor(terms, extras));
            bondPayee = ruling.providerAtFault ? terms.requester() : progress.provider();
        }
        _creditBond(transactionId, spare);
        _payRuling(transactionId, record, progress, ruling, net, bond, bondPayee);
    }

    function _cancel(bytes32 transactionId, Record storage record, Progress progress) private {
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

    // ---------------------------------------------------------------- money

    /// @dev Pays the parts of an ended dispute and the bond of its initiator; `net` is the provider's part after the
    ///      fee. A party gets its part and the bond in one push, so that a ruling on parties whom the token refuses
    ///      stays payable.
    function _payRuling(
        bytes32 transactionId,
        Record storage record,
        Progress progress,
        Ruling memory ruling,
        uint256 net,
        HeldBond storage bond,
        address bondPayee
    ) private {
        bytes32 escrowId = _escrowId(transactionId, record, record.extras);
        address requester = record.terms.requester();
        address provider = progress.provider();
        uint256 bondAmount = _takeBond(transactionId, bond, bondPayee);
        if (ruling.requesterAmount != 0) {
            emit EscrowRefunded(transactionId, requester, ruling.requesterAmount, block.timestamp);
        }
        if (net != 0) emit EscrowReleased(transactionId, provider, net, block.timestamp);
        if (bondPayee == requester) {
            ruling.requesterAmount += bondAmount;
        } else if (bondPayee == provider) {
            net += bondAmount;
        } else {
            _pay(transactionId, escrowId, bondPayee, bondAmount);
        }
        _pay(transactionId, escrowId, requester, ruling.requesterAmount);
        _pay(transactionId, escrowId, provider, net);
        if (ruling.mediatorAmount != 0) {
            emit EscrowMediatorPaid(transactionId, ruling.mediator, ruling.mediatorAmount, block.timestamp);
        }
        // The parties come first: a refused push needs gas in reserve, and the mediator is the least likely to be one.
        _payAndClose(transactionId, escrowId, ruling.mediator, ruling.mediatorAmount, _config.vault());
    }

    function _refundAndClose(bytes32 transactionId, bytes32 escrowId, address requester, uint256 amount) private {
        emit EscrowRefunded(transactionId, requester, amount, block.timestamp);
        _payAndClose(transactionId, escrowId, requester, amount, _config.vault());
    }

    /// @return bond The bond of the dispute's initiator, which the ruling decides on.
    /// @return spare A bond that was posted ahead for the other party, which goes back to its poster.
    function _bonds(Record storage record, Extras extras)
        private
        view
        returns (HeldBond storage bond, HeldBond storage spare)
    {
        return extras.isByProvider()
            ? (record.providerBond, record.requesterBond)
            : (record.requesterBond, record.providerBond);
    }

    /// @dev A bond that could not be posted and is lost comes out of its party's part of the escrow, as far as that
    ///      goes.
    /// @return providerNet The provider's part after the fee and the bond.
    function _takeOwedBond(Ruling memory ruling, uint256 net, uint256 bond)
        private
        pure
        returns (uint256 providerNet)
    {
        if (ruling.providerAtFault) {
            if (bond > net) bond = net;
            ruling.requesterAmount += bond;
            return net - bond;
        }
        if (bond > ruling.requesterAmount) bond = ruling.requesterAmount;
        ruling.requesterAmount -= bond;
        return net + bond;
    }

    /// @dev Nothing is locked in a rate that can change: bond and penalty come from the record of the creation.
    function _lockedRates(Terms terms, Extras extras) private view returns (Rates) {
        return _ratesOf(_config, extras.isRelocked() ? extras.recordId() : terms.recordId());
    }

    function _bondFor(Terms terms, Extras extras) private view returns (uint256 bond) {
        bond = terms.amount() * _lockedRates(terms, extras).bondBps() / MAX_BPS;
        if (bond < MIN_DISPUTE_BOND) bond = MIN_DISPUTE_BOND;
    }

    function _decodeRuling(bytes calldata proof, State newState, uint256 remaining)
        private
        pure
        returns (Ruling memory ruling)
    {
        uint256 length = proof.length;
        if (length == 0) {
            if (newState == State.SETTLED) ruling.providerAmount = remaining;
            else ruling.requesterAmount = remaining;
            return ruling;
        }
        if (length != 64 && length != 96 && length != 128 && length != 160) revert InvalidProof(length);
        ruling.requesterAmount = uint256(bytes32(proof[0:32]));
        ruling.providerAmount = uint256(bytes32(proof[32:64]));
        ruling.providerAtFault = true;
        if (length == 96 || length == 160) {
            uint256 fault = uint256(bytes32(proof[64:96]));
            if (fault > 1) revert InvalidProof(length);
            ruling.providerAtFault = fault == 1;
        }
        if (length >= 128) {
            uint256 mediator = uint256(bytes32(proof[length - 64:length - 32]));
            if (mediator > type(uint160).max) revert InvalidProof(length);
            ruling.mediator = address(uint160(mediator));
            ruling.mediatorAmount = uint256(bytes32(proof[length - 32:]));
            uint256 maximum = remaining * MAX_MEDIATOR_FEE_BPS / MAX_BPS;
            if (ruling.mediatorAmount > maximum) revert MediatorFeeTooHigh(ruling.mediatorAmount, maximum);
        }
        // Checked one by one as well, since a sum of words may wrap.
        uint256 sum;
        unchecked {
            sum = ruling.requesterAmount + ruling.providerAmount + ruling.mediatorAmount;
        }
        if (ruling.requesterAmount > remaining || ruling.providerAmount > remaining || sum != remaining) {
            revert SplitMismatch(sum, remaining);
        }
    }

    // ---------------------------------------------------------------- storage and checks

    function _load(bytes32 transactionId) private view returns (Record storage record, Progress progress) {
        record = _records[transactionId];
        progress = record.progress;
        if (!progress.exists()) revert UnknownTransaction(transactionId);
    }

    function _move(bytes32 transactionId, Record storage record, Progress progress, State newState) private {
        record.progress = progress.moveTo(newState, block.timestamp);
        emit StateTransitioned(transactionId, progress.state(), newState, msg.sender, block.timestamp);
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

    function _escrowId(bytes32 transactionId, Record storage record, Extras extras) private view returns (bytes32) {
        return extras.isAliased() ? record.escrowAlias : transactionId;
    }

    function _checkAmount(uint256 amount) private pure {
        if (amount < MIN_TRANSACTION_AMOUNT || amount > MAX_TRANSACTION_AMOUNT) {
            revert AmountOutOfBounds(amount, MIN_TRANSACTION_AMOUNT, MAX_TRANSACTION_AMOUNT);
        }
    }

    function _checkRequester(Terms terms) private view {
        if (msg.sender != terms.requester()) revert NotRequester(msg.sender, terms.requester());
    }

    function _checkProvider(Progress progress) private view {
        if (msg.sender != progress.provider()) revert NotProvider(msg.sender, progress.provider());
    }

    function _checkResolver(address requester, address provider) private view {
        if (msg.sender == requester || msg.sender == provider || (msg.sender != admin && !_isMediator(msg.sender))) {
            revert NotResolver(msg.sender);
        }
    }

    function _checkState(Progress progress, State required) private pure {
        if (progress.state() != required) revert WrongState(progress.state(), required);
    }

    /// @dev The deadline gates work and funding, never an exit.
    function _checkDeadline(Progress progress) private view {
        if (block.timestamp > progress.deadline()) revert DeadlinePassed(progress.deadline(), block.timestamp);
    }

    function _checkWindowOpen(Progress progress) private view {
        if (block.timestamp > progress.windowEnd()) revert WindowClosed(progress.windowEnd(), block.timestamp);
    }
}
