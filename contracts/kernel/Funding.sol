// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEscrowVault} from "../interfaces/IEscrowVault.sol";
import {IKernelExtension} from "../interfaces/IKernelExtension.sol";
import {Clause, ClauseLib} from "../types/Clause.sol";
import {Extras} from "../types/Extras.sol";
import {Config} from "../types/Rates.sol";
import {Milestones} from "./Milestones.sol";
import {Openings} from "./Openings.sol";

/// @title Opening and funding in one call, with clauses, and by whatever the requester signed for the token
abstract contract Funding is Openings, Milestones {
    /// @inheritdoc IKernelExtension
    function createSalted(Order calldata order, Clauses calldata clauses) external returns (bytes32) {
        return _openWith(msg.sender, order, clauses, _config, false);
    }

    /// @inheritdoc IKernelExtension
    function createFundedWith(Order calldata order, Clauses calldata clauses)
        external
        nonReentrant
        returns (bytes32)
    {
        return _createFunded(order, clauses);
    }

    /// @inheritdoc IKernelExtension
    function createFundedWithPermit(Order calldata order, Clauses calldata clauses, Permit calldata permit)
        external
        nonReentrant
        returns (bytes32)
    {
        Config config = _config;
        // A permit says nothing of terms, so it serves the caller only. Anybody can use it up by sending it straight to
        // the token; then the allowance stands, and if it does not, the transfer fails with the token's own reason. The
        // token of an approved vault has code, which asking it needs.
        if (config.isVaultApproved()) {
            try IERC20Permit(USDC).permit(
                msg.sender, config.vault(), permit.value, permit.deadline, permit.v, permit.r, permit.s
            ) {} catch {}
        }
        return _createFunded(order, clauses);
    }

    /// @inheritdoc IKernelExtension
    function createFundedWithAuthorization(
        address requester,
        Order calldata order,
        Clauses calldata clauses,
        Authorization calldata authorization
    ) external nonReentrant returns (bytes32 transactionId) {
        Config config = _config;
        transactionId = _openWith(requester, order, clauses, config, true);
        // Nobody can change a term without changing the nonce that the requester signed.
        bytes32 nonce = keccak256(abi.encode(block.chainid, address(this), requester, order, clauses));
        IEscrowVault(config.vault()).createEscrowWithAuthorization(
            transactionId,
            requester,
            order.provider,
            order.amount,
            authorization.validAfter,
            authorization.validBefore,
            nonce,
            authorization.signature
        );
    }

    function _createFunded(Order calldata order, Clauses calldata clauses) private returns (bytes32 transactionId) {
        Config config = _config;
        transactionId = _openWith(msg.sender, order, clauses, config, true);
        IEscrowVault(config.vault()).createEscrow(transactionId, msg.sender, order.provider, order.amount);
    }

    function _openWith(
        address requester,
        Order calldata order,
        Clauses calldata clauses,
        Config config,
        bool funded
    ) private returns (bytes32 transactionId) {
        if (clauses.timeoutRequesterBps > MAX_BPS) revert ShareTooHigh(clauses.timeoutRequesterBps, MAX_BPS);
        address arbiter = clauses.arbiter;
        if (arbiter != address(0) && (arbiter == requester || arbiter == order.provider)) {
            revert InvalidArbiter(arbiter);
        }
        Clause clause = ClauseLib.pack(arbiter, clauses.timeoutRequesterBps);
        Extras extras;
        if (!clause.isUsual()) extras = extras.withClause();
        if (clauses.milestones.length != 0) extras = extras.withSchedule();

        transactionId = _open(requester, order, config, extras, clauses.agentId, funded);
        Record storage record = _records[transactionId];
        if (clauses.agentId != 0) record.agentId = clauses.agentId;
        if (clauses.requesterAgentId != 0) record.requesterAgentId = clauses.requesterAgentId;
        if (!clause.isUsual()) {
            record.clause = clause;
            emit ClausesAgreed(transactionId, arbiter, clauses.timeoutRequesterBps);
        }
        if (clauses.milestones.length != 0) _schedule(transactionId, order, clauses.milestones);
    }
}
