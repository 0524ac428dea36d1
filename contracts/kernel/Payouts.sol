// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IACTPKernel} from "../interfaces/IACTPKernel.sol";
import {IEscrowVault} from "../interfaces/IEscrowVault.sol";
import {Governance} from "./Governance.sol";

/// @title What is owed to whom outside the escrows: fees, credits and bonds
/// @notice Money leaves through `_pay` and its kin only. A push that the token refuses becomes a credit of the payee,
///         so that no account can hold up the others. Fees accrue and are pulled.
abstract contract Payouts is Governance {
    struct FeeAccount {
        address recipient;
        uint96 accrued;
    }

    struct HeldBond {
        address poster;
        uint96 amount;
    }

    FeeAccount private _fees;
    mapping(address payee => uint256) public credits;

    constructor(address feeRecipient_) {
        if (feeRecipient_ == address(0)) revert ZeroAddress();
        _fees.recipient = feeRecipient_;
    }

    /// @inheritdoc IACTPKernel
    function feeRecipient() external view returns (address) {
        return _fees.recipient;
    }

    /// @inheritdoc IACTPKernel
    function accruedFees() external view returns (uint256) {
        return _fees.accrued;
    }

    /// @inheritdoc IACTPKernel
    function updateFeeRecipient(address newRecipient) external onlyAdmin {
        if (newRecipient == address(0)) revert ZeroAddress();
        FeeAccount memory old = _fees;
        _fees = FeeAccount(newRecipient, 0);
        if (old.accrued != 0) _credit(bytes32(0), old.recipient, old.accrued);
        emit FeeRecipientUpdated(old.recipient, newRecipient);
    }

    // ---------------------------------------------------------------- internals

    /// @dev Takes the platform fee out of a payout to a provider.
    /// @return net What the provider gets.
    function _takeFee(bytes32 transactionId, uint256 amount, uint256 feeBps) internal returns (uint256 net) {
        // Amounts have 50 bits and rates 14, and 2^96 base units never exist: nothing here can overflow.
        unchecked {
            uint256 fee = amount * feeBps / MAX_BPS;
            if (fee < MIN_FEE) fee = MIN_FEE;
            if (fee > amount) fee = amount;
            if (fee == 0) return amount;
            _fees.accrued += uint96(fee);
            emit PlatformFeeAccrued(transactionId, _fees.recipient, fee, block.timestamp);
            return amount - fee;
        }
    }

    /// @dev Pushes tokens out of an escrow, or owes them.
    function _pay(bytes32 transactionId, bytes32 escrowId, address payee, uint256 amount) internal {
        if (amount == 0) return;
        if (_vault().payout(escrowId, payee, amount) == 0) _credit(transactionId, payee, amount);
    }

    /// @dev As `_pay`, for the last tokens of an escrow.
    function _payAndClose(bytes32 transactionId, bytes32 escrowId, address payee, uint256 amount, address vault)
        internal
    {
        if (IEscrowVault(vault).closeEscrow(escrowId, payee, amount) == 0 && amount != 0) {
            _credit(transactionId, payee, amount);
        }
    }

    /// @dev Takes a held bond off the books, for `payee` to be paid.
    function _takeBond(bytes32 transactionId, HeldBond storage bond, address payee) internal returns (uint256 amount) {
        amount = bond.amount;
        if (amount == 0) return 0;
        bond.amount = 0;
        emit BondPaid(transactionId, payee, amount);
    }

    /// @dev Owes a bond that was posted ahead and not needed to its poster. It is not pushed, so that bonds that
    ///      strangers post cannot make a settlement dear.
    function _creditBond(bytes32 transactionId, HeldBond storage bond) internal {
        uint256 amount = _takeBond(transactionId, bond, bond.poster);
        if (amount != 0) _credit(transactionId, bond.poster, amount);
    }

    /// @dev Holds a bond that `msg.sender` pays for `party`.
    /// @return posted False if the token refuses to move anything for `msg.sender`.
    function _pullBond(bytes32 transactionId, HeldBond storage bond, address party, uint256 amount)
        internal
        returns (bool posted)
    {
        if (!_vault().pullBond(msg.sender, amount)) return false;
        bond.poster = msg.sender;
        bond.amount = uint96(amount);
        emit BondPosted(transactionId, party, msg.sender, amount);
        return true;
    }

    /// @dev Pays out a credit in full, or reverts and keeps it.
    function _payCredit(address payee) internal {
        uint256 amount = credits[payee];
        if (amount == 0) revert NothingToWithdraw(payee);
        credits[payee] = 0;
        if (_vault().payout(bytes32(0), payee, amount) == 0) revert PushRefused(payee, amount);
        emit CreditWithdrawn(payee, msg.sender, amount);
    }

    /// @dev Pays out the accrued fees in full, or reverts and keeps them.
    function _payFees() internal {
        FeeAccount memory account = _fees;
        if (msg.sender != account.recipient) revert NotFeeRecipient(msg.sender, account.recipient);
        if (account.accrued == 0) revert NothingToWithdraw(msg.sender);
        _fees.accrued = 0;
        if (_vault().payout(bytes32(0), account.recipient, account.accrued) == 0) {
            revert PushRefused(account.recipient, account.accrued);
        }
        emit FeesWithdrawn(account.recipient, account.accrued);
    }

    function _vault() internal view returns (IEscrowVault) {
        return IEscrowVault(_config.vault());
    }

    function _credit(bytes32 transactionId, address payee, uint256 amount) private {
        credits[payee] += amount;
        emit CreditAccrued(transactionId, payee, amount);
    }
}
