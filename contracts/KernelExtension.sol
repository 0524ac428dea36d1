// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelExtension} from "./interfaces/IKernelExtension.sol";
import {Disputes} from "./kernel/Disputes.sol";
import {Funding} from "./kernel/Funding.sol";
import {Governance} from "./kernel/Governance.sol";
import {KernelStorage} from "./kernel/KernelStorage.sol";
import {Progress} from "./types/Progress.sol";

/// @title What the kernel does rarely
/// @notice The kernel makes this contract in its constructor and runs it on its own storage, by delegatecall. Called
///         by itself it has no vault and no admin: it moves nothing, and what it records concerns nobody.
contract KernelExtension is Governance, Funding, Disputes {
    constructor(address usdc_, Economics memory economics) KernelStorage(usdc_, economics) {}

    /// @notice The steps that the kernel does not take itself: into a dispute, and out of one.
    function transitionState(bytes32 transactionId, State newState, bytes calldata proof) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        if (newState == State.DISPUTED) return _dispute(transactionId, record, progress);
        if (newState != State.SETTLED && newState != State.CANCELLED) {
            revert InvalidTransition(progress.state(), newState);
        }
        _checkState(progress, State.DISPUTED);
        _rule(transactionId, record, progress, newState, proof);
    }
}
