// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Scene} from "../base/Scene.sol";
import {Vm, vm} from "../base/Vm.sol";

/// @title People, verbs and exact answers for the tests of one function after the other
/// @notice `_ok` and `_no` send one call; a refusal must be the very error, with its values. `_saw` looks for the very
///         event among those of the last call.
abstract contract Stage is Scene {
    uint256 internal constant REQUESTER_KEY = 1;
    uint256 internal constant PROVIDER_KEY = 2;
    uint256 internal constant DEADLINE = START + 10 days;
    uint256 internal constant WINDOW = 2 days;
    address internal constant STRANGER = address(0x57A);
    address internal constant ARBITER = address(0xA4B);
    address internal constant MEDIATOR = address(0x3ED);
    bytes32 internal constant SERVICE = bytes32(uint256(0x5E));

    address internal requester = vm.addr(REQUESTER_KEY);
    address internal provider = vm.addr(PROVIDER_KEY);
    Vm.Log[] internal logs;

    function setUp() public virtual {
        _deploy(_usual());
        _fund(requester);
        _fund(provider);
        _fund(STRANGER);
    }

    // ---------------------------------------------------------------- calls

    function _ok(address caller, bytes memory data) internal returns (bytes memory answer) {
        vm.recordLogs();
        vm.prank(caller);
        bool done;
        (done, answer) = address(kernel).call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        delete logs;
        Vm.Log[] memory seen = vm.getRecordedLogs();
        for (uint256 index = 0; index < seen.length; ++index) {
            logs.push(seen[index]);
        }
    }

    function _no(address caller, bytes memory data, bytes memory refusal) internal {
        vm.prank(caller);
        (bool done, bytes memory answer) = address(kernel).call(data);
        require(!done, "went through");
        require(keccak256(answer) == keccak256(refusal), "refused for another reason");
    }

    function _step(address caller, bytes32 id, State state) internal {
        _ok(caller, _to(id, state, ""));
    }

    function _to(bytes32 id, State state, bytes memory proof) internal view returns (bytes memory) {
        return abi.encodeCall(kernel.transitionState, (id, state, proof));
    }

    function _saw(bytes32 kind, bytes32 id, bytes memory data) internal view {
        _find(address(kernel), abi.encodePacked(kind, id), data);
    }

    function _saw(bytes32 kind, bytes32 id, address who, bytes memory data) internal view {
        _find(address(kernel), abi.encodePacked(kind, id, abi.encode(who)), data);
    }

    function _saw(bytes32 kind, address who, bytes memory data) internal view {
        _find(address(kernel), abi.encodePacked(kind, abi.encode(who)), data);
    }

    function _sawMove(bytes32 id, State from, State to, address by) internal view {
        bytes memory topics = abi.encodePacked(StateTransitioned.selector, id, abi.encode(from, to));
        _find(address(kernel), topics, abi.encode(by, block.timestamp));
        require(kernel.getTransaction(id).state == to, "the event moved, the state did not");
        require(kernel.getTransaction(id).updatedAt == block.timestamp, "moved at another time");
    }

    function _find(address emitter, bytes memory topics, bytes memory data) internal view {
        for (uint256 index = 0; index < logs.length; ++index) {
            Vm.Log memory log = logs[index];
            if (log.emitter != emitter) continue;
            if (keccak256(abi.encodePacked(log.topics)) != keccak256(topics)) continue;
            if (keccak256(log.data) == keccak256(data)) return;
        }
        revert("the event is missing");
    }

    // ---------------------------------------------------------------- payments

    function _order(uint256 salt) internal view returns (Order memory) {
        return Order(provider, AMOUNT, DEADLINE, WINDOW, SERVICE, bytes32(salt));
    }

    function _usualClauses() internal pure returns (Clauses memory clauses) {
        clauses.timeoutRequesterBps = 5_000;
    }

    function _saltedId(address payer, uint256 salt) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(kernel), payer, salt));
    }

    function _created() internal returns (bytes32) {
        bytes memory data = abi.encodeCall(
            kernel.createTransaction, (provider, requester, AMOUNT, DEADLINE, WINDOW, SERVICE, 0, 0)
        );
        return abi.decode(_ok(requester, data), (bytes32));
    }

    function _funded(uint256 salt) internal returns (bytes32) {
        return abi.decode(_ok(requester, abi.encodeCall(kernel.createFunded, (_order(salt)))), (bytes32));
    }

    function _started(uint256 salt) internal returns (bytes32 id) {
        id = _funded(salt);
        _step(provider, id, State.IN_PROGRESS);
    }

    function _delivered(uint256 salt) internal returns (bytes32 id) {
        id = _funded(salt);
        _step(provider, id, State.DELIVERED);
    }

    function _disputed(uint256 salt) internal returns (bytes32 id) {
        id = _delivered(salt);
        _ok(requester, _to(id, State.DISPUTED, "evidence"));
    }

    function _sent(address who, uint256 amount) internal view {
        bytes memory topics =
            abi.encodePacked(keccak256("Transfer(address,address,uint256)"), abi.encode(vault, who));
        _find(address(token), topics, abi.encode(amount));
    }

    function _empty() internal view {
        require(token.balanceOf(address(vault)) == kernel.accruedFees(), "the vault holds more than fees");
    }
}
