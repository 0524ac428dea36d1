// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice Holds the tokens of a `PublicKernel`. A push that the token refuses reverts.
contract PublicVault {
    using SafeERC20 for IERC20;

    struct Escrow {
        address requester;
        address provider;
        uint256 amount;
        uint256 releasedAmount;
    }

    IERC20 public immutable token;
    address public immutable kernel;
    mapping(bytes32 escrowId => Escrow) private _escrows;

    error NotKernel();

    modifier onlyKernel() {
        if (msg.sender != kernel) revert NotKernel();
        _;
    }

    constructor(IERC20 token_) {
        token = token_;
        kernel = msg.sender;
    }

    function createEscrow(bytes32 escrowId, address requester, address provider, uint256 amount) external onlyKernel {
        _escrows[escrowId] = Escrow(requester, provider, amount, 0);
        token.safeTransferFrom(requester, address(this), amount);
    }

    function payoutToProvider(bytes32 escrowId, uint256 amount) external returns (uint256) {
        return payout(escrowId, _escrows[escrowId].provider, amount);
    }

    function refundToRequester(bytes32 escrowId, uint256 amount) external returns (uint256) {
        return payout(escrowId, _escrows[escrowId].requester, amount);
    }

    function payout(bytes32 escrowId, address recipient, uint256 amount) public onlyKernel returns (uint256) {
        _escrows[escrowId].releasedAmount += amount;
        token.safeTransfer(recipient, amount);
        return amount;
    }

    function remaining(bytes32 escrowId) external view returns (uint256) {
        return _escrows[escrowId].amount - _escrows[escrowId].releasedAmount;
    }
}

/// @notice Takes its part of each fee from the kernel.
contract PublicArchive {
    using SafeERC20 for IERC20;

    IERC20 public immutable token;

    constructor(IERC20 token_) {
        token = token_;
    }

    function receiveFunds(uint256 amount) external {
        token.safeTransferFrom(msg.sender, address(this), amount);
    }
}

/// @notice A kernel of generation G1 as the live ones are in what they pay, and to whom: the fee leaves with each
///         payment, and a requester pays a penalty for a refund after the deadline. Without quotes, disputes and roles.
contract PublicKernel {
    using SafeERC20 for IERC20;

    enum State {
        INITIATED,
        QUOTED,
        COMMITTED,
        IN_PROGRESS,
        DELIVERED,
        SETTLED,
        DISPUTED,
        CANCELLED
    }

    struct TransactionView {
        bytes32 transactionId;
        address requester;
        address provider;
        State state;
        uint256 amount;
        uint256 createdAt;
        uint256 updatedAt;
        uint256 deadline;
        bytes32 serviceHash;
        address escrowContract;
        bytes32 escrowId;
        bytes32 attestationUID;
        uint256 disputeWindow;
        bytes32 metadata;
        uint16 platformFeeBpsLocked;
        uint16 requesterPenaltyBpsLocked;
        uint16 disputeBondBpsLocked;
        uint256 agentId;
        uint256 requesterAgentId;
        address disputeInitiator;
        uint256 disputeBond;
    }

    uint256 public constant MIN_TRANSACTION_AMOUNT = 50_000;
    uint256 public constant MAX_TRANSACTION_AMOUNT = 1e15;
    uint256 public constant MAX_DEADLINE = 365 days;
    uint256 public constant MIN_DISPUTE_WINDOW = 1 hours;
    uint256 public constant MAX_DISPUTE_WINDOW = 30 days;
    uint256 public constant DEFAULT_DISPUTE_WINDOW = 2 days;
    uint256 public constant MIN_FEE = 50_000;
    uint256 public constant MAX_BPS = 10_000;
    uint256 private constant ARCHIVE_BPS = 10;

    IERC20 public immutable USDC;
    PublicVault public immutable vault;
    address public immutable feeRecipient;
    address public immutable archiveTreasury;
    uint16 public platformFeeBps = 100;
    mapping(address requester => uint256) public requesterNonces;
    mapping(bytes32 transactionId => TransactionView) private _transactions;

    event TransactionCreated(
        bytes32 indexed transactionId,
        address indexed requester,
        address indexed provider,
        uint256 amount,
        bytes32 serviceHash,
        uint256 deadline,
        uint256 timestamp,
        uint256 agentId
    );
    event StateTransitioned(
        bytes32 indexed transactionId,
        State indexed oldState,
        State indexed newState,
        address triggeredBy,
        uint256 timestamp
    );
    event EscrowLinked(
        bytes32 indexed transactionId, address escrowContract, bytes32 escrowId, uint256 amount, uint256 timestamp
    );
    event EscrowReleased(bytes32 indexed transactionId, address recipient, uint256 amount, uint256 timestamp);
    event EscrowRefunded(bytes32 indexed transactionId, address recipient, uint256 amount, uint256 timestamp);
    event EscrowMilestoneReleased(bytes32 indexed transactionId, uint256 amount, uint256 timestamp);
    event PlatformFeeAccrued(
        bytes32 indexed transactionId, address indexed recipient, uint256 amount, uint256 timestamp
    );

    constructor(IERC20 usdc, address feeRecipient_, bool archives) {
        USDC = usdc;
        feeRecipient = feeRecipient_;
        vault = new PublicVault(usdc);
        archiveTreasury = archives ? address(new PublicArchive(usdc)) : address(0);
    }

    function createTransaction(
        address provider,
        address requester,
        uint256 amount,
        uint256 deadline,
        uint256 disputeWindow,
        bytes32 serviceHash,
        uint256 agentId,
        uint256 requesterAgentId
    ) external returns (bytes32 transactionId) {
        require(msg.sender == requester, "Requester mismatch");
        transactionId = keccak256(abi.encode(requester, provider, amount, serviceHash, requesterNonces[requester]++));
        TransactionView storage one = _transactions[transactionId];
        one.transactionId = transactionId;
        one.requester = requester;
        one.provider = provider;
        one.amount = amount;
        one.createdAt = block.timestamp;
        one.deadline = deadline;
        one.serviceHash = serviceHash;
        one.disputeWindow = disputeWindow;
        one.platformFeeBpsLocked = platformFeeBps;
        one.requesterPenaltyBpsLocked = 500;
        one.disputeBondBpsLocked = 500;
        one.agentId = agentId;
        one.requesterAgentId = requesterAgentId;
        emit TransactionCreated(
            transactionId, requester, provider, amount, serviceHash, deadline, block.timestamp, agentId
        );
    }

    function linkEscrow(bytes32 transactionId, address escrowContract, bytes32 escrowId) external {
        TransactionView storage one = _load(transactionId);
        require(msg.sender == one.requester, "Only requester");
        require(escrowContract == address(vault), "Escrow not approved");
        one.escrowContract = escrowContract;
        one.escrowId = escrowId;
        emit EscrowLinked(transactionId, escrowContract, escrowId, one.amount, block.timestamp);
        _move(one, State.COMMITTED);
        vault.createEscrow(escrowId, one.requester, one.provider, one.amount);
    }

    function releaseMilestone(bytes32 transactionId, uint256 amount) external {
        TransactionView storage one = _load(transactionId);
        require(one.state == State.IN_PROGRESS && msg.sender == one.requester, "Only requester");
        _payProvider(one, amount);
        emit EscrowMilestoneReleased(transactionId, amount, block.timestamp);
    }

    function transitionState(bytes32 transactionId, State newState, bytes calldata proof) external {
        TransactionView storage one = _load(transactionId);
        State old = one.state;
        if (newState == State.IN_PROGRESS) {
            require(old == State.COMMITTED && msg.sender == one.provider, "Only provider");
        } else if (newState == State.DELIVERED) {
            require(old == State.IN_PROGRESS && msg.sender == one.provider, "Only provider");
            one.disputeWindow =
                block.timestamp + (proof.length == 0 ? DEFAULT_DISPUTE_WINDOW : abi.decode(proof, (uint256)));
        } else if (newState == State.SETTLED) {
            require(old == State.DELIVERED, "Invalid transition");
            require(msg.sender == one.requester || block.timestamp > one.disputeWindow, "Requester decision pending");
        } else {
            require(newState == State.CANCELLED && old <= State.IN_PROGRESS, "Invalid transition");
            require(msg.sender == one.requester || msg.sender == one.provider, "Party only");
            if (msg.sender == one.requester) {
                require(old != State.IN_PROGRESS, "Cannot cancel after work started");
                require(old != State.COMMITTED || block.timestamp > one.deadline, "Deadline not reached");
            }
        }
        _move(one, newState);
        if (newState == State.SETTLED) _payProvider(one, vault.remaining(one.escrowId));
        if (newState == State.CANCELLED && old >= State.COMMITTED) _refund(one);
    }

    function getTransaction(bytes32 transactionId) external view returns (TransactionView memory) {
        return _load(transactionId);
    }

    function _refund(TransactionView storage one) private {
        uint256 left = vault.remaining(one.escrowId);
        uint256 penalty = msg.sender == one.requester ? left * one.requesterPenaltyBpsLocked / MAX_BPS : 0;
        vault.refundToRequester(one.escrowId, left - penalty);
        emit EscrowRefunded(one.transactionId, one.requester, left - penalty, block.timestamp);
        if (penalty != 0) _payProvider(one, penalty);
    }

    function _payProvider(TransactionView storage one, uint256 gross) private {
        uint256 fee = gross * one.platformFeeBpsLocked / MAX_BPS;
        if (fee < MIN_FEE) fee = MIN_FEE;
        if (fee > gross) fee = gross;
        if (gross != fee) {
            vault.payoutToProvider(one.escrowId, gross - fee);
            emit EscrowReleased(one.transactionId, one.provider, gross - fee, block.timestamp);
        }
        uint256 part = archiveTreasury == address(0) ? 0 : fee * ARCHIVE_BPS / MAX_BPS;
        if (part != 0) {
            vault.payout(one.escrowId, address(this), part);
            USDC.forceApprove(archiveTreasury, part);
            PublicArchive(archiveTreasury).receiveFunds(part);
        }
        vault.payout(one.escrowId, feeRecipient, fee - part);
        emit PlatformFeeAccrued(one.transactionId, feeRecipient, fee - part, block.timestamp);
    }

    function _move(TransactionView storage one, State newState) private {
        emit StateTransitioned(one.transactionId, one.state, newState, msg.sender, block.timestamp);
        one.state = newState;
        one.updatedAt = block.timestamp;
    }

    function _load(bytes32 transactionId) private view returns (TransactionView storage one) {
        one = _transactions[transactionId];
        require(one.createdAt != 0, "Tx missing");
    }
}
