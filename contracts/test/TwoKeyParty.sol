// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ContractParty} from "./ContractParty.sol";

/// @notice A contract wallet for which two accounts have to sign: its signature has 130 bytes, the owner's part first.
contract TwoKeyParty is ContractParty {
    address public immutable second;

    constructor(address owner, address second_) ContractParty(owner) {
        second = second_;
    }

    /// @notice ERC-1271: the magic value if both signed this very hash.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view override returns (bytes4) {
        if (signature.length != 130) return bytes4(0xffffffff);
        bool valid = ECDSA.recover(hash, signature[:65]) == owner() && ECDSA.recover(hash, signature[65:]) == second;
        return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
