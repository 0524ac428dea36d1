// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelTypes} from "./IKernelTypes.sol";

/// @title The part of an ACTP kernel that is called rarely
/// @notice Callers see one contract, the kernel, at one address: it has all of these functions and runs them from a
///         second code account that it made for itself when it was deployed, since one account holds 24,576 bytes only.
interface IKernelExtension is IKernelTypes {
    // ---------------------------------------------------------------- opening with a salt

    /// @notice Opens a payment that is funded later, by `linkEscrow`.
    /// @return transactionId keccak256(abi.encode(chain id, kernel, requester, salt)).
    function createSalted(Order calldata order, Clauses calldata clauses) external returns (bytes32 transactionId);

    /// @notice Opens and funds a payment of the caller, as `createFunded` does, with clauses.
    function createFundedWith(Order calldata order, Clauses calldata clauses)
        external
        returns (bytes32 transactionId);

    /// @notice As `createFundedWith`, after giving the vault the allowance that the caller signed. A permit that was
    ///         used before does no harm; only the allowance counts.
    function createFundedWithPermit(Order calldata order, Clauses calldata clauses, Permit calldata permit)
        external
        returns (bytes32 transactionId);

    /// @notice Anyone opens and funds a payment that `requester` signed for the token (EIP-3009), which needs neither
    ///         ETH nor an allowance.
    function createFundedWithAuthorization(
        address requester,
        Order calldata order,
        Clauses calldata clauses,
        Authorization calldata authorization
    ) external returns (bytes32 transactionId);

    // ---------------------------------------------------------------- schedules

    /// @notice The requester pays a part of the schedule while the work is in progress.
    function payMilestone(bytes32 transactionId, uint256 index) external;

    /// @notice A locked part whose deadline has passed goes back: asked for by the requester, or by anyone after
    ///         `REFUND_GRACE`; not once the work is delivered.
    function refundMilestone(bytes32 transactionId, uint256 index) external;

    // ---------------------------------------------------------------- consent

    /// @notice Both parties end a funded transaction by a split of what is left; bonds go back to their posters.
    /// @dev EIP-712, domain ("ACTP Kernel", "1", chain id, kernel), type
    ///      Split(bytes32 transactionId,uint256 requesterAmount,uint256 providerAmount,uint256 validUntil).
    /// @param requesterAmount Sums with `providerAmount` to what the escrow still holds; the fee is taken from the latter.
    /// @param validUntil Last second in which the signatures count.
    /// @param requesterSignature Of an account or a contract (ERC-1271); ignored if the requester is the caller.
    /// @param providerSignature The same for the provider.
    function settleByConsent(
        bytes32 transactionId,
        uint256 requesterAmount,
        uint256 providerAmount,
        uint256 validUntil,
        bytes calldata requesterSignature,
        bytes calldata providerSignature
    ) external;

    // ---------------------------------------------------------------- lifecycle (G1)

    /// @notice The requester pays a part of the escrow to the provider while the work is in progress.
    function releaseMilestone(bytes32 transactionId, uint256 amount) external;

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

    // ---------------------------------------------------------------- exits, bonds and credits

    /// @notice Anyone closes a dispute on which nobody ruled in time; the split agreed at creation applies.
    function closeTimedOutDispute(bytes32 transactionId) external;

    /// @notice Anyone posts the dispute bond for a party, ahead of its dispute or for one whose bond is owed. A bond
    ///         that turns out not to be needed becomes a credit of its poster.
    function postBond(bytes32 transactionId, address party) external;

}
