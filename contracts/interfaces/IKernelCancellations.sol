// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelTypes} from "./IKernelTypes.sol";

/// @title Walking away early: the requester of a funded transaction that nobody has started
interface IKernelCancellations is IKernelTypes {
    /// @notice The requester announces to walk away from a funded transaction that was not started.
    function announceCancellation(bytes32 transactionId) external;

    /// @notice The requester walks away after the notice: the provider gets the penalty, the requester the rest.
    function cancelEarly(bytes32 transactionId) external;

    /// @notice When an announced cancellation takes effect, 0 if none was announced.
    function cancellationEffectiveAt(bytes32 transactionId) external view returns (uint256);
}
