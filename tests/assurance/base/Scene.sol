// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TestUSDC} from "../../../contracts/TestUSDC.sol";
import {IACTPKernel} from "../../../contracts/interfaces/IACTPKernel.sol";
import {IEscrowVault} from "../../../contracts/interfaces/IEscrowVault.sol";
import {IKernelTypes} from "../../../contracts/interfaces/IKernelTypes.sol";
import {Vm, vm} from "./Vm.sol";

/// @title A kernel, its vault and a token that can pause and block accounts
/// @notice `ACTP_MUTANT` names a folder with artifacts of changed code, which is then deployed instead: ACTPKernel,
///         EscrowVault, and KernelExtension, which takes the place of the one that the kernel made.
abstract contract Scene is IKernelTypes {
    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant USDC = 1e6;
    uint256 internal constant AMOUNT = 100 * USDC;

    address internal admin = address(0xAD);
    address internal pauser = address(0xBA);
    address internal feeRecipient = address(0xFEE);
    address internal agentRegistry = address(0xA6E);
    TestUSDC internal token;
    IACTPKernel internal kernel;
    IEscrowVault internal vault;

    function _usual() internal pure returns (Economics memory) {
        return Economics(100, 500, 500, 50_000, 1_000_000);
    }

    function _deploy(Economics memory economics) internal {
        vm.warp(START);
        token = TestUSDC(_create(vm.getCode("TestUSDC.sol:TestUSDC")));
        _deployKernel(address(token), economics);
        vault = _newVault(address(token));
        vm.prank(admin);
        kernel.approveEscrowVault(address(vault), true);
    }

    function _deployKernel(address money, Economics memory economics) internal {
        bytes memory arguments = abi.encode(admin, pauser, feeRecipient, agentRegistry, money, economics);
        kernel = IACTPKernel(_create(abi.encodePacked(_codeOf("ACTPKernel"), arguments)));
        _useExtension();
    }

    /// @dev A vault of today's kernel, which does not know it yet.
    function _newVault(address money) internal returns (IEscrowVault) {
        return IEscrowVault(_create(abi.encodePacked(_codeOf("EscrowVault"), abi.encode(money, kernel))));
    }

    function _fund(address account) internal {
        token.mint(account, 1e18);
        vm.prank(account);
        token.approve(address(vault), type(uint256).max / 2);
    }

    function _codeOf(string memory name) internal view returns (bytes memory) {
        string memory folder = _mutant();
        if (bytes(folder).length == 0) return vm.getCode(string.concat(name, ".sol:", name));
        return vm.getCode(string.concat(folder, "/", name, ".json"));
    }

    /// @dev A mutant's kernel is compiled without its extension, which goes where the kernel looks for it.
    function _useExtension() internal {
        if (bytes(_mutant()).length == 0) return;
        Economics memory economics = Economics(100, 500, 500, kernel.MIN_FEE(), kernel.MIN_DISPUTE_BOND());
        address made = _create(abi.encodePacked(_codeOf("KernelExtension"), abi.encode(kernel.USDC(), economics)));
        require(kernel.extension().code.length != 0, "the kernel made no extension");
        vm.etch(kernel.extension(), made.code);
    }

    function _mutant() private view returns (string memory) {
        return vm.envOr("ACTP_MUTANT", string(""));
    }

    function _create(bytes memory code) internal returns (address made) {
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
        }
        require(made != address(0), "deployment failed");
    }
}
