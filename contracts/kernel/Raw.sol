// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelTypes} from "../interfaces/IKernelTypes.sol";

/// @title What every payment does, without what the compiler adds: its events, and the items of its batches
/// @dev A batch emits three of these events for each item, and the compiler's encoder costs about a hundred gas each.
///      All assembly of the kernel is here, besides the extension's call and a cast; none of it writes but to memory.
library Raw {
    /// @dev The caller keeps `index` below the length.
    function at(bytes32[] calldata items, uint256 index) internal pure returns (bytes32 item) {
        assembly ("memory-safe") {
            item := calldataload(add(items.offset, shl(5, index)))
        }
    }

    function transactionCreated(
        bytes32 transactionId,
        address requester,
        address provider,
        uint256 amount,
        bytes32 serviceHash,
        uint256 deadline,
        uint256 agentId
    ) internal {
        bytes32 topic = IKernelTypes.TransactionCreated.selector;
        assembly ("memory-safe") {
            let data := mload(0x40)
            mstore(data, amount)
            mstore(add(data, 0x20), serviceHash)
            mstore(add(data, 0x40), deadline)
            mstore(add(data, 0x60), timestamp())
            mstore(add(data, 0x80), agentId)
            log4(data, 0xa0, topic, transactionId, requester, provider)
        }
    }

    function stateTransitioned(bytes32 transactionId, IKernelTypes.State from, IKernelTypes.State to) internal {
        bytes32 topic = IKernelTypes.StateTransitioned.selector;
        assembly ("memory-safe") {
            mstore(0x00, caller())
            mstore(0x20, timestamp())
            log4(0x00, 0x40, topic, transactionId, from, to)
        }
    }

    function escrowLinked(bytes32 transactionId, address vault, bytes32 escrowId, uint256 amount) internal {
        bytes32 topic = IKernelTypes.EscrowLinked.selector;
        assembly ("memory-safe") {
            let data := mload(0x40)
            mstore(data, vault)
            mstore(add(data, 0x20), escrowId)
            mstore(add(data, 0x40), amount)
            mstore(add(data, 0x60), timestamp())
            log2(data, 0x80, topic, transactionId)
        }
    }

    function platformFeeAccrued(bytes32 transactionId, address recipient, uint256 amount) internal {
        bytes32 topic = IKernelTypes.PlatformFeeAccrued.selector;
        assembly ("memory-safe") {
            mstore(0x00, amount)
            mstore(0x20, timestamp())
            log3(0x00, 0x40, topic, transactionId, recipient)
        }
    }

    function escrowReleased(bytes32 transactionId, address recipient, uint256 amount) internal {
        bytes32 topic = IKernelTypes.EscrowReleased.selector;
        assembly ("memory-safe") {
            let data := mload(0x40)
            mstore(data, recipient)
            mstore(add(data, 0x20), amount)
            mstore(add(data, 0x40), timestamp())
            log2(data, 0x60, topic, transactionId)
        }
    }
}
