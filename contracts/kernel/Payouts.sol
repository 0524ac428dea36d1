// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEscrowVault} from "../interfaces/IEscrowVault.sol";
import {KernelStorage} from "./KernelStorage.sol";
import {Raw} from "./Raw.sol";

/// @title How money leaves the escrows: payouts, fees, bonds and credits
/// @notice Money leaves through `_pay` and its kin only. A push that the token refuses becomes a credit of the payee,
///         so that no account can hold up the others. Fees accrue and are pulled.
abstract contract Payouts is KernelStorage {
    /// @dev Takes the platform fee out of a payout to a provider.
    /// @return net What the provider gets.
    function _takeFee(bytes32 transactionId, uint256 amount, uint256 feeBps) internal returns (uint256 net) {
        uint256 fee = _feeOf(amount, feeBps);
        if (fee == 0) return amount;
        // A fee is at most the amount, and 2^96 base units never exist: nothing here can overflow.
        unchecked {
            _fees.accrued += uint96(fee);
            Raw.platformFeeAccrued(transactionId, _fees.recipient, fee);
            return amount - fee;
        }
    }

    /// @dev The fee of one payout: the rate, at least the minimum, at most the payout itself.
    function _feeOf(uint256 amount, uint256 feeBps) internal view returns (uint256 fee) {
        // Amounts have 50 bits and rates 14.
        unchecked {
            fee = amount * feeBps / MAX_BPS;
        }
        if (fee < MIN_FEE) fee = MIN_FEE;
        if (fee > amount) fee = amount;
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

    function _vault() internal view returns (IEscrowVault) {
        return IEscrowVault(_config.vault());
    }

    function _credit(bytes32 transactionId, address payee, uint256 amount) internal {
        credits[payee] += amount;
        emit CreditAccrued(transactionId, payee, amount);
    }
}
