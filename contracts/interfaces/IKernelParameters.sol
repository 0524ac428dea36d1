// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelTypes} from "./IKernelTypes.sol";

/// @title Numbers and roles that an ACTP kernel works with
interface IKernelParameters is IKernelTypes {
    function requesterNonces(address requester) external view returns (uint256);
    function admin() external view returns (address);
    function pendingAdmin() external view returns (address);
    function pauser() external view returns (address);
    function USDC() external view returns (address);
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

    /// @notice Seconds after the deadline from which anyone may refund what was not delivered.
    function REFUND_GRACE() external view returns (uint256);

    /// @notice Seconds without a ruling after which anyone may close a dispute.
    function DISPUTE_TIMEOUT() external view returns (uint256);

    /// @notice Seconds between announcing an early cancellation and carrying it out.
    function CANCELLATION_NOTICE() external view returns (uint256);

    /// @notice Seconds in which a cancellation that has become effective can be carried out.
    function CANCELLATION_VALIDITY() external view returns (uint256);

    /// @notice What a payee may withdraw.
    function credits(address payee) external view returns (uint256);

    /// @notice Most parts that a schedule can have.
    function MAX_MILESTONES() external view returns (uint256);
}
