// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelCancellations} from "./IKernelCancellations.sol";
import {IKernelExtension} from "./IKernelExtension.sol";
import {IKernelParameters} from "./IKernelParameters.sol";

/// @title ACTP kernel: the state machine of escrowed payments between agents
/// @notice A requester creates a transaction, funds it, the provider delivers, a dispute window runs, and the
///         escrow is settled or refunded. The kernel keeps the terms and decides who may be paid; the vault holds the
///         tokens. Amounts are base units of the vault's token (USDC: 6 decimals), times are unix seconds.
/// @dev The functions down to "Beyond G1", and those that `IKernelExtension` marks so, are the ABI that ACTP clients of
///      generation G1 speak.
interface IACTPKernel is IKernelParameters, IKernelCancellations, IKernelExtension {
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

    /// @notice Settles a delivered transaction: the requester at any time, anyone once the window is over.
    function releaseEscrow(bytes32 transactionId) external;

    /// @notice A party attaches the UID of an attestation to a delivered transaction, once.
    function anchorAttestation(bytes32 transactionId, bytes32 attestationUID) external;

    // ---------------------------------------------------------------- views (G1)

    function getTransaction(bytes32 transactionId) external view returns (TransactionView memory);

    function getPendingEconomicParams()
        external
        view
        returns (uint16 newPlatformFeeBps, uint16 newRequesterPenaltyBps, uint256 executeAfter, bool active);

    function paused() external view returns (bool);
    function feeRecipient() external view returns (address);
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
    // ---------------------------------------------------------------- beyond G1

    /// @notice Opens and funds a payment of the caller from its standing allowance for the vault.
    /// @return transactionId keccak256(abi.encode(chain id, kernel, requester, salt)).
    function createFunded(Order calldata order) external returns (bytes32 transactionId);

    /// @notice Opens and funds several payments of the caller with one transfer, all or none.
    function createFundedBatch(Order[] calldata orders) external returns (bytes32[] memory transactionIds);

    /// @notice The provider delivers several transactions; each takes the window that was agreed. What cannot be
    ///         delivered is skipped and reported (`BatchItemSkipped`).
    /// @return delivered How many were.
    function deliverBatch(bytes32[] calldata transactionIds) external returns (uint256 delivered);

    /// @notice Settles several transactions with one transfer for each payee. What is not due is skipped and reported
    ///         (`BatchItemSkipped`); a payee whom the token refuses gets a credit.
    /// @return settled How many were.
    function settleBatch(bytes32[] calldata transactionIds) external returns (uint256 settled);

    /// @notice Pays a credit to its owner; anyone may ask for it, nobody can redirect it.
    function withdrawCredit(address payee) external;

    /// @notice The fee recipient takes the accrued fees.
    function withdrawFees() external;

    /// @notice The code that runs the functions of `IKernelExtension`, fixed when the kernel was deployed.
    function extension() external view returns (address);

    /// @notice Who alone rules on disputes of this transaction (zero: the admin and the approved mediators), and the
    ///         requester's share of one on which nobody rules.
    function clausesOf(bytes32 transactionId) external view returns (address arbiter, uint256 timeoutRequesterBps);

    /// @notice The schedule that was agreed at creation; empty if there is none.
    function milestonesOf(bytes32 transactionId) external view returns (MilestoneView[] memory milestones);

    /// @notice Tells generations of kernels apart. Kernels of G1 and older do not have this function.
    function kernelVersion() external pure returns (string memory);

    /// @notice Platform fees held in the vault for the fee recipient.
    function accruedFees() external view returns (uint256);

    /// @notice The bond that a party of this transaction has to post for a dispute.
    function requiredBond(bytes32 transactionId) external view returns (uint256);

    /// @notice Bonds held, and the bond that the initiator of a dispute still owes.
    function bondsOf(bytes32 transactionId)
        external
        view
        returns (Bond memory requesterBond, Bond memory providerBond, uint256 owed);

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
