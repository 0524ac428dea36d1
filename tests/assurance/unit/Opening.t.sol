// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEscrowVault} from "../../../contracts/interfaces/IEscrowVault.sol";
import {vm} from "../base/Vm.sol";
import {Stage} from "./Stage.sol";

/// @title How payments come into being: create, quote, link, and all at once
contract OpeningTest is Stage {
    function test_create_keeps_all_terms() public {
        bytes memory data = abi.encodeCall(
            kernel.createTransaction, (provider, requester, AMOUNT, DEADLINE, WINDOW, SERVICE, 11, 12)
        );
        bytes32 id = abi.decode(_ok(requester, data), (bytes32));
        require(id == keccak256(abi.encode(block.chainid, kernel, requester, uint256(0), provider)), "id");
        require(kernel.requesterNonces(requester) == 1, "nonce");
        require(logs[0].topics[0] == TransactionCreated.selector && logs[0].topics[1] == id, "first log");
        require(
            logs[0].topics[2] == bytes32(uint256(uint160(requester)))
                && logs[0].topics[3] == bytes32(uint256(uint160(provider))),
            "parties"
        );
        require(
            keccak256(logs[0].data) == keccak256(abi.encode(AMOUNT, SERVICE, DEADLINE, block.timestamp, 11)), "data"
        );
        TransactionView memory job = kernel.getTransaction(id);
        require(job.transactionId == id && job.requester == requester && job.provider == provider, "view: who");
        require(job.amount == AMOUNT && job.createdAt == START && job.updatedAt == START, "view: what");
        require(job.deadline == DEADLINE && job.disputeWindow == WINDOW && job.serviceHash == SERVICE, "view: when");
        require(job.escrowContract == address(0) && job.escrowId == 0 && job.state == State.INITIATED, "view: escrow");
        require(
            job.platformFeeBpsLocked == 100 && job.requesterPenaltyBpsLocked == 500 && job.disputeBondBpsLocked == 500,
            "view: rates"
        );
        require(job.agentId == 11 && job.requesterAgentId == 12, "view: agents");
        require(job.disputeInitiator == address(0) && job.disputeBond == 0, "view: dispute");
        (address who,,,, bool active) = kernel.escrowOf(id);
        require(who == address(0) && !active, "nothing is funded");
        (address arbiter, uint256 share) = kernel.clausesOf(id);
        require(arbiter == address(0) && share == 5_000, "usual clauses");
        data = abi.encodeCall(kernel.createTransaction, (provider, requester, AMOUNT, DEADLINE, WINDOW, 0, 0, 0));
        job = kernel.getTransaction(abi.decode(_ok(requester, data), (bytes32)));
        require(job.serviceHash == 0 && job.agentId == 0 && job.requesterAgentId == 0, "nothing said");
    }

    function test_terms_out_of_bounds_are_refused() public {
        _refusesTerms(address(0), AMOUNT, DEADLINE, WINDOW, abi.encodeWithSelector(ZeroAddress.selector));
        _refusesTerms(requester, AMOUNT, DEADLINE, WINDOW, abi.encodeWithSelector(InvalidProvider.selector, requester));
        _refusesTerms(
            address(vault), AMOUNT, DEADLINE, WINDOW, abi.encodeWithSelector(InvalidProvider.selector, vault)
        );
        bytes4 amount = AmountOutOfBounds.selector;
        _refusesTerms(provider, 49_999, DEADLINE, WINDOW, abi.encodeWithSelector(amount, 49_999, 50_000, 1e15));
        _refusesTerms(provider, 1e15 + 1, DEADLINE, WINDOW, abi.encodeWithSelector(amount, 1e15 + 1, 50_000, 1e15));
        bytes4 deadline = DeadlineOutOfBounds.selector;
        uint256 latest = START + 365 days;
        _refusesTerms(provider, AMOUNT, START, WINDOW, abi.encodeWithSelector(deadline, START, START + 1, latest));
        _refusesTerms(
            provider, AMOUNT, latest + 1, WINDOW, abi.encodeWithSelector(deadline, latest + 1, START + 1, latest)
        );
        bytes4 window = DisputeWindowOutOfBounds.selector;
        _refusesTerms(provider, AMOUNT, DEADLINE, 3_599, abi.encodeWithSelector(window, 3_599, 1 hours, 30 days));
        _refusesTerms(
            provider, AMOUNT, DEADLINE, 30 days + 1, abi.encodeWithSelector(window, 30 days + 1, 1 hours, 30 days)
        );
        _no(
            STRANGER,
            abi.encodeCall(kernel.createTransaction, (provider, requester, AMOUNT, DEADLINE, WINDOW, SERVICE, 0, 0)),
            abi.encodeWithSelector(NotRequester.selector, STRANGER, requester)
        );
    }

    function _refusesTerms(address to, uint256 amount, uint256 deadline, uint256 window, bytes memory refusal) private {
        Order memory order = Order(to, amount, deadline, window, SERVICE, 0);
        Order[] memory orders = new Order[](1);
        orders[0] = order;
        _no(
            requester,
            abi.encodeCall(kernel.createTransaction, (to, requester, amount, deadline, window, SERVICE, 0, 0)),
            refusal
        );
        _no(requester, abi.encodeCall(kernel.createFunded, (order)), refusal);
        _no(requester, abi.encodeCall(kernel.createFundedBatch, (orders)), refusal);
        _no(requester, abi.encodeCall(kernel.createSalted, (order, _usualClauses())), refusal);
    }

    function test_the_bounds_themselves_are_accepted() public {
        Order memory order = Order(provider, 50_000, START + 1, 1 hours, 0, bytes32(uint256(1)));
        _ok(requester, abi.encodeCall(kernel.createFunded, (order)));
        order = Order(provider, 1e15, START + 365 days, 30 days, 0, bytes32(uint256(2)));
        _ok(requester, abi.encodeCall(kernel.createFunded, (order)));
    }

    function test_quote_accept_and_link() public {
        bytes32 id = _created();
        bytes memory quote = abi.encode(bytes32(uint256(9)));
        _no(requester, _to(id, State.QUOTED, quote), abi.encodeWithSelector(NotProvider.selector, requester, provider));
        _no(provider, _to(id, State.QUOTED, hex"01"), abi.encodeWithSelector(InvalidProof.selector, 1));
        _no(provider, _to(id, State.QUOTED, new bytes(32)), abi.encodeWithSelector(InvalidProof.selector, 32));
        _no(
            requester,
            abi.encodeCall(kernel.acceptQuote, (id, AMOUNT)),
            abi.encodeWithSelector(WrongState.selector, State.INITIATED, State.QUOTED)
        );
        _ok(provider, _to(id, State.QUOTED, quote));
        _sawMove(id, State.INITIATED, State.QUOTED, provider);
        require(kernel.getTransaction(id).metadata == bytes32(uint256(9)), "quote hash");
        _no(
            provider,
            _to(id, State.QUOTED, quote),
            abi.encodeWithSelector(InvalidTransition.selector, State.QUOTED, State.QUOTED)
        );
        bytes memory accept = abi.encodeCall(kernel.acceptQuote, (id, 2 * AMOUNT));
        _no(provider, accept, abi.encodeWithSelector(NotRequester.selector, provider, requester));
        _no(
            requester,
            abi.encodeCall(kernel.acceptQuote, (id, 49_999)),
            abi.encodeWithSelector(AmountOutOfBounds.selector, 49_999, 50_000, 1e15)
        );
        // The fee of today applies to the new price; penalty and bond stay.
        _ok(admin, abi.encodeCall(kernel.updateDisputeBondBps, (900)));
        vm.warp(START + 5);
        _ok(requester, accept);
        _saw(QuoteAccepted.selector, id, abi.encode(AMOUNT, 2 * AMOUNT, START + 5));
        TransactionView memory job = kernel.getTransaction(id);
        require(job.amount == 2 * AMOUNT && job.disputeBondBpsLocked == 500 && job.updatedAt == START + 5, "accepted");
        require(job.createdAt == START && job.requester == requester, "terms kept");

        bytes memory link = abi.encodeCall(kernel.linkEscrow, (id, address(vault), id));
        _no(provider, link, abi.encodeWithSelector(NotRequester.selector, provider, requester));
        _no(
            requester,
            abi.encodeCall(kernel.linkEscrow, (id, STRANGER, id)),
            abi.encodeWithSelector(VaultNotApproved.selector, STRANGER)
        );
        _ok(requester, link);
        _sawMove(id, State.QUOTED, State.COMMITTED, requester);
        _saw(EscrowLinked.selector, id, abi.encode(vault, id, 2 * AMOUNT, block.timestamp));
        bytes memory topics = abi.encodePacked(IEscrowVault.EscrowCreated.selector, id, abi.encode(requester, provider));
        _find(address(vault), topics, abi.encode(2 * AMOUNT));
        require(token.balanceOf(address(vault)) == 2 * AMOUNT && vault.remaining(id) == 2 * AMOUNT, "funded");
        job = kernel.getTransaction(id);
        require(job.escrowContract == address(vault) && job.escrowId == id, "escrow");
        _no(
            requester, link, abi.encodeWithSelector(InvalidTransition.selector, State.COMMITTED, State.COMMITTED)
        );
    }

    function test_a_quote_accepted_again_keeps_the_rates_of_the_creation() public {
        bytes32 id = _created();
        _step(provider, id, State.QUOTED);
        bytes memory accept = abi.encodeCall(kernel.acceptQuote, (id, 2 * AMOUNT));
        _ok(requester, accept);
        for (uint16 bond = 900; bond <= 1_000; bond += 100) {
            _ok(admin, abi.encodeCall(kernel.updateDisputeBondBps, (bond)));
            _ok(requester, accept);
            require(kernel.getTransaction(id).disputeBondBpsLocked == 500, "the bond of the creation");
        }
        vm.warp(DEADLINE);
        _ok(requester, accept);
        vm.warp(DEADLINE + 1);
        _no(requester, accept, abi.encodeWithSelector(DeadlinePassed.selector, DEADLINE, DEADLINE + 1));
    }

    function test_a_payment_older_than_the_vault_does_not_pay_the_vault() public {
        _deployKernel(address(token), _usual());
        vault = _newVault(address(token));
        provider = address(vault);
        bytes32 id = _created();
        _ok(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), true)));
        _no(
            requester,
            abi.encodeCall(kernel.linkEscrow, (id, address(vault), id)),
            abi.encodeWithSelector(InvalidProvider.selector, vault)
        );
    }

    function test_an_escrow_id_of_ones_own_is_taken_once() public {
        bytes32 id = _created();
        bytes32 other = _created();
        bytes32 name = bytes32(uint256(77));
        bytes4 taken = EscrowIdTaken.selector;
        _no(requester, abi.encodeCall(kernel.linkEscrow, (id, address(vault), 0)), abi.encodeWithSelector(taken, 0));
        _no(
            requester,
            abi.encodeCall(kernel.linkEscrow, (id, address(vault), other)),
            abi.encodeWithSelector(taken, other)
        );
        _ok(requester, abi.encodeCall(kernel.linkEscrow, (id, address(vault), name)));
        require(kernel.getTransaction(id).escrowId == name && vault.remaining(name) == AMOUNT, "alias");
        _no(
            requester,
            abi.encodeCall(kernel.linkEscrow, (other, address(vault), name)),
            abi.encodeWithSelector(taken, name)
        );
        _step(provider, id, State.DELIVERED);
        _step(requester, id, State.SETTLED);
        _find(address(vault), abi.encodePacked(IEscrowVault.EscrowCompleted.selector, name), "");
    }

    function test_nothing_new_while_paused_late_or_unapproved() public {
        bytes32 id = _created();
        bytes memory create = abi.encodeCall(kernel.createFunded, (_order(1)));
        bytes memory link = abi.encodeCall(kernel.linkEscrow, (id, address(vault), id));
        Order[] memory orders = new Order[](1);
        orders[0] = _order(1);
        bytes memory batch = abi.encodeCall(kernel.createFundedBatch, (orders));
        bytes memory with = abi.encodeCall(kernel.createFundedWith, (_order(1), _usualClauses()));
        _ok(pauser, abi.encodeCall(kernel.pause, ()));
        bytes memory paused = abi.encodeWithSelector(KernelIsPaused.selector);
        _no(requester, create, paused);
        _no(requester, link, paused);
        _no(requester, batch, paused);
        _no(requester, with, paused);
        _ok(pauser, abi.encodeCall(kernel.unpause, ()));
        _ok(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), false)));
        bytes memory unapproved = abi.encodeWithSelector(VaultNotApproved.selector, vault);
        _no(requester, create, unapproved);
        _no(requester, link, unapproved);
        _no(requester, batch, unapproved);
        _no(requester, with, unapproved);
        _ok(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), true)));
        vm.warp(DEADLINE + 1);
        bytes memory late = abi.encodeWithSelector(DeadlinePassed.selector, DEADLINE, DEADLINE + 1);
        _no(requester, link, late);
        _no(provider, _to(id, State.QUOTED, ""), late);
        _no(
            requester,
            _to(id, State.COMMITTED, ""),
            abi.encodeWithSelector(InvalidTransition.selector, State.INITIATED, State.COMMITTED)
        );
        _no(STRANGER, _to(id, State.CANCELLED, ""), abi.encodeWithSelector(NotRequester.selector, STRANGER, requester));
        _step(requester, id, State.CANCELLED);
        _sawMove(id, State.INITIATED, State.CANCELLED, requester);
        bytes32 unknown = bytes32(uint256(123));
        _no(requester, _to(unknown, State.SETTLED, ""), abi.encodeWithSelector(UnknownTransaction.selector, unknown));
        _no(provider, _to(unknown, State.IN_PROGRESS, ""), abi.encodeWithSelector(UnknownTransaction.selector, unknown));
    }

    function test_create_funded_and_the_same_salt_again() public {
        bytes32 id = _funded(5);
        require(id == _saltedId(requester, 5), "id");
        require(logs[0].topics[0] == TransactionCreated.selector && logs[0].topics[1] == id, "first log");
        _sawMove(id, State.INITIATED, State.COMMITTED, requester);
        _saw(EscrowLinked.selector, id, abi.encode(vault, id, AMOUNT, START));
        require(vault.remaining(id) == AMOUNT && token.balanceOf(address(vault)) == AMOUNT, "funded");
        (bool valid, uint256 held) = vault.verifyEscrow(id, requester, provider, AMOUNT);
        require(valid && held == AMOUNT, "verified");
        TransactionView memory job = kernel.getTransaction(id);
        require(job.serviceHash == SERVICE && job.deadline == DEADLINE && job.disputeWindow == WINDOW, "terms");
        bytes memory used = abi.encodeWithSelector(SaltUsed.selector, id, bytes32(uint256(5)));
        _no(requester, abi.encodeCall(kernel.createFunded, (_order(5))), used);
        _no(requester, abi.encodeCall(kernel.createFundedWith, (_order(5), _usualClauses())), used);
        // Somebody else's salt is another payment.
        _ok(STRANGER, abi.encodeCall(kernel.createFunded, (_order(5))));
    }

    function test_batch_pulls_once_and_opens_all() public {
        Order[] memory orders = new Order[](3);
        for (uint256 index = 0; index < 3; ++index) {
            orders[index] = _order(index);
        }
        orders[2].amount = 3 * AMOUNT;
        bytes32[] memory ids =
            abi.decode(_ok(requester, abi.encodeCall(kernel.createFundedBatch, (orders))), (bytes32[]));
        require(token.balanceOf(address(vault)) == 5 * AMOUNT, "sum");
        for (uint256 index = 0; index < 3; ++index) {
            require(ids[index] == _saltedId(requester, index), "id");
            require(vault.remaining(ids[index]) == orders[index].amount, "escrow");
            _sawMove(ids[index], State.INITIATED, State.COMMITTED, requester);
        }
    }

    function test_clauses_and_schedule_are_kept() public {
        Clauses memory clauses = _usualClauses();
        bytes32 plain = abi.decode(
            _ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), clauses))), (bytes32)
        );
        require(kernel.milestonesOf(plain).length == 0, "no schedule");
        clauses = Clauses(ARBITER, 2_500, 21, 22, new Milestone[](2));
        clauses.milestones[0] = Milestone(AMOUNT / 4, START + 1 days, bytes32(uint256(1)));
        clauses.milestones[1] = Milestone(AMOUNT - AMOUNT / 4, DEADLINE, bytes32(uint256(2)));
        bytes32 id = abi.decode(
            _ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(2), clauses))), (bytes32)
        );
        _saw(ClausesAgreed.selector, id, ARBITER, abi.encode(2_500));
        bytes memory topics = abi.encodePacked(MilestoneScheduled.selector, id, uint256(0));
        _find(address(kernel), topics, abi.encode(AMOUNT / 4, START + 1 days, bytes32(uint256(1))));
        (address arbiter, uint256 share) = kernel.clausesOf(id);
        require(arbiter == ARBITER && share == 2_500, "clauses");
        MilestoneView[] memory parts = kernel.milestonesOf(id);
        require(parts.length == 2 && parts[0].amount == AMOUNT / 4 && parts[0].deadline == START + 1 days, "part");
        require(parts[1].conditionHash == bytes32(uint256(2)) && parts[1].status == MilestoneStatus.LOCKED, "part");
        require(kernel.getTransaction(id).agentId == 21 && kernel.getTransaction(id).requesterAgentId == 22, "agents");
        require(vault.remaining(id) == AMOUNT, "funded");

        bytes32 later = abi.decode(
            _ok(requester, abi.encodeCall(kernel.createSalted, (_order(3), clauses))), (bytes32)
        );
        require(later == _saltedId(requester, 3) && kernel.getTransaction(later).state == State.INITIATED, "later");
        _step(provider, later, State.QUOTED);
        _no(
            requester,
            abi.encodeCall(kernel.acceptQuote, (later, AMOUNT)),
            abi.encodeWithSelector(ScheduleAgreed.selector, later)
        );
    }

    function test_usual_clauses_are_not_told() public {
        _ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), _usualClauses())));
        for (uint256 index = 0; index < logs.length; ++index) {
            require(logs[index].topics[0] != ClausesAgreed.selector, "nothing was agreed");
        }
    }

    function test_a_later_record_of_rates_is_kept_as_well_as_the_first() public {
        _ok(admin, abi.encodeCall(kernel.updateDisputeBondBps, (700)));
        bytes32 id = _created();
        _step(provider, id, State.QUOTED);
        _ok(admin, abi.encodeCall(kernel.updateDisputeBondBps, (900)));
        _ok(requester, abi.encodeCall(kernel.acceptQuote, (id, AMOUNT)));
        require(kernel.getTransaction(id).disputeBondBpsLocked == 700, "the bond of the creation");
    }

    function test_bad_clauses_are_refused() public {
        Clauses memory clauses = _usualClauses();
        clauses.timeoutRequesterBps = 10_001;
        _refusesClauses(clauses, abi.encodeWithSelector(ShareTooHigh.selector, 10_001, 10_000));
        clauses.timeoutRequesterBps = 10_000;
        clauses.arbiter = requester;
        _refusesClauses(clauses, abi.encodeWithSelector(InvalidArbiter.selector, requester));
        clauses.arbiter = provider;
        _refusesClauses(clauses, abi.encodeWithSelector(InvalidArbiter.selector, provider));
        clauses.arbiter = address(0);
        clauses.milestones = new Milestone[](1);
        clauses.milestones[0] = Milestone(AMOUNT - 1, DEADLINE, 0);
        _refusesClauses(clauses, abi.encodeWithSelector(ScheduleMismatch.selector, AMOUNT - 1, AMOUNT));
        clauses.milestones[0] = Milestone(AMOUNT, DEADLINE + 1, 0);
        bytes4 late = MilestoneDeadlineOutOfBounds.selector;
        _refusesClauses(clauses, abi.encodeWithSelector(late, 0, DEADLINE + 1, START + 1, DEADLINE));
        clauses.milestones[0] = Milestone(AMOUNT, START, 0);
        _refusesClauses(clauses, abi.encodeWithSelector(late, 0, START, START + 1, DEADLINE));
        clauses.milestones[0] = Milestone(49_999, DEADLINE, 0);
        _refusesClauses(clauses, abi.encodeWithSelector(AmountOutOfBounds.selector, 49_999, 50_000, 1e15));
        clauses.milestones = new Milestone[](65);
        _refusesClauses(clauses, abi.encodeWithSelector(TooManyMilestones.selector, 65, 64));
    }

    function _refusesClauses(Clauses memory clauses, bytes memory refusal) private {
        _no(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), clauses)), refusal);
    }

    function test_permit_funds_and_a_used_one_does_no_harm() public {
        address payer = vm.addr(3);
        token.mint(payer, AMOUNT);
        bytes32 permit = keccak256(
            abi.encode(token.PERMIT_TYPEHASH(), payer, address(vault), AMOUNT, token.nonces(payer), START + 1)
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(3, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), permit)));
        bytes memory data = abi.encodeCall(
            kernel.createFundedWithPermit, (_order(1), _usualClauses(), Permit(AMOUNT, START + 1, v, r, s))
        );
        bytes32 id = abi.decode(_ok(payer, data), (bytes32));
        require(id == _saltedId(payer, 1) && vault.remaining(id) == AMOUNT, "funded by permit");
        data = abi.encodeCall(
            kernel.createFundedWithPermit, (_order(2), _usualClauses(), Permit(AMOUNT, START + 1, v, r, s))
        );
        _ok(requester, data);
        _ok(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), false)));
        data = abi.encodeCall(
            kernel.createFundedWithPermit, (_order(3), _usualClauses(), Permit(AMOUNT, START + 1, v, r, s))
        );
        _no(requester, data, abi.encodeWithSelector(VaultNotApproved.selector, vault));
    }

    function test_a_relayer_funds_for_a_payer_and_changes_nothing() public {
        address payer = vm.addr(3);
        token.mint(payer, AMOUNT);
        Order memory order = _order(1);
        Clauses memory clauses = _usualClauses();
        bytes32 nonce = keccak256(abi.encode(block.chainid, address(kernel), payer, order, clauses));
        Authorization memory signed = Authorization(START - 1, START + 1, _authorization(3, payer, nonce));
        order.provider = STRANGER;
        bytes memory wrong = abi.encodeWithSignature("InvalidSignature(address)", payer);
        _no(STRANGER, abi.encodeCall(kernel.createFundedWithAuthorization, (payer, order, clauses, signed)), wrong);
        order.provider = provider;
        bytes memory data = abi.encodeCall(kernel.createFundedWithAuthorization, (payer, order, clauses, signed));
        _ok(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), false)));
        _no(STRANGER, data, abi.encodeWithSelector(VaultNotApproved.selector, vault));
        _ok(admin, abi.encodeCall(kernel.approveEscrowVault, (address(vault), true)));
        bytes32 id = abi.decode(_ok(STRANGER, data), (bytes32));
        require(id == _saltedId(payer, 1) && kernel.getTransaction(id).requester == payer, "payer");
        require(vault.remaining(id) == AMOUNT && token.balanceOf(payer) == 0, "paid");
        bytes memory topics = abi.encodePacked(IEscrowVault.EscrowCreated.selector, id, abi.encode(payer, provider));
        _find(address(vault), topics, abi.encode(AMOUNT));
        _no(STRANGER, data, abi.encodeWithSelector(SaltUsed.selector, id, bytes32(uint256(1))));
    }

    function _authorization(uint256 key, address payer, bytes32 nonce) private view returns (bytes memory) {
        bytes32 transfer = keccak256(
            abi.encode(
                token.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(), payer, address(vault), AMOUNT, START - 1, START + 1, nonce
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), transfer)));
        return abi.encodePacked(r, s, v);
    }
}
