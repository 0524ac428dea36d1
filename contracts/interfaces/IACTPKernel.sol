// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title ACTP kernel: the state machine of escrowed payments between agents
/// @notice A requester creates a transaction, funds it, the provider delivers, a dispute window runs, and the
///         escrow is settled or refunded. The kernel keeps the terms and decides who may be paid; the vault holds the
///         tokens. Amounts are base units of the vault's token (USDC: 6 decimals), times are unix seconds.
/// @dev The functions down to "Beyond G1" are the ABI that ACTP clients of generation G1 speak.
interface IACTPKernel {
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
    /// @notice Disputes are ruled on by the admin or an approved mediator who is not a party.
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

    // ---------------------------------------------------------------- lifecycle (G1)

    /// @notice Opens a transaction and locks its terms and rates. No tokens move.
    /// @param provider Who delivers; neither the requester nor the vault.
    /// @param requester Must be the caller.
    /// @param amount Base units, `MIN_TRANSACTION_AMOUNT` to `MAX_TRANSACTION_AMOUNT`.
    /// @param deadline Last second in which work may be quoted, funded, started and delivered.
    /// @param disputeWindow Seconds after delivery in which either party may dispute.
    /// @param serviceHash Hash of what is bought.
    /// @param agentId The provider's id in an agent registry, 0 for none.
    /// @param requesterAgentId The requester's id in an agent registry, 0 for none.
    /// @return transactionId Unique across chains, kernels and requesters.
    function createTransaction(
        address provider,
        address requester,
        uint256 amount,
        uint256 deadline,
        uint256 disputeWindow,
        bytes32 serviceHash,
        uint256 agentId,
        uint256 requesterAgentId
    ) external returns (bytes32 transactionId);

    /// @notice The requester takes a quoted price; the fee rate of today is locked.
    function acceptQuote(bytes32 transactionId, uint256 newAmount) external;

    /// @notice The requester funds the transaction: the vault pulls exactly `amount`.
    /// @param escrowContract The approved vault, which needs an allowance of the requester.
    /// @param escrowId The transaction id, or an id of the caller's choice that nobody uses.
    function linkEscrow(bytes32 transactionId, address escrowContract, bytes32 escrowId) external;

    /// @notice Takes a transaction to `newState`: quote, start, deliver, settle, dispute, resolve or cancel.
    /// @param proof QUOTED: empty or the hash of the quote. DELIVERED: empty or a dispute window in seconds, which can
    ///        lengthen the agreed one. DISPUTED: evidence of any kind. Ruling on a dispute: empty (all to the provider
    ///        for SETTLED, to the requester for CANCELLED) or ABI-encoded words: requesterAmount, providerAmount
    ///        [, providerAtFault] [, mediator, mediatorAmount]. Otherwise ignored.
    function transitionState(bytes32 transactionId, State newState, bytes calldata proof) external;

    /// @notice The requester pays a part of the escrow to the provider while the work is in progress.
    function releaseMilestone(bytes32 transactionId, uint256 amount) external;

    /// @notice Settles a delivered transaction: the requester at any time, anyone once the window is over.
    function releaseEscrow(bytes32 transactionId) external;

    /// @notice A party attaches the UID of an attestation to a delivered transaction, once.
    function anchorAttestation(bytes32 transactionId, bytes32 attestationUID) external;

    // ---------------------------------------------------------------- governance (G1)

    /// @notice Stops new money: creating and funding. Never an exit or a dispute.
    function pause() external;

    function unpause() external;

    function updatePauser(address newPauser) external;

    /// @notice Fees that have accrued so far stay owed to the old recipient, as a credit.
    function updateFeeRecipient(address newRecipient) external;

    function transferAdmin(address newAdmin) external;

    function acceptAdmin() external;

    /// @notice Lets the vault take new escrows, or stops that. What is in flight is never affected.
    function approveEscrowVault(address vault, bool approved) external;

    /// @notice An approval takes effect after `MEDIATOR_APPROVAL_DELAY`, a revocation at once.
    function approveMediator(address mediator, bool approved) external;

    function scheduleEconomicParams(uint16 newPlatformFeeBps, uint16 newRequesterPenaltyBps) external;

    function cancelEconomicParamsUpdate() external;

    /// @notice Carries out a scheduled change after its timelock; anyone may do so.
    function executeEconomicParamsUpdate() external;

    function updateDisputeBondBps(uint16 newDisputeBondBps) external;

    // ---------------------------------------------------------------- views (G1)

    function getTransaction(bytes32 transactionId) external view returns (TransactionView memory);

    function getPendingEconomicParams()
        external
        view
        returns (uint16 newPlatformFeeBps, uint16 newRequesterPenaltyBps, uint256 executeAfter, bool active);

    function requesterNonces(address requester) external view returns (uint256);
    function paused() external view returns (bool);
    function admin() external view returns (address);
    function pendingAdmin() external view returns (address);
    function pauser() external view returns (address);
    function feeRecipient() external view returns (address);
    function USDC() external view returns (address);
    function platformFeeBps() external view returns (uint16);
    function requesterPenaltyBps() external view returns (uint16);
    function disputeBondBps() external view returns (uint16);
    function agentRegistry() external view returns (address);
    function archiveTreasury() external view returns (address);
    function approvedEscrowVaults(address vault) external view returns (bool);
    function approvedMediators(address mediator) external view returns (bool);
    function mediatorApprovedAt(address mediator) external view returns (uint256);
    function mediatorRevokedAt(address mediator) external view returns (uint256);
    function DEFAULT_DISPUTE_WINDOW() external view returns (uint256);
    function MIN_DISPUTE_WINDOW() external view returns (uint256);
    function MAX_DISPUTE_WINDOW() external view returns (uint256);
    function MAX_BPS() external view returns (uint256);
    function MAX_PLATFORM_FEE_CAP() external view returns (uint256);
    function MAX_REQUESTER_PENALTY_CAP() external view returns (uint256);
    function MAX_DISPUTE_BOND_BPS() external view returns (uint256);
    function MAX_MEDIATOR_FEE_BPS() external view returns (uint256);
    function MIN_TRANSACTION_AMOUNT() external view returns (uint256);
    function MAX_TRANSACTION_AMOUNT() external view returns (uint256);
    function MAX_DEADLINE() external view returns (uint256);
    function MIN_FEE() external view returns (uint256);
    function MIN_DISPUTE_BOND() external view returns (uint256);
    function ECONOMIC_PARAM_DELAY() external view returns (uint256);
    function MEDIATOR_APPROVAL_DELAY() external view returns (uint256);

    // ---------------------------------------------------------------- beyond G1

    /// @notice Tells generations of kernels apart. Kernels of G1 and older do not have this function.
    function kernelVersion() external pure returns (string memory);

    /// @notice Seconds after the deadline from which anyone may refund what was not delivered.
    function REFUND_GRACE() external view returns (uint256);

    /// @notice Seconds without a ruling after which anyone may close a dispute.
    function DISPUTE_TIMEOUT() external view returns (uint256);

    /// @notice Seconds between announcing an early cancellation and carrying it out.
    function CANCELLATION_NOTICE() external view returns (uint256);

    /// @notice Seconds in which a cancellation that has become effective can be carried out.
    function CANCELLATION_VALIDITY() external view returns (uint256);

    /// @notice The requester announces to walk away from a funded transaction that was not started.
    function announceCancellation(bytes32 transactionId) external;

    /// @notice The requester walks away after the notice: the provider gets the penalty, the requester the rest.
    function cancelEarly(bytes32 transactionId) external;

    /// @notice Anyone closes a dispute on which nobody ruled in time; the split agreed at creation applies.
    function closeTimedOutDispute(bytes32 transactionId) external;

    /// @notice Anyone posts the dispute bond for a party, ahead of its dispute or for one whose bond is owed. A bond
    ///         that turns out not to be needed becomes a credit of its poster.
    function postBond(bytes32 transactionId, address party) external;

    /// @notice Pays a credit to its owner; anyone may ask for it, nobody can redirect it.
    function withdrawCredit(address payee) external;

    /// @notice The fee recipient takes the accrued fees.
    function withdrawFees() external;

    /// @notice What a payee may withdraw.
    function credits(address payee) external view returns (uint256);

    /// @notice Platform fees held in the vault for the fee recipient.
    function accruedFees() external view returns (uint256);

    /// @notice The bond that a party of this transaction has to post for a dispute.
    function requiredBond(bytes32 transactionId) external view returns (uint256);

    /// @notice Bonds held, and the bond that the initiator of a dispute still owes.
    function bondsOf(bytes32 transactionId)
        external
        view
        returns (Bond memory requesterBond, Bond memory providerBond, uint256 owed);

    /// @notice When an announced cancellation takes effect, 0 if none was announced.
    function cancellationEffectiveAt(bytes32 transactionId) external view returns (uint256);

    /// @notice The escrow behind an id, for the vault's views: a transaction id, or an id chosen when it was linked.
    /// @return requester Zero when nothing was ever funded under this id.
    /// @return provider Who is paid.
    /// @return amount What was received.
    /// @return releasedAmount What has been paid out.
    /// @return active Whether the escrow still is open.
    function escrowOf(bytes32 escrowId)
        external
        view
        returns (address requester, address provider, uint256 amount, uint256 releasedAmount, bool active);
}
