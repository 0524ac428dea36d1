// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Scene} from "../base/Scene.sol";
import {Vm, vm} from "../base/Vm.sol";

/// @title What the kernel did, told by its events, beside what it says
/// @notice Every call of a handler goes through `_call`, which adds up what each transaction has paid out.
abstract contract Books is Scene {
    uint256 internal constant MOST_TRANSACTIONS = 30;

    bytes32[] internal ids;
    mapping(bytes32 => bool) internal known;
    /// @dev Gross: fees, penalties and refunds included, bonds not.
    mapping(bytes32 => uint256) internal paidOut;
    mapping(bytes32 => State) internal finalState;
    mapping(bytes32 => bool) internal isFinal;
    uint256 internal unsolicited;

    uint256 public attempts;
    uint256 public successes;
    bytes4[] private _succeeded;
    mapping(bytes4 => uint256) private _successesOf;

    /// @dev Sends a call of `caller` to the kernel and books its events. A refusal is no failure.
    function _call(address caller, bytes memory data) internal returns (bool done, bytes memory answer) {
        ++attempts;
        vm.recordLogs();
        vm.prank(caller);
        (done, answer) = address(kernel).call(data);
        if (!done) return (false, answer);
        ++successes;
        if (_successesOf[bytes4(data)]++ == 0) _succeeded.push(bytes4(data));
        _book(vm.getRecordedLogs());
    }

    function _book(Vm.Log[] memory logs) private {
        bool milestone;
        for (uint256 index = 0; index < logs.length; ++index) {
            if (logs[index].emitter != address(kernel)) continue;
            bytes32 kind = logs[index].topics[0];
            bytes32 id = logs[index].topics.length > 1 ? logs[index].topics[1] : bytes32(0);
            bytes memory data = logs[index].data;
            if (kind == TransactionCreated.selector) {
                require(!known[id], "an id was made twice");
                known[id] = true;
                ids.push(id);
            } else if (kind == EscrowReleased.selector || kind == EscrowRefunded.selector) {
                (, uint256 amount,) = abi.decode(data, (address, uint256, uint256));
                paidOut[id] += amount;
            } else if (kind == PenaltyPaid.selector) {
                paidOut[id] += abi.decode(data, (uint256));
            } else if (kind == EscrowMediatorPaid.selector) {
                (uint256 amount,) = abi.decode(data, (uint256, uint256));
                paidOut[id] += amount;
            } else if (kind == EscrowMilestoneReleased.selector) {
                // Before its fee, which the next event tells.
                (uint256 amount,) = abi.decode(data, (uint256, uint256));
                paidOut[id] += amount;
                milestone = true;
            } else if (kind == PlatformFeeAccrued.selector && !milestone) {
                (uint256 amount,) = abi.decode(data, (uint256, uint256));
                paidOut[id] += amount;
            }
        }
    }

    /// @notice Attempts, successes, and successes of each function by its selector as a number, as JSON.
    function tally() external view returns (string memory line) {
        line = string.concat('{"attempts": ', vm.toString(attempts), ', "successes": ', vm.toString(successes));
        for (uint256 index = 0; index < _succeeded.length; ++index) {
            bytes4 selector = _succeeded[index];
            string memory name = vm.toString(uint256(uint32(selector)));
            line = string.concat(line, ', "', name, '": ', vm.toString(_successesOf[selector]));
        }
        return string.concat(line, "}");
    }

    // ---------------------------------------------------------------- what must hold after every call

    function checkBooks() external view {
        uint256 owed = kernel.accruedFees();
        for (uint256 index = 0; index < ids.length; ++index) {
            owed += _held(ids[index]);
        }
        address[] memory everyone = people();
        for (uint256 index = 0; index < everyone.length; ++index) {
            owed += kernel.credits(everyone[index]);
        }
        require(token.balanceOf(address(vault)) == owed + unsolicited, "the vault holds other than what is owed");
    }

    function checkPaidOnce() external view {
        for (uint256 index = 0; index < ids.length; ++index) {
            bytes32 id = ids[index];
            (,, uint256 received, uint256 released, bool active) = kernel.escrowOf(id);
            if (active) {
                require(paidOut[id] == released && released <= received, "an escrow paid other than it says");
            } else {
                require(paidOut[id] == received, "an ended escrow paid more or less than it received");
            }
        }
    }

    /// @dev Notes what has ended and compares what had.
    function checkFinality() external {
        for (uint256 index = 0; index < ids.length; ++index) {
            bytes32 id = ids[index];
            State state = kernel.getTransaction(id).state;
            if (isFinal[id]) {
                require(state == finalState[id], "an ended transaction moved");
            } else if (state == State.SETTLED || state == State.CANCELLED) {
                isFinal[id] = true;
                finalState[id] = state;
            }
            if (isFinal[id]) {
                (Bond memory ofRequester, Bond memory ofProvider,) = kernel.bondsOf(id);
                require(ofRequester.amount + ofProvider.amount == 0, "an ended transaction holds a bond");
            }
        }
    }

    function _held(bytes32 id) private view returns (uint256 amount) {
        (,, uint256 received, uint256 released,) = kernel.escrowOf(id);
        (Bond memory ofRequester, Bond memory ofProvider,) = kernel.bondsOf(id);
        return received - released + ofRequester.amount + ofProvider.amount;
    }

    /// @dev Everybody whom the kernel can ever owe something.
    function people() public view virtual returns (address[] memory);
}
