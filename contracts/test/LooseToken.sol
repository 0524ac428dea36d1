// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrantToken} from "./ReentrantToken.sol";

/// @notice Hostile token that takes every permit and authorization for signed. It can deliver less than it was told to,
///         and tries a whole list of calls during one transfer, permit or authorization.
contract LooseToken is ReentrantToken {
    struct Attempt {
        address target;
        bytes payload;
    }

    /// @notice Base units that an authorized transfer keeps back.
    uint256 public shortfall;
    Attempt[] private _plan;
    bytes4[] private _answers;
    uint256 public successes;

    function setShortfall(uint256 amount) external {
        shortfall = amount;
    }

    /// @notice The calls to make from inside the next movement of tokens.
    function plan(Attempt[] calldata attempts_) external {
        delete _plan;
        delete _answers;
        successes = 0;
        for (uint256 index = 0; index < attempts_.length; ++index) {
            _plan.push(attempts_[index]);
        }
    }

    /// @notice What each call of the plan was answered with: the first four bytes.
    function answers() external view returns (bytes4[] memory) {
        return _answers;
    }

    function permit(address owner, address spender, uint256 value, uint256, uint8, bytes32, bytes32) external {
        _approve(owner, spender, value);
        _attack();
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) external {
        _transfer(from, to, value - shortfall);
        _attack();
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256,
        uint256,
        bytes32,
        bytes calldata
    ) external {
        _transfer(from, to, value - shortfall);
        _attack();
    }

    function _attack() internal override {
        super._attack();
        if (_answers.length != 0) return;
        for (uint256 index = 0; index < _plan.length; ++index) {
            Attempt memory attempt = _plan[index];
            _answers.push(0);
            (bool done, bytes memory answer) = attempt.target.call(attempt.payload);
            if (done) ++successes;
            _answers[index] = bytes4(answer);
        }
    }
}
