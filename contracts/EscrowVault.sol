// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IACTPKernel} from "./interfaces/IACTPKernel.sol";
import {IERC3009} from "./interfaces/IERC3009.sol";
import {IEscrowVault} from "./interfaces/IEscrowVault.sol";

/// @title Escrow vault
/// @notice Holds the tokens of one kernel and decides nothing. See `IEscrowVault`.
contract EscrowVault is IEscrowVault {
    using SafeERC20 for IERC20;

    /// @dev Gas that a token must have had before its refusal is believed. A transfer of USDC behind its proxy to a
    ///      fresh account needs less than 60,000; a caller who starves the push must fail as a whole, or anyone could
    ///      turn a payment into a credit.
    uint256 private constant PUSH_GAS = 70_000;

    IERC20 private immutable _token;
    address private immutable _kernel;

    modifier onlyKernel() {
        if (msg.sender != _kernel) revert NotKernel(msg.sender, _kernel);
        _;
    }

    constructor(address token_, address kernel_) {
        if (token_ == address(0) || kernel_ == address(0)) revert ZeroAddress();
        _token = IERC20(token_);
        _kernel = kernel_;
    }

    // ---------------------------------------------------------------- money in

    /// @inheritdoc IEscrowVault
    function createEscrow(bytes32 escrowId, address requester, address provider, uint256 amount) external onlyKernel {
        _pull(requester, amount);
        emit EscrowCreated(escrowId, requester, provider, amount);
    }

    /// @inheritdoc IEscrowVault
    function collect(address requester, uint256 amount) external onlyKernel {
        _pull(requester, amount);
    }

    /// @inheritdoc IEscrowVault
    function createEscrowWithAuthorization(
        bytes32 escrowId,
        address requester,
        address provider,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external onlyKernel {
        uint256 before = _token.balanceOf(address(this));
        IERC3009 token_ = IERC3009(address(_token));
        // Tokens of the first generation know the signature of an account only, in three parts.
        if (signature.length == 65) {
            token_.receiveWithAuthorization(
                requester,
                address(this),
                amount,
                validAfter,
                validBefore,
                nonce,
                uint8(signature[64]),
                bytes32(signature[0:32]),
                bytes32(signature[32:64])
            );
        } else {
            token_.receiveWithAuthorization(
                requester, address(this), amount, validAfter, validBefore, nonce, signature
            );
        }
        _checkReceived(before, amount);
        emit EscrowCreated(escrowId, requester, provider, amount);
    }

    /// @inheritdoc IEscrowVault
    function pullBond(address payer, uint256 amount) external onlyKernel returns (bool pulled) {
        uint256 before = _token.balanceOf(address(this));
        if (_token.trySafeTransferFrom(payer, address(this), amount)) {
            _checkReceived(before, amount);
            return true;
        }
        // A payer without money must not get a dispute for nothing; one whom the token freezes must not lose it. A
        // transfer of nothing tells them apart: it needs neither balance nor allowance.
        uint256 gasBefore = gasleft();
        if (_token.trySafeTransferFrom(payer, address(this), 0)) {
            revert BondNotPayable(
                payer, amount, _token.balanceOf(payer), _token.allowance(payer, address(this))
            );
        }
        _checkGas(gasBefore);
        return false;
    }

    // ---------------------------------------------------------------- money out

    /// @inheritdoc IEscrowVault
    function closeEscrow(bytes32 escrowId, address recipient, uint256 amount)
        external
        onlyKernel
        returns (uint256 paid)
    {
        paid = _push(escrowId, recipient, amount);
        emit EscrowCompleted(escrowId);
    }

    /// @inheritdoc IEscrowVault
    function payout(bytes32 escrowId, address recipient, uint256 amount) external onlyKernel returns (uint256 paid) {
        return _push(escrowId, recipient, amount);
    }

    /// @inheritdoc IEscrowVault
    function payoutToProvider(bytes32 escrowId, uint256 amount) external onlyKernel returns (uint256 paid) {
        (, address provider,,,) = escrows(escrowId);
        return _push(escrowId, provider, amount);
    }

    /// @inheritdoc IEscrowVault
    function refundToRequester(bytes32 escrowId, uint256 amount) external onlyKernel returns (uint256 paid) {
        (address requester,,,,) = escrows(escrowId);
        return _push(escrowId, requester, amount);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IEscrowVault
    function remaining(bytes32 escrowId) public view returns (uint256) {
        (,, uint256 amount, uint256 releasedAmount,) = escrows(escrowId);
        return amount - releasedAmount;
    }

    /// @inheritdoc IEscrowVault
    function verifyEscrow(bytes32 escrowId, address requester, address provider, uint256 amount)
        external
        view
        returns (bool valid, uint256 held)
    {
        (address actualRequester, address actualProvider, uint256 received, uint256 releasedAmount, bool active) =
            escrows(escrowId);
        held = received - releasedAmount;
        valid = active && actualRequester == requester && actualProvider == provider && held >= amount;
    }

    /// @inheritdoc IEscrowVault
    function escrows(bytes32 escrowId)
        public
        view
        returns (address requester, address provider, uint256 amount, uint256 releasedAmount, bool active)
    {
        return IACTPKernel(_kernel).escrowOf(escrowId);
    }

    /// @inheritdoc IEscrowVault
    function token() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IEscrowVault
    function kernel() external view returns (address) {
        return _kernel;
    }

    // ---------------------------------------------------------------- internals

    function _pull(address payer, uint256 amount) private {
        uint256 before = _token.balanceOf(address(this));
        _token.safeTransferFrom(payer, address(this), amount);
        _checkReceived(before, amount);
    }

    /// @dev A refusal is an answer, not an error: the kernel turns it into a credit so that the state can advance.
    function _push(bytes32 escrowId, address recipient, uint256 amount) private returns (uint256 paid) {
        // A vault that paid itself would keep tokens that it owes nobody any more.
        if (amount == 0 || recipient == address(this)) return 0;
        uint256 gasBefore = gasleft();
        if (_token.trySafeTransfer(recipient, amount)) {
            emit EscrowPayout(escrowId, recipient, amount);
            return amount;
        }
        _checkGas(gasBefore);
    }

    /// @dev A call gets at most 63/64 of the gas that is left.
    function _checkGas(uint256 gasBefore) private pure {
        uint256 available = gasBefore - gasBefore / 64;
        if (available < PUSH_GAS) revert InsufficientGas(available, PUSH_GAS);
    }

    function _checkReceived(uint256 before, uint256 amount) private view {
        uint256 received = _token.balanceOf(address(this)) - before;
        if (received != amount) revert ReceivedMismatch(received, amount);
    }
}
