// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Plain token with 6 decimals and an open mint: the token of the gas benchmark, and the base of hostile ones.
contract PlainERC20 is ERC20 {
    constructor() ERC20("Plain token", "PLAIN") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
