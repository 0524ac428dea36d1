// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {vm} from "../base/Vm.sol";
import {Books} from "./Books.sol";

/// @title What anybody may try on a kernel, with arguments that often make sense
/// @notice Each function is one attempt, by a caller who mostly is entitled to it. Numbers come from the fuzzer.
contract Handler is Books {
    uint256 private constant REQUESTERS = 2;
    uint256 private constant PEOPLE = 5;

    address[] private _people;
    mapping(address => uint256) private _keys;
    uint256 private _salts;
    uint256 private _now = START;

    constructor() {
        _deploy(_usual());
        for (uint256 key = 1; key <= PEOPLE; ++key) {
            address person = vm.addr(key);
            _people.push(person);
            _keys[person] = key;
            _fund(person);
        }
        _people.push(admin);
        _people.push(pauser);
        _people.push(feeRecipient);
    }

    function people() public view override returns (address[] memory) {
        return _people;
    }

    // ---------------------------------------------------------------- new payments

    function create(uint256 seed, uint256 amount, uint256 time) external {
        if (ids.length >= MOST_TRANSACTIONS) return;
        Order memory order = _order(seed, amount, time);
        bytes memory data = abi.encodeCall(
            kernel.createTransaction,
            (order.provider, _requester(seed), order.amount, order.deadline, order.disputeWindow, order.salt, 0, seed % 3)
        );
        _call(_requester(seed), data);
    }

    function createFunded(uint256 seed, uint256 amount, uint256 time) external {
        if (ids.length >= MOST_TRANSACTIONS) return;
        _call(_requester(seed), abi.encodeCall(kernel.createFunded, (_order(seed, amount, time))));
    }

    function createFundedBatch(uint256 seed, uint256 amount, uint256 time) external {
        if (ids.length >= MOST_TRANSACTIONS) return;
        Order[] memory orders = new Order[](2 + seed % 2);
        for (uint256 index = 0; index < orders.length; ++index) {
            orders[index] = _order(seed >> index, amount, time);
        }
        _call(_requester(seed), abi.encodeCall(kernel.createFundedBatch, (orders)));
    }

    function createFundedWith(uint256 seed, uint256 amount, uint256 time, bool withSchedule) external {
        if (ids.length >= MOST_TRANSACTIONS) return;
        Order memory order = _order(seed, amount, time);
        Clauses memory clauses = _clauses(seed, order, withSchedule);
        if (seed % 4 == 0) _call(_requester(seed), abi.encodeCall(kernel.createSalted, (order, clauses)));
        else _call(_requester(seed), abi.encodeCall(kernel.createFundedWith, (order, clauses)));
    }

    function createFundedWithAuthorization(uint256 seed, uint256 amount, uint256 time) external {
        if (ids.length >= MOST_TRANSACTIONS) return;
        address requester = _requester(seed);
        Order memory order = _order(seed, amount, time);
        Clauses memory clauses = _clauses(seed, order, seed % 5 == 0);
        bytes32 nonce = keccak256(abi.encode(block.chainid, address(kernel), requester, order, clauses));
        bytes32 transfer = keccak256(
            abi.encode(
                token.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(),
                requester,
                address(vault),
                order.amount,
                uint256(0),
                type(uint256).max,
                nonce
            )
        );
        bytes memory signature =
            _signed(requester, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), transfer)));
        // A relayer who changes a term has no signature for it.
        bool changed = seed % 7 == 0;
        if (changed) order.serviceHash = bytes32(~seed);
        bytes memory data = abi.encodeCall(
            kernel.createFundedWithAuthorization,
            (requester, order, clauses, Authorization(0, type(uint256).max, signature))
        );
        (bool done,) = _call(_person(seed), data);
        require(!done || !changed, "a relayer changed a term");
    }

    function quote(uint256 pick, uint256 newAmount) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State.INITIATED);
        if (id == 0) return;
        _call(job.provider, abi.encodeCall(kernel.transitionState, (id, State.QUOTED, abi.encode(bytes32(uint256(1))))));
        _call(job.requester, abi.encodeCall(kernel.acceptQuote, (id, _amount(newAmount))));
    }

    function link(uint256 pick, uint256 seed) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, seed % 2 == 0 ? State.INITIATED : State.QUOTED);
        if (id == 0) return;
        bytes32 escrowId = seed % 3 == 0 ? bytes32(seed % 4) : id;
        _call(job.requester, abi.encodeCall(kernel.linkEscrow, (id, address(vault), escrowId)));
    }

    // ---------------------------------------------------------------- work

    function start(uint256 pick) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State.COMMITTED);
        if (id != 0) _call(job.provider, abi.encodeCall(kernel.transitionState, (id, State.IN_PROGRESS, "")));
    }

    function deliver(uint256 pick, uint256 window, bool started) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, started ? State.IN_PROGRESS : State.COMMITTED);
        if (id == 0) return;
        bytes memory proof = window % 2 == 0 ? bytes("") : abi.encode(window % 31 days);
        _call(job.provider, abi.encodeCall(kernel.transitionState, (id, State.DELIVERED, proof)));
    }

    function deliverBatch(uint256 seed) external {
        if (ids.length != 0) _call(_person(seed), abi.encodeCall(kernel.deliverBatch, (_several(seed))));
    }

    function releaseMilestone(uint256 pick, uint256 amount) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State.IN_PROGRESS);
        if (id == 0) return;
        uint256 part = amount % 3 == 0 ? vault.remaining(job.escrowId) : 50_000 + amount % job.amount;
        _call(job.requester, abi.encodeCall(kernel.releaseMilestone, (id, part)));
    }

    function payMilestone(uint256 pick, uint256 index) external {
        (bytes32 id, TransactionView memory job) = _pickScheduled(pick, State.IN_PROGRESS);
        if (id == 0) {
            (id, job) = _pickScheduled(pick, State.COMMITTED);
            if (id != 0) _call(job.provider, abi.encodeCall(kernel.transitionState, (id, State.IN_PROGRESS, "")));
        }
        if (id != 0) _call(job.requester, abi.encodeCall(kernel.payMilestone, (id, index % 4)));
    }

    function refundMilestone(uint256 pick, uint256 index, bool started) external {
        (bytes32 id, TransactionView memory job) = _pickScheduled(pick, started ? State.IN_PROGRESS : State.COMMITTED);
        if (id == 0) return;
        MilestoneView[] memory parts = kernel.milestonesOf(id);
        uint256 due = parts[index % parts.length].deadline;
        if (pick % 2 == 0 && _now <= due) _wait(due + 1 - _now);
        address caller = pick % 3 == 0 ? _person(pick) : job.requester;
        _call(caller, abi.encodeCall(kernel.refundMilestone, (id, index % parts.length)));
    }

    // ---------------------------------------------------------------- ends

    function settle(uint256 pick, uint256 seed) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, seed % 5 == 0 ? State.IN_PROGRESS : State.DELIVERED);
        if (id == 0) return;
        address caller = seed % 2 == 0 ? job.requester : _person(seed);
        bool early = job.state == State.DELIVERED && caller != job.requester && _now <= job.disputeWindow;
        (bool done,) = _call(caller, abi.encodeCall(kernel.releaseEscrow, (id)));
        require(!done || !early, "settled within the window by somebody else than the requester");
    }

    function settleBatch(uint256 seed) external {
        if (ids.length != 0) _call(_person(seed), abi.encodeCall(kernel.settleBatch, (_several(seed))));
    }

    function cancel(uint256 pick, uint256 seed) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State(seed % 4));
        if (id == 0) return;
        address caller = seed % 3 == 0 ? job.provider : seed % 3 == 1 ? job.requester : _person(seed);
        _call(caller, abi.encodeCall(kernel.transitionState, (id, State.CANCELLED, "")));
    }

    function walkAway(uint256 pick, bool announce) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State.COMMITTED);
        if (id == 0) return;
        if (announce) {
            _call(job.requester, abi.encodeCall(kernel.announceCancellation, (id)));
            _wait(1 hours);
        }
        _call(job.requester, abi.encodeCall(kernel.cancelEarly, (id)));
    }

    function dispute(uint256 pick, bool byProvider) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State.DELIVERED);
        if (id == 0) return;
        address caller = byProvider ? job.provider : job.requester;
        _call(caller, abi.encodeCall(kernel.transitionState, (id, State.DISPUTED, "evidence")));
    }

    function postBond(uint256 pick, uint256 seed) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, seed % 2 == 0 ? State.DELIVERED : State.DISPUTED);
        if (id == 0) return;
        _call(_person(seed), abi.encodeCall(kernel.postBond, (id, seed % 4 < 2 ? job.provider : job.requester)));
    }

    function rule(uint256 pick, uint256 seed, uint256 share) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State.DISPUTED);
        if (id == 0) return;
        (address arbiter,) = kernel.clausesOf(id);
        uint256 remaining = vault.remaining(job.escrowId);
        uint256 ofMediator = seed % 3 == 0 ? share % (remaining / 10 + 1) : 0;
        uint256 ofRequester = share % (remaining - ofMediator + 1);
        uint256 ofProvider = remaining - ofMediator - ofRequester;
        bytes memory proof = "";
        if (ofMediator != 0) proof = abi.encode(ofRequester, ofProvider, seed % 2, arbiter, ofMediator);
        else if (seed % 3 == 1) proof = abi.encode(ofRequester, ofProvider, seed % 2);
        State outcome = seed % 4 == 0 ? State.CANCELLED : State.SETTLED;
        address judge = arbiter == address(0) ? admin : arbiter;
        _call(judge, abi.encodeCall(kernel.transitionState, (id, outcome, proof)));
    }

    function closeTimedOutDispute(uint256 pick, uint256 seed, bool wait) external {
        (bytes32 id,) = _pick(pick, State.DISPUTED);
        if (id == 0) return;
        if (wait) _wait(30 days + 1);
        _call(_person(seed), abi.encodeCall(kernel.closeTimedOutDispute, (id)));
    }

    function settleByConsent(uint256 pick, uint256 seed, uint256 share) external {
        (bytes32 id, TransactionView memory job) = _pick(pick, State([2, 3, 4, 6][seed % 4]));
        if (id == 0) return;
        uint256 remaining = vault.remaining(job.escrowId);
        uint256 part = share % (remaining + 1);
        bytes32 digest = _splitDigest(id, part, remaining - part);
        // The provider did not sign this one.
        bool forged = seed % 6 == 5;
        bytes memory data = abi.encodeCall(
            kernel.settleByConsent,
            (
                id,
                part,
                remaining - part,
                type(uint256).max,
                _signed(job.requester, digest),
                _signed(job.provider, forged ? bytes32(seed) : digest)
            )
        );
        address caller = _person(seed >> 8);
        (bool done,) = _call(caller, data);
        require(!done || !forged || caller == job.provider, "settled without consent");
    }

    // ---------------------------------------------------------------- everything around

    function withdrawCredit(uint256 seed) external {
        for (uint256 index = 0; index < _people.length; ++index) {
            if (kernel.credits(_people[index]) == 0) continue;
            _call(_person(seed), abi.encodeCall(kernel.withdrawCredit, (_people[index])));
            return;
        }
    }

    function withdrawFees() external {
        _call(kernel.feeRecipient(), abi.encodeCall(kernel.withdrawFees, ()));
    }

    function govern(uint256 seed) external {
        uint256 what = seed % 8;
        if (what == 0) _call(pauser, abi.encodeCall(kernel.pause, ()));
        else if (what < 3) _call(pauser, abi.encodeCall(kernel.unpause, ()));
        else if (what == 3) _call(admin, abi.encodeCall(kernel.updateFeeRecipient, (_person(seed))));
        else if (what == 4) _call(admin, abi.encodeCall(kernel.updateDisputeBondBps, (uint16(seed % 2_001))));
        else if (what == 5) _scheduleRates(seed);
        else if (what == 6) _executeRates(seed);
        else _call(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), seed % 3 != 0)));
    }

    function _scheduleRates(uint256 seed) private {
        _call(admin, abi.encodeCall(kernel.scheduleEconomicParams, (uint16(seed % 501), uint16(seed % 5_001))));
        if (seed % 4 == 1) _executeRates(seed >> 1);
    }

    function _executeRates(uint256 seed) private {
        if (seed % 2 == 0) _wait(2 days);
        _call(_person(seed), abi.encodeCall(kernel.executeEconomicParamsUpdate, ()));
    }

    /// @dev The token freezes an account, or frees all of them again.
    function freeze(uint256 seed) external {
        if (seed % 3 == 0) token.blacklist(_person(seed >> 8));
        else _thaw();
    }

    function sendUnsolicited(uint256 seed) external {
        uint256 amount = seed % 1e9;
        vm.prank(_people[0]);
        try token.transfer(address(vault), amount) {
            unsolicited += amount;
        } catch {}
    }

    function pass(uint256 time) external {
        _wait(time % 3 == 0 ? time % 12 days : time % 6 hours);
    }

    // ---------------------------------------------------------------- the end

    /// @dev Ends every funded transaction by a stranger's calls and time alone: paused, no vault approved, and every
    ///      second time with all people frozen.
    function endEverything() external {
        vm.prank(admin);
        kernel.pause();
        vm.prank(admin);
        kernel.approveEscrowVault(address(vault), false);
        _thaw();
        bool frozen = ids.length % 2 == 1;
        for (uint256 index = 0; frozen && index < PEOPLE; ++index) {
            token.blacklist(_people[index]);
        }
        for (uint256 index = 0; index < ids.length; ++index) {
            _end(ids[index]);
        }
        _thaw();
        for (uint256 index = 0; index < _people.length; ++index) {
            if (kernel.credits(_people[index]) != 0) kernel.withdrawCredit(_people[index]);
        }
        if (kernel.accruedFees() != 0) {
            vm.prank(kernel.feeRecipient());
            kernel.withdrawFees();
        }
        require(token.balanceOf(address(vault)) == unsolicited, "something is locked in the vault");
    }

    function _end(bytes32 id) private {
        TransactionView memory job = kernel.getTransaction(id);
        bytes memory exit = abi.encodeCall(kernel.transitionState, (id, State.CANCELLED, ""));
        uint256 due = job.deadline + 7 days;
        if (job.state == State.DELIVERED) {
            exit = abi.encodeCall(kernel.releaseEscrow, (id));
            due = job.disputeWindow;
        } else if (job.state == State.DISPUTED) {
            exit = abi.encodeCall(kernel.closeTimedOutDispute, (id));
            due = job.updatedAt + 30 days;
        } else if (job.state != State.COMMITTED && job.state != State.IN_PROGRESS) {
            return;
        } else if (vault.remaining(job.escrowId) == 0) {
            exit = abi.encodeCall(kernel.releaseEscrow, (id));
            due = 0;
        }
        if (_now <= due) _wait(due + 1 - _now);
        (bool done,) = _call(address(0x57A), exit);
        require(done, "a funded transaction has no exit");
        job = kernel.getTransaction(id);
        require(job.state == State.SETTLED || job.state == State.CANCELLED, "the exit did not end it");
    }

    // ---------------------------------------------------------------- internals

    function _order(uint256 seed, uint256 amount, uint256 time) private returns (Order memory order) {
        order.provider = _people[REQUESTERS + seed % 2];
        order.amount = _amount(amount);
        order.deadline = _now + 1 + time % 20 days;
        order.disputeWindow = 1 hours + (time >> 128) % (30 days - 1 hours + 1);
        order.serviceHash = bytes32(seed % 2);
        // Now and then a salt that was used.
        order.salt = bytes32(seed % 9 == 0 ? _salts : ++_salts);
    }

    function _clauses(uint256 seed, Order memory order, bool withSchedule)
        private
        view
        returns (Clauses memory clauses)
    {
        clauses.arbiter = seed % 2 == 0 ? _people[4] : address(0);
        clauses.timeoutRequesterBps = seed % 3 == 0 ? 5_000 : seed % 10_001;
        if (!withSchedule || order.amount < 200_000) return clauses;
        clauses.milestones = new Milestone[](1 + seed % 3);
        uint256 left = order.amount;
        for (uint256 index = 0; index + 1 < clauses.milestones.length; ++index) {
            clauses.milestones[index] = Milestone(50_000, _now + 1 + (order.deadline - _now) / 2, 0);
            left -= 50_000;
        }
        clauses.milestones[clauses.milestones.length - 1] = Milestone(left, order.deadline, 0);
    }

    function _amount(uint256 seed) private pure returns (uint256) {
        return 50_000 + seed % (seed % 2 == 0 ? 1e6 : 1e12);
    }

    /// @dev One of the transactions in this state, or nothing.
    function _pick(uint256 pick, State state) private view returns (bytes32 id, TransactionView memory job) {
        return _pickWhere(pick, state, false);
    }

    function _pickScheduled(uint256 pick, State state) private view returns (bytes32, TransactionView memory) {
        return _pickWhere(pick, state, true);
    }

    function _pickWhere(uint256 pick, State state, bool scheduled)
        private
        view
        returns (bytes32 id, TransactionView memory job)
    {
        for (uint256 step = 0; step < ids.length; ++step) {
            id = ids[(pick % ids.length + step) % ids.length];
            job = kernel.getTransaction(id);
            if (job.state == state && (!scheduled || kernel.milestonesOf(id).length != 0)) return (id, job);
        }
        return (0, job);
    }

    function _several(uint256 seed) private view returns (bytes32[] memory some) {
        some = new bytes32[](1 + seed % 4);
        for (uint256 index = 0; index < some.length; ++index) {
            some[index] = ids[(seed >> (8 * index)) % ids.length];
        }
    }

    function _requester(uint256 seed) private view returns (address) {
        return _people[(seed >> 16) % REQUESTERS];
    }

    function _person(uint256 seed) private view returns (address) {
        return _people[(seed >> 24) % PEOPLE];
    }

    function _wait(uint256 time) private {
        _now += time;
        vm.warp(_now);
    }

    function _thaw() private {
        for (uint256 index = 0; index < PEOPLE; ++index) {
            token.unBlacklist(_people[index]);
        }
    }

    function _splitDigest(bytes32 id, uint256 ofRequester, uint256 ofProvider) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ACTP Kernel"),
                keccak256("1"),
                block.chainid,
                kernel
            )
        );
        bytes32 split = keccak256(
            abi.encode(
                keccak256(
                    "Split(bytes32 transactionId,uint256 requesterAmount,uint256 providerAmount,uint256 validUntil)"
                ),
                id,
                ofRequester,
                ofProvider,
                type(uint256).max
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, split));
    }

    function _signed(address signer, bytes32 digest) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(_keys[signer], digest);
        return abi.encodePacked(r, s, v);
    }
}
