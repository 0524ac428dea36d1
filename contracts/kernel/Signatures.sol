// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {KernelStorage} from "./KernelStorage.sol";

/// @title What parties sign for this kernel on this chain (EIP-712), as accounts or as contracts (ERC-1271)
abstract contract Signatures is KernelStorage {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant SPLIT_TYPEHASH =
        keccak256("Split(bytes32 transactionId,uint256 requesterAmount,uint256 providerAmount,uint256 validUntil)");
    bytes32 private constant NAME_HASH = keccak256("ACTP Kernel");
    bytes32 private constant VERSION_HASH = keccak256("1");

    /// @dev The domain is computed for each call: the code runs for the kernel, whose address it cannot keep, and
    ///      a chain may split.
    function _splitDigest(bytes32 transactionId, uint256 requesterAmount, uint256 providerAmount, uint256 validUntil)
        internal
        view
        returns (bytes32)
    {
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, block.chainid, address(this)));
        bytes32 split =
            keccak256(abi.encode(SPLIT_TYPEHASH, transactionId, requesterAmount, providerAmount, validUntil));
        return keccak256(abi.encodePacked(hex"1901", domain, split));
    }

    /// @dev A party that makes the call itself has said what it wants.
    function _checkConsent(address party, bytes32 digest, bytes calldata signature) internal view {
        if (msg.sender == party) return;
        if (!SignatureChecker.isValidSignatureNow(party, digest, signature)) revert ConsentMissing(party);
    }
}
