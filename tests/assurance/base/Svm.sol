// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice What halmos adds to the cheatcodes.
interface Svm {
    /// @notice A call of any function of the contract with any arguments.
    function createCalldata(string calldata contractName) external pure returns (bytes memory data);
}

Svm constant svm = Svm(0xF3993A62377BCd56AE39D773740A5390411E8BC9);
