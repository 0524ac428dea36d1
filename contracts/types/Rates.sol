// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev The three rates of a parameter record, in basis points.
///      bits  0..15 platform fee
///      bits 16..31 requester penalty
///      bits 32..47 dispute bond
type Rates is uint48;

/// @dev The one word that create, fund and settle have to read.
///      bits   0..159 vault, zero until one is bound
///      bits 160..207 current rates
///      bits 208..221 id of the current parameter record
///      bit  222      new money is stopped
///      bit  223      the vault may take new escrows
type Config is uint256;

using RatesLib for Rates global;
using ConfigLib for Config global;

library RatesLib {
    uint256 private constant MASK = (1 << 16) - 1;

    function pack(uint256 feeBps_, uint256 penaltyBps_, uint256 bondBps_) internal pure returns (Rates) {
        return Rates.wrap(uint48(feeBps_ | (penaltyBps_ << 16) | (bondBps_ << 32)));
    }

    function feeBps(Rates self) internal pure returns (uint16) {
        return uint16(Rates.unwrap(self) & MASK);
    }

    function penaltyBps(Rates self) internal pure returns (uint16) {
        return uint16((Rates.unwrap(self) >> 16) & MASK);
    }

    function bondBps(Rates self) internal pure returns (uint16) {
        return uint16(Rates.unwrap(self) >> 32);
    }
}

library ConfigLib {
    uint256 private constant RATES_SHIFT = 160;
    uint256 private constant RECORD_SHIFT = 208;
    uint256 private constant RATES_MASK = (1 << 48) - 1;
    uint256 private constant RECORD_MASK = (1 << 14) - 1;
    uint256 private constant PAUSED = 1 << 222;
    uint256 private constant VAULT_APPROVED = 1 << 223;

    function vault(Config self) internal pure returns (address) {
        return address(uint160(Config.unwrap(self)));
    }

    function rates(Config self) internal pure returns (Rates) {
        return Rates.wrap(uint48((Config.unwrap(self) >> RATES_SHIFT) & RATES_MASK));
    }

    function recordId(Config self) internal pure returns (uint256) {
        return (Config.unwrap(self) >> RECORD_SHIFT) & RECORD_MASK;
    }

    function isPaused(Config self) internal pure returns (bool) {
        return Config.unwrap(self) & PAUSED != 0;
    }

    function isVaultApproved(Config self) internal pure returns (bool) {
        return Config.unwrap(self) & VAULT_APPROVED != 0;
    }

    function withVault(Config self, address vault_, bool approved) internal pure returns (Config) {
        uint256 word = Config.unwrap(self) & ~(uint256(type(uint160).max) | VAULT_APPROVED);
        return Config.wrap(word | uint160(vault_) | (approved ? VAULT_APPROVED : 0));
    }

    function withRates(Config self, Rates rates_, uint256 recordId_) internal pure returns (Config) {
        uint256 word = Config.unwrap(self) & ~((RATES_MASK << RATES_SHIFT) | (RECORD_MASK << RECORD_SHIFT));
        return Config.wrap(word | (uint256(Rates.unwrap(rates_)) << RATES_SHIFT) | (recordId_ << RECORD_SHIFT));
    }

    function withPaused(Config self, bool paused_) internal pure returns (Config) {
        return Config.wrap(paused_ ? Config.unwrap(self) | PAUSED : Config.unwrap(self) & ~PAUSED);
    }
}
