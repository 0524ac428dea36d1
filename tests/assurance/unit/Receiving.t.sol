// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEscrowVault} from "../../../contracts/interfaces/IEscrowVault.sol";
import {Scene} from "../base/Scene.sol";
import {vm} from "../base/Vm.sol";

/// @notice Delivers `taken` less than it is asked to move, or `added` more.
contract FeeTakingToken {
    mapping(address => uint256) public balanceOf;
    uint256 public taken;
    uint256 public added;

    function set(uint256 taken_, uint256 added_) external {
        taken = taken_;
        added = added_;
    }

    function transferFrom(address from, address to, uint256 amount) public returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount + added - taken;
        return true;
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(v == 27 && r == bytes32(uint256(1)) && s == bytes32(uint256(2)), "signature in three parts");
        transferFrom(from, to, amount);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        bytes calldata signature
    ) external {
        require(keccak256(signature) == keccak256("a wallet's"), "signature in one part");
        transferFrom(from, to, amount);
    }
}

/// @notice Refuses for want of gas at once, so that what is left is enough for everything after it.
contract HungryToken {
    uint256 private constant NEED = 60_000;

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function transfer(address, uint256) external view returns (bool) {
        return gasleft() > NEED;
    }

    /// @dev The payer has nothing, and is not frozen either.
    function transferFrom(address, address, uint256 amount) external view returns (bool) {
        return amount == 0 && gasleft() > NEED;
    }
}

/// @title What a vault believes of its token: what arrived, and refusals that had gas enough
contract ReceivingTest is Scene {
    address private constant KERNEL = address(0x4E);
    address private constant PAYER = address(0x9A);
    bytes32 private constant ID = bytes32(uint256(1));
    FeeTakingToken private money;

    function setUp() public {
        money = new FeeTakingToken();
        money.mint(PAYER, 10 * AMOUNT);
        bytes memory arguments = abi.encode(money, KERNEL);
        vault = IEscrowVault(_create(abi.encodePacked(_codeOf("EscrowVault"), arguments)));
    }

    function test_no_way_in_takes_less_or_more_than_was_asked_for() public {
        bytes[5] memory ways = _ways();
        for (uint256 index = 0; index < ways.length; ++index) {
            money.set(AMOUNT / 100, 0);
            _refuses(ways[index], AMOUNT - AMOUNT / 100);
            money.set(0, 1);
            _refuses(ways[index], AMOUNT + 1);
            money.set(0, 0);
            vm.prank(KERNEL);
            (bool done,) = address(vault).call(ways[index]);
            require(done && money.balanceOf(address(vault)) == (index + 1) * AMOUNT, "the exact amount");
        }
    }

    function test_a_starved_payout_fails_as_a_whole() public {
        _useHungryToken();
        bytes memory pay = abi.encodeCall(vault.payout, (ID, PAYER, AMOUNT));
        bool starved;
        for (uint256 supply = 60_000; supply <= 200_000; supply += 5_000) {
            vm.prank(KERNEL);
            (bool done, bytes memory answer) = address(vault).call{gas: supply}(pay);
            if (done) require(abi.decode(answer, (uint256)) == AMOUNT, "a starved refusal was believed");
            else if (bytes4(answer) == IEscrowVault.InsufficientGas.selector) starved = true;
            if (supply == 200_000) require(done, "never enough gas");
        }
        require(starved, "never too little gas");
    }

    function test_a_starved_bond_is_not_taken_for_frozen() public {
        _useHungryToken();
        bytes memory pull = abi.encodeCall(vault.pullBond, (PAYER, AMOUNT));
        bytes memory refusal = abi.encodeWithSelector(IEscrowVault.BondNotPayable.selector, PAYER, AMOUNT, 0, 0);
        bool starved;
        for (uint256 supply = 60_000; supply <= 200_000; supply += 5_000) {
            vm.prank(KERNEL);
            (bool done, bytes memory answer) = address(vault).call{gas: supply}(pull);
            require(!done, "somebody without money was taken for frozen");
            if (bytes4(answer) == IEscrowVault.InsufficientGas.selector) starved = true;
            if (supply == 200_000) require(keccak256(answer) == keccak256(refusal), "not payable");
        }
        require(starved, "never too little gas");
    }

    function _useHungryToken() private {
        bytes memory arguments = abi.encode(new HungryToken(), KERNEL);
        vault = IEscrowVault(_create(abi.encodePacked(_codeOf("EscrowVault"), arguments)));
    }

    function _ways() private view returns (bytes[5] memory) {
        bytes memory parts = abi.encodePacked(bytes32(uint256(1)), bytes32(uint256(2)), uint8(27));
        return [
            abi.encodeCall(vault.createEscrow, (ID, PAYER, PAYER, AMOUNT)),
            abi.encodeCall(vault.collect, (PAYER, AMOUNT)),
            abi.encodeCall(vault.createEscrowWithAuthorization, (ID, PAYER, PAYER, AMOUNT, 0, 0, 0, parts)),
            abi.encodeCall(vault.createEscrowWithAuthorization, (ID, PAYER, PAYER, AMOUNT, 0, 0, 0, "a wallet's")),
            abi.encodeCall(vault.pullBond, (PAYER, AMOUNT))
        ];
    }

    function _refuses(bytes memory way, uint256 received) private {
        vm.prank(KERNEL);
        (bool done, bytes memory answer) = address(vault).call(way);
        bytes memory refusal = abi.encodeWithSelector(IEscrowVault.ReceivedMismatch.selector, received, AMOUNT);
        require(!done && keccak256(answer) == keccak256(refusal), "a sum that did not arrive was booked");
    }
}
