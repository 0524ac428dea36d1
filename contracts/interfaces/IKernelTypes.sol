// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title What an ACTP kernel says: states, records, events and errors
/// @notice Amounts are base units of the vault's token (USDC: 6 decimals), times are unix seconds.
interface IKernelTypes {
    /// @notice Life of a transaction. CANCELLED and SETTLED are final.
    enum State {
        INITIATED,
        QUOTED,
        COMMITTED,
        IN_PROGRESS,
        DELIVERED,
        SETTLED,
        DISPUTED,
        CANCELLED
    }

    /// @notice Economic numbers fixed when the kernel is deployed; the three rates can later be changed by the admin,
    ///         and never touch a transaction that exists already.
    /// @param platformFeeBps Share of every payout to a provider, at most `MAX_PLATFORM_FEE_CAP`.
    /// @param requesterPenaltyBps Share that a requester pays who walks away early, at most `MAX_REQUESTER_PENALTY_CAP`.
    /// @param disputeBondBps Share of the amount that a disputer posts, at most `MAX_DISPUTE_BOND_BPS`.
    /// @param minFee Smallest fee of one payout, never more than the payout itself.
    /// @param minDisputeBond Smallest bond of a dispute.
    struct Economics {
        uint16 platformFeeBps;
        uint16 requesterPenaltyBps;
        uint16 disputeBondBps;
        uint256 minFee;
        uint256 minDisputeBond;
    }

    /// @notice Everything about one transaction, in the field order of G1.
    /// @dev `disputeWindow` is a duration until DELIVERED and the absolute end time from then on.
    struct TransactionView {
        bytes32 transactionId;
        address requester;
        address provider;
        State state;
        uint256 amount;
        uint256 createdAt;
        uint256 updatedAt;
        uint256 deadline;
        bytes32 serviceHash;
        address escrowContract;
        bytes32 escrowId;
        bytes32 attestationUID;
        uint256 disputeWindow;
        bytes32 metadata;
        uint16 platformFeeBpsLocked;
        uint16 requesterPenaltyBpsLocked;
        uint16 disputeBondBpsLocked;
        uint256 agentId;
        uint256 requesterAgentId;
        address disputeInitiator;
        uint256 disputeBond;
    }

    /// @notice A bond held for one party of a transaction, whoever posted it.
    struct Bond {
        address poster;
        uint256 amount;
    }

    /// @notice A payment that its requester names with a salt: kernel, requester and salt make the id, so the chain
    ///         itself refuses to make the same payment twice.
    /// @param provider Who delivers; neither the requester nor the vault.
    /// @param amount Base units, `MIN_TRANSACTION_AMOUNT` to `MAX_TRANSACTION_AMOUNT`.
    /// @param deadline Last second in which work may be started and delivered.
    /// @param disputeWindow Seconds after delivery in which either party may dispute.
    /// @param serviceHash Hash of what is bought.
    /// @param salt The requester's name for this payment.
    struct Order {
        address provider;
        uint256 amount;
        uint256 deadline;
        uint256 disputeWindow;
        bytes32 serviceHash;
        bytes32 salt;
    }

    /// @notice One part of a schedule that is agreed at creation.
    /// @param amount Base units, at least `MIN_TRANSACTION_AMOUNT`; all parts sum to the amount of the order.
    /// @param deadline From the second after it, the part is refundable unless it was paid; not after the order's.
    /// @param conditionHash Hash of what has to be fulfilled. The kernel records it and judges nothing.
    struct Milestone {
        uint256 amount;
        uint256 deadline;
        bytes32 conditionHash;
    }

    /// @notice Terms that few payments need. The provider accepts them by starting or delivering.
    /// @param arbiter Who alone rules on disputes; zero for the admin and the approved mediators.
    /// @param timeoutRequesterBps The requester's share of a dispute on which nobody rules; usually 5,000.
    /// @param agentId The provider's id in an agent registry, 0 for none.
    /// @param requesterAgentId The requester's id in an agent registry, 0 for none.
    /// @param milestones Empty, or a schedule of at most `MAX_MILESTONES` parts.
    struct Clauses {
        address arbiter;
        uint256 timeoutRequesterBps;
        uint256 agentId;
        uint256 requesterAgentId;
        Milestone[] milestones;
    }

    /// @notice A signed allowance of EIP-2612 for the vault.
    struct Permit {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice A transfer to the vault that the requester signed (EIP-3009). Its nonce is the hash of chain, kernel,
    ///         requester, order and clauses, so whoever sends it can change no term.
    struct Authorization {
        uint256 validAfter;
        uint256 validBefore;
        bytes signature;
    }

    /// @notice What became of a part of a schedule.
    enum MilestoneStatus {
        LOCKED,
        PAID,
        REFUNDED
    }

    /// @notice A part of a schedule and what became of it.
    struct MilestoneView {
        uint256 amount;
        uint256 deadline;
        bytes32 conditionHash;
        MilestoneStatus status;
    }

    // ---------------------------------------------------------------- events of G1

    event TransactionCreated(
        bytes32 indexed transactionId,
        address indexed requester,
        address indexed provider,
        uint256 amount,
        bytes32 serviceHash,
        uint256 deadline,
        uint256 timestamp,
        uint256 agentId
    );
    event StateTransitioned(
        bytes32 indexed transactionId,
        State indexed oldState,
        State indexed newState,
        address triggeredBy,
        uint256 timestamp
    );
    event QuoteAccepted(bytes32 indexed transactionId, uint256 oldAmount, uint256 newAmount, uint256 timestamp);
    event EscrowLinked(
        bytes32 indexed transactionId, address escrowContract, bytes32 escrowId, uint256 amount, uint256 timestamp
    );
    event EscrowReleased(bytes32 indexed transactionId, address recipient, uint256 amount, uint256 timestamp);
    event EscrowRefunded(bytes32 indexed transactionId, address recipient, uint256 amount, uint256 timestamp);
    event EscrowMilestoneReleased(bytes32 indexed transactionId, uint256 amount, uint256 timestamp);
    event PlatformFeeAccrued(
        bytes32 indexed transactionId, address indexed recipient, uint256 amount, uint256 timestamp
    );
    event EscrowMediatorPaid(
        bytes32 indexed transactionId, address indexed mediator, uint256 amount, uint256 timestamp
    );
    event AttestationAnchored(
        bytes32 indexed transactionId, bytes32 indexed attestationUID, address attester, uint256 timestamp
    );
    event DisputeOpened(
        bytes32 indexed transactionId, address indexed initiator, uint256 bondAmount, uint256 timestamp
    );
    event DisputeResolved(
        bytes32 indexed transactionId,
        bytes32 indexed disputeId,
        address indexed initiator,
        bool providerAtFault,
        uint256 bondAmount,
        uint256 timestamp
    );
    event KernelPaused(address indexed by, uint256 timestamp);
    event KernelUnpaused(address indexed by, uint256 timestamp);
    event PauserUpdated(address indexed oldPauser, address indexed newPauser);
    event FeeRecipientUpdated(address indexed oldRecipient, address indexed newRecipient);
    event AdminTransferInitiated(address indexed currentAdmin, address indexed pendingAdmin);
    event AdminTransferred(address indexed oldAdmin, address indexed newAdmin);
    event EscrowVaultApproved(address indexed vault, bool approved);
    event MediatorApproved(address indexed mediator, bool approved);
    event EconomicParamsUpdateScheduled(uint16 platformFeeBps, uint16 requesterPenaltyBps, uint256 executeAfter);
    event EconomicParamsUpdateCancelled(uint16 platformFeeBps, uint16 requesterPenaltyBps, uint256 timestamp);
    event EconomicParamsUpdated(uint16 platformFeeBps, uint16 requesterPenaltyBps, uint256 timestamp);

    // ---------------------------------------------------------------- events beyond G1

    /// @notice A new rate for the bonds of transactions created from now on.
    event DisputeBondBpsUpdated(uint16 oldBps, uint16 newBps);
    /// @notice The amount is owed to `payee` until it is withdrawn: a push of tokens failed, or a bond that was posted
    ///         ahead was not needed.
    event CreditAccrued(bytes32 indexed transactionId, address indexed payee, uint256 amount);
    /// @notice A credit left the vault to its owner, whoever asked for it.
    event CreditWithdrawn(address indexed payee, address caller, uint256 amount);
    /// @notice Accrued platform fees left the vault.
    event FeesWithdrawn(address indexed recipient, uint256 amount);
    /// @notice A bond for a dispute of `party` is held in the vault.
    event BondPosted(bytes32 indexed transactionId, address indexed party, address indexed poster, uint256 amount);
    /// @notice The token would not move the bond, so the dispute stands and the bond is owed by its party.
    event BondOwed(bytes32 indexed transactionId, address indexed party, uint256 amount);
    /// @notice A bond left the books: returned to its poster, or forfeited to the other party. It is paid together with
    ///         what its payee gets of the escrow.
    event BondPaid(bytes32 indexed transactionId, address indexed recipient, uint256 amount);
    /// @notice The requester announced to walk away; effective at `effectiveAt` unless the provider starts before.
    event CancellationAnnounced(bytes32 indexed transactionId, uint256 effectiveAt);
    /// @notice What a requester paid to the provider for walking away early.
    event PenaltyPaid(bytes32 indexed transactionId, address indexed provider, uint256 amount);
    /// @notice Nobody ruled on a dispute in time; the escrow was split as agreed at creation.
    event DisputeTimedOut(bytes32 indexed transactionId, uint256 requesterAmount, uint256 providerAmount);

    /// @notice The transaction has an arbiter of its own, or another split than half and half for a silent one.
    event ClausesAgreed(bytes32 indexed transactionId, address indexed arbiter, uint256 timeoutRequesterBps);
    /// @notice A part of the schedule that was agreed at creation.
    event MilestoneScheduled(
        bytes32 indexed transactionId, uint256 indexed index, uint256 amount, uint256 deadline, bytes32 conditionHash
    );
    /// @notice A part of the schedule was paid; `EscrowMilestoneReleased` and the fee follow.
    event MilestonePaid(bytes32 indexed transactionId, uint256 indexed index, uint256 amount);
    /// @notice A part of the schedule went back to the requester after its deadline.
    event MilestoneRefunded(bytes32 indexed transactionId, uint256 indexed index, uint256 amount);
    /// @notice Both parties signed how the rest of the escrow is split.
    event SettledByConsent(bytes32 indexed transactionId, uint256 requesterAmount, uint256 providerAmount);
    /// @notice An item of a batch was left as it is; `reason` is the error that the same call for it alone reverts with.
    event BatchItemSkipped(bytes32 indexed transactionId, uint256 index, bytes4 reason);

    // ---------------------------------------------------------------- errors

    /// @notice No transaction has this id.
    error UnknownTransaction(bytes32 transactionId);
    /// @notice The state machine has no such step.
    error InvalidTransition(State from, State to);
    /// @notice This call needs the transaction in another state.
    error WrongState(State actual, State required);
    /// @notice Only the requester of the transaction may do this.
    error NotRequester(address caller, address requester);
    /// @notice Only the provider of the transaction may do this.
    error NotProvider(address caller, address provider);
    /// @notice Only the requester or the provider may do this, or may be named here.
    error NotParty(address account);
    /// @notice Disputes are ruled on by the arbiter whom the transaction names, else by the admin or an approved mediator;
    ///         never by a party.
    error NotResolver(address caller);
    /// @notice Only the admin may do this.
    error NotAdmin(address caller, address admin);
    /// @notice Only the admin or the pauser may do this.
    error NotPauser(address caller, address pauser);
    /// @notice Only the account to which the admin role was offered may accept it.
    error NotPendingAdmin(address caller, address pendingAdmin);
    /// @notice Only the fee recipient may withdraw fees.
    error NotFeeRecipient(address caller, address feeRecipient);
    /// @notice An address that must be set is zero.
    error ZeroAddress();
    /// @notice The provider may be neither the requester nor the vault.
    error InvalidProvider(address provider);
    /// @notice The amount is outside what a transaction may carry.
    error AmountOutOfBounds(uint256 amount, uint256 minimum, uint256 maximum);
    /// @notice The deadline must lie in the future, at most `MAX_DEADLINE` seconds away.
    error DeadlineOutOfBounds(uint256 deadline, uint256 minimum, uint256 maximum);
    /// @notice The dispute window is shorter or longer than allowed.
    error DisputeWindowOutOfBounds(uint256 window, uint256 minimum, uint256 maximum);
    /// @notice Work is accepted up to the deadline only.
    error DeadlinePassed(uint256 deadline, uint256 timestamp);
    /// @notice The requester may reclaim after the deadline, anyone after the grace that follows it.
    error RefundNotDue(uint256 dueAfter, uint256 timestamp);
    /// @notice Disputes are accepted up to the end of the window only.
    error WindowClosed(uint256 windowEnd, uint256 timestamp);
    /// @notice Until the window is over only the requester may settle.
    error WindowOpen(uint256 windowEnd, uint256 timestamp);
    /// @notice New money is not accepted while the kernel is paused.
    error KernelIsPaused();
    /// @notice This vault may not take new escrows.
    error VaultNotApproved(address vault);
    /// @notice A kernel is bound to the first vault that was approved.
    error VaultAlreadyBound(address bound, address vault);
    /// @notice The contract does not hold this kernel's token for this kernel.
    error VaultMismatch(address vault);
    /// @notice The address has no code, so it can be neither a token nor a vault.
    error NoCode(address account);
    /// @notice The escrow id is zero, or another transaction has it.
    error EscrowIdTaken(bytes32 escrowId);
    /// @notice The proof has a length or a value that this step does not accept.
    error InvalidProof(uint256 length);
    /// @notice The parts of a split must sum to what the escrow still holds.
    error SplitMismatch(uint256 sum, uint256 remaining);
    /// @notice A mediator gets at most `MAX_MEDIATOR_FEE_BPS` of what the escrow still holds.
    error MediatorFeeTooHigh(uint256 amount, uint256 maximum);
    /// @notice The mediator is not approved, not approved for long enough, or a party.
    error MediatorNotApproved(address mediator);
    /// @notice A milestone is at least `MIN_TRANSACTION_AMOUNT` (or all that remains) and at most what remains.
    error MilestoneOutOfBounds(uint256 amount, uint256 minimum, uint256 remaining);
    /// @notice An attestation is anchored once, after delivery, and is not zero.
    error AttestationRefused(bytes32 current, bytes32 offered);
    /// @notice The token will not move the bond of this poster.
    error BondRefused(address poster, uint256 bond);
    /// @notice A bond for this party is held already, or none is wanted.
    error BondNotWanted(address party);
    /// @notice A cancellation must be announced before it can be carried out.
    error NoCancellationAnnounced(bytes32 transactionId);
    /// @notice The notice in which the provider may still start has not run out.
    error NoticeRunning(uint256 effectiveAt, uint256 timestamp);
    /// @notice An announced cancellation has to be carried out in time, or announced again.
    error CancellationLapsed(uint256 validUntil, uint256 timestamp);
    /// @notice A dispute can be closed without a ruling only after its time-out.
    error DisputeNotTimedOut(uint256 timesOutAfter, uint256 timestamp);
    /// @notice A rate is above its cap.
    error RateTooHigh(uint256 rate, uint256 cap);
    /// @notice A minimum fee or bond is above what a transaction can carry.
    error MinimumTooHigh(uint256 minimum, uint256 cap);
    /// @notice No change of the rates is scheduled.
    error NoPendingUpdate();
    /// @notice A change of the rates is scheduled already.
    error UpdatePending(uint256 executeAfter);
    /// @notice The timelock of a scheduled change has not run out.
    error TimelockRunning(uint256 executeAfter, uint256 timestamp);
    /// @notice All ids for parameter records are used.
    error ParameterRecordsExhausted(uint256 count);
    /// @notice The account has nothing to withdraw.
    error NothingToWithdraw(address account);
    /// @notice The token refused the payment; the amount stays owed.
    error PushRefused(address payee, uint256 amount);
    /// @notice The requester has used this salt: the payment exists already, under this id.
    error SaltUsed(bytes32 transactionId, bytes32 salt);
    /// @notice An arbiter may not be a party.
    error InvalidArbiter(address arbiter);
    /// @notice A share is above one whole.
    error ShareTooHigh(uint256 shareBps, uint256 maximum);
    /// @notice A schedule has at most this many parts.
    error TooManyMilestones(uint256 count, uint256 maximum);
    /// @notice The parts of a schedule must sum to the amount of the order.
    error ScheduleMismatch(uint256 sum, uint256 amount);
    /// @notice The deadline of a milestone must lie in the future and not after the deadline of the order.
    error MilestoneDeadlineOutOfBounds(uint256 index, uint256 deadline, uint256 minimum, uint256 maximum);
    /// @notice The transaction follows a schedule, so its amount is fixed and its parts are paid by their index.
    error ScheduleAgreed(bytes32 transactionId);
    /// @notice The schedule has no such part.
    error UnknownMilestone(uint256 index, uint256 count);
    /// @notice The part was paid or refunded before.
    error MilestoneNotLocked(uint256 index, MilestoneStatus status);
    /// @notice Neither the sender nor a valid signature stands for this party's consent.
    error ConsentMissing(address party);
    /// @notice The signed consent was valid up to this time.
    error ConsentExpired(uint256 validUntil, uint256 timestamp);
}
