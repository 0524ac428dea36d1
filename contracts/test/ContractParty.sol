// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice A contract wallet: a requester or provider that is no plain account. Its owner acts and signs for it.
contract ContractParty is Ownable, IERC1271 {
    /// @notice A second account that may act for the wallet, and cannot sign for it: a hostile token that re-enters.
    address public operator;

    error NotAllowed(address caller);

    constructor(address owner) Ownable(owner) {}

    function setOperator(address account) external onlyOwner {
        operator = account;
    }

    /// @notice Calls `target` with `data` as this wallet; a revert of the target passes through unchanged.
    function execute(address target, bytes calldata data) external returns (bytes memory) {
        if (msg.sender != owner() && msg.sender != operator) revert NotAllowed(msg.sender);
        return Address.functionCall(target, data);
    }

    /// @notice ERC-1271: the magic value if the owner signed this very hash.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view virtual returns (bytes4) {
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, signature);
        bool valid = problem == ECDSA.RecoverError.NoError && signer == owner();
        return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
