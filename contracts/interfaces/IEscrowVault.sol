// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Escrow vault: holds the tokens of one kernel and decides nothing
/// @notice Every function that moves tokens belongs to the kernel. The vault keeps no books: its views ask the kernel.
interface IEscrowVault {
    /// @notice Exactly `amount` arrived for an escrow.
    event EscrowCreated(
        bytes32 indexed escrowId, address indexed requester, address indexed provider, uint256 amount
    );
    /// @notice Tokens left the vault for an escrow.
    event EscrowPayout(bytes32 indexed escrowId, address indexed recipient, uint256 amount);
    /// @notice Nothing is held for this escrow any more.
    event EscrowCompleted(bytes32 indexed escrowId);

    /// @notice Only the kernel moves tokens.
    error NotKernel(address caller, address kernel);
    /// @notice The token did not deliver exactly what was asked for.
    error ReceivedMismatch(uint256 received, uint256 expected);
    /// @notice A failed push is believed only if the token had enough gas to succeed. Send more gas.
    error InsufficientGas(uint256 available, uint256 required);
    /// @notice The payer has too little balance or allowance for a bond; anyone may post it for a party.
    error BondNotPayable(address payer, uint256 bond, uint256 balance, uint256 allowance);
    /// @notice An address that must be set is zero.
    error ZeroAddress();

    /// @notice Pulls `amount` from the requester for an escrow. Reverts unless exactly that much arrives.
    function createEscrow(bytes32 escrowId, address requester, address provider, uint256 amount) external;

    /// @notice Pulls the sum of several escrows at once, of which the kernel's events tell. Reverts unless exactly that
    ///         much arrives.
    function collect(address requester, uint256 amount) external;

    /// @notice Collects a transfer that the requester signed for this vault (EIP-3009).
    function createEscrowWithAuthorization(
        bytes32 escrowId,
        address requester,
        address provider,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice Pulls a bond from `payer`.
    /// @return pulled False if the token refuses to move anything for this payer (it is paused, or blocks an account).
    function pullBond(address payer, uint256 amount) external returns (bool pulled);

    /// @notice Pushes tokens to the provider of an escrow.
    /// @return paid `amount`, or 0 if the token refused the push.
    function payoutToProvider(bytes32 escrowId, uint256 amount) external returns (uint256 paid);

    /// @notice Pushes tokens to the requester of an escrow.
    /// @return paid `amount`, or 0 if the token refused the push.
    function refundToRequester(bytes32 escrowId, uint256 amount) external returns (uint256 paid);

    /// @notice Pushes the last tokens of an escrow and marks its end; `amount` may be 0.
    /// @return paid `amount`, or 0 if the token refused the push.
    function closeEscrow(bytes32 escrowId, address recipient, uint256 amount) external returns (uint256 paid);

    /// @notice Pushes tokens to anyone, on behalf of an escrow.
    /// @return paid `amount`, or 0 if the token refused the push.
    function payout(bytes32 escrowId, address recipient, uint256 amount) external returns (uint256 paid);

    /// @notice What an escrow still holds.
    function remaining(bytes32 escrowId) external view returns (uint256);

    /// @notice Whether an open escrow has these parties and at least this amount left, and what is left.
    function verifyEscrow(bytes32 escrowId, address requester, address provider, uint256 amount)
        external
        view
        returns (bool valid, uint256 held);

    function escrows(bytes32 escrowId)
        external
        view
        returns (address requester, address provider, uint256 amount, uint256 releasedAmount, bool active);

    function token() external view returns (address);

    function kernel() external view returns (address);
}
