// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PlainERC20} from "./PlainERC20.sol";

/// @notice Hostile token: while armed, the next transfer or transferFrom makes one call of the test's choice after it
///         has moved the tokens, and records how that call ended.
/// @dev To re-enter as a party of a transaction, aim at a `ContractParty` that has this token as its operator.
contract ReentrantToken is PlainERC20 {
    address public target;
    bytes public payload;
    uint256 public attempts;
    bool public succeeded;
    bytes public result;

    function arm(address target_, bytes calldata payload_) external {
        target = target_;
        payload = payload_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        super.transfer(to, value);
        _attack();
        return true;
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        super.transferFrom(from, to, value);
        _attack();
        return true;
    }

    function _attack() internal virtual {
        address aim = target;
        if (aim == address(0)) return;
        // Disarmed first: the attack itself may move tokens, and would start again without end.
        delete target;
        attempts += 1;
        (succeeded, result) = aim.call(payload);
    }
}
