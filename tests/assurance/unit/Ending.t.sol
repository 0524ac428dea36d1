// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEscrowVault} from "../../../contracts/interfaces/IEscrowVault.sol";
import {vm} from "../base/Vm.sol";
import {Stage} from "./Stage.sol";

/// @title Work, and how payments end without a dispute
contract EndingTest is Stage {
    uint256 private constant FEE = AMOUNT / 100;

    function test_start_and_deliver() public {
        bytes32 id = _funded(1);
        bytes memory start = _to(id, State.IN_PROGRESS, "");
        bytes memory deliver = _to(id, State.DELIVERED, "");
        bytes memory notProvider = abi.encodeWithSelector(NotProvider.selector, requester, provider);
        _no(requester, start, notProvider);
        _no(requester, deliver, notProvider);
        _ok(provider, start);
        _sawMove(id, State.COMMITTED, State.IN_PROGRESS, provider);
        _no(
            provider, start, abi.encodeWithSelector(InvalidTransition.selector, State.IN_PROGRESS, State.IN_PROGRESS)
        );
        _no(provider, _to(id, State.DELIVERED, hex"00"), abi.encodeWithSelector(InvalidProof.selector, 1));
        bytes memory tooLong = abi.encode(30 days + 1);
        _no(
            provider,
            _to(id, State.DELIVERED, tooLong),
            abi.encodeWithSelector(DisputeWindowOutOfBounds.selector, 30 days + 1, 1 hours, 30 days)
        );
        vm.warp(START + 1 hours);
        _ok(provider, _to(id, State.DELIVERED, abi.encode(3 days)));
        _sawMove(id, State.IN_PROGRESS, State.DELIVERED, provider);
        require(kernel.getTransaction(id).disputeWindow == START + 1 hours + 3 days, "lengthened");
        require(kernel.getTransaction(id).deadline == DEADLINE, "deadline kept");
        _no(
            provider, deliver, abi.encodeWithSelector(InvalidTransition.selector, State.DELIVERED, State.DELIVERED)
        );

        bytes32 other = _funded(2);
        _ok(provider, _to(other, State.DELIVERED, abi.encode(1 hours)));
        _sawMove(other, State.COMMITTED, State.DELIVERED, provider);
        require(kernel.getTransaction(other).disputeWindow == block.timestamp + WINDOW, "never shorter");

        bytes32 late = _funded(3);
        vm.warp(DEADLINE + 1);
        bytes memory passed = abi.encodeWithSelector(DeadlinePassed.selector, DEADLINE, DEADLINE + 1);
        _no(provider, _to(late, State.IN_PROGRESS, ""), passed);
        _no(provider, _to(late, State.DELIVERED, ""), passed);
    }

    function test_settle_pays_once_and_not_early() public {
        bytes32 id = _delivered(1);
        vm.warp(START + WINDOW);
        bytes memory release = abi.encodeCall(kernel.releaseEscrow, (id));
        _no(STRANGER, release, abi.encodeWithSelector(WindowOpen.selector, START + WINDOW, START + WINDOW));
        _no(provider, release, abi.encodeWithSelector(WindowOpen.selector, START + WINDOW, START + WINDOW));
        _ok(requester, _to(id, State.SETTLED, ""));
        _sawMove(id, State.DELIVERED, State.SETTLED, requester);
        _saw(PlatformFeeAccrued.selector, id, feeRecipient, abi.encode(FEE, block.timestamp));
        _saw(EscrowReleased.selector, id, abi.encode(provider, AMOUNT - FEE, block.timestamp));
        _find(
            address(vault),
            abi.encodePacked(IEscrowVault.EscrowPayout.selector, id, abi.encode(provider)),
            abi.encode(AMOUNT - FEE)
        );
        _find(address(vault), abi.encodePacked(IEscrowVault.EscrowCompleted.selector, id), "");
        _sent(provider, AMOUNT - FEE);
        require(kernel.accruedFees() == FEE, "fee");
        (,, uint256 received, uint256 released, bool active) = kernel.escrowOf(id);
        require(received == AMOUNT && released == AMOUNT && !active, "closed");
        (bool valid,) = vault.verifyEscrow(id, requester, provider, 0);
        require(!valid, "no escrow any more");
        _no(
            requester,
            _to(id, State.SETTLED, ""),
            abi.encodeWithSelector(InvalidTransition.selector, State.SETTLED, State.SETTLED)
        );
        _empty();

        bytes32 other = _delivered(2);
        vm.warp(block.timestamp + WINDOW + 1);
        _ok(STRANGER, abi.encodeCall(kernel.releaseEscrow, (other)));
        _sawMove(other, State.DELIVERED, State.SETTLED, STRANGER);
        _sent(provider, AMOUNT - FEE);
        bytes32 open = _started(3);
        _no(
            requester,
            _to(open, State.SETTLED, ""),
            abi.encodeWithSelector(InvalidTransition.selector, State.IN_PROGRESS, State.SETTLED)
        );
    }

    function test_attestation_once_by_a_party_after_delivery() public {
        bytes32 id = _started(1);
        bytes32 uid = bytes32(uint256(3));
        bytes memory anchor = abi.encodeCall(kernel.anchorAttestation, (id, uid));
        _no(provider, anchor, abi.encodeWithSelector(WrongState.selector, State.IN_PROGRESS, State.DELIVERED));
        _step(provider, id, State.DELIVERED);
        _no(STRANGER, anchor, abi.encodeWithSelector(NotParty.selector, STRANGER));
        bytes memory none = abi.encodeCall(kernel.anchorAttestation, (id, 0));
        _no(provider, none, abi.encodeWithSelector(AttestationRefused.selector, 0, 0));
        _ok(provider, anchor);
        bytes memory topics = abi.encodePacked(AttestationAnchored.selector, id, uid);
        _find(address(kernel), topics, abi.encode(provider, block.timestamp));
        require(kernel.getTransaction(id).attestationUID == uid, "kept");
        _no(requester, anchor, abi.encodeWithSelector(AttestationRefused.selector, uid, uid));
    }

    function test_batches_skip_what_is_not_due() public {
        bytes32[] memory ids = new bytes32[](5);
        ids[0] = _funded(1);
        ids[1] = _started(2);
        ids[2] = _disputed(3);
        ids[3] = bytes32(uint256(99));
        ids[4] = ids[0];
        bytes memory deliver = abi.encodeCall(kernel.deliverBatch, (ids));
        require(abi.decode(_ok(STRANGER, deliver), (uint256)) == 0, "not the provider");
        _saw(BatchItemSkipped.selector, ids[1], abi.encode(1, NotProvider.selector));
        require(abi.decode(_ok(provider, deliver), (uint256)) == 2, "two delivered");
        _sawMove(ids[0], State.COMMITTED, State.DELIVERED, provider);
        _sawMove(ids[1], State.IN_PROGRESS, State.DELIVERED, provider);
        _saw(BatchItemSkipped.selector, ids[2], abi.encode(2, InvalidTransition.selector));
        _saw(BatchItemSkipped.selector, ids[3], abi.encode(3, UnknownTransaction.selector));
        _saw(BatchItemSkipped.selector, ids[4], abi.encode(4, InvalidTransition.selector));
        require(kernel.getTransaction(ids[0]).disputeWindow == START + WINDOW, "agreed window");
        bytes32 late = _funded(4);
        vm.warp(DEADLINE + 1);
        ids = new bytes32[](1);
        ids[0] = late;
        require(abi.decode(_ok(provider, abi.encodeCall(kernel.deliverBatch, (ids))), (uint256)) == 0, "late");
        _saw(BatchItemSkipped.selector, late, abi.encode(0, DeadlinePassed.selector));
    }

    function test_net_settlement_pays_each_payee_once() public {
        bytes32[] memory ids = new bytes32[](7);
        ids[0] = _delivered(1);
        Order memory order = _order(2);
        order.provider = STRANGER;
        ids[1] = abi.decode(_ok(requester, abi.encodeCall(kernel.createFunded, (order))), (bytes32));
        _step(STRANGER, ids[1], State.DELIVERED);
        ids[2] = _delivered(3);
        ids[3] = _started(4);
        ids[4] = _delivered(5);
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (ids[4], requester)));
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (ids[4], provider)));
        ids[5] = bytes32(uint256(99));
        ids[6] = ids[0];
        bytes memory settle = abi.encodeCall(kernel.settleBatch, (ids));
        require(abi.decode(_ok(STRANGER, settle), (uint256)) == 0, "window is open");
        _saw(BatchItemSkipped.selector, ids[0], abi.encode(0, WindowOpen.selector));
        // An older fee applies to what was created under it.
        _ok(admin, abi.encodeCall(kernel.scheduleEconomicParams, (500, 500)));
        vm.warp(START + 3 days);
        _ok(STRANGER, abi.encodeCall(kernel.executeEconomicParamsUpdate, ()));
        uint256 before = token.balanceOf(STRANGER);
        require(abi.decode(_ok(STRANGER, settle), (uint256)) == 4, "four settled");
        _saw(BatchItemSkipped.selector, ids[3], abi.encode(3, InvalidTransition.selector));
        _saw(BatchItemSkipped.selector, ids[5], abi.encode(5, UnknownTransaction.selector));
        _saw(BatchItemSkipped.selector, ids[6], abi.encode(6, InvalidTransition.selector));
        _sawMove(ids[0], State.DELIVERED, State.SETTLED, STRANGER);
        _sawMove(ids[4], State.DELIVERED, State.SETTLED, STRANGER);
        _saw(PlatformFeeAccrued.selector, ids[2], feeRecipient, abi.encode(FEE, block.timestamp));
        _saw(EscrowReleased.selector, ids[2], abi.encode(provider, AMOUNT - FEE, block.timestamp));
        _sent(provider, 3 * (AMOUNT - FEE));
        require(token.balanceOf(STRANGER) - before == AMOUNT - FEE, "the other payee");
        require(kernel.credits(STRANGER) == 2 * 5 * USDC, "bonds that were not needed");
        require(kernel.accruedFees() == 4 * FEE, "fees");
    }

    function test_without_rates_nobody_takes_a_fee() public {
        _deploy(Economics(0, 0, 0, 0, 0));
        _fund(requester);
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = _delivered(1);
        _ok(requester, abi.encodeCall(kernel.settleBatch, (ids)));
        _sent(provider, AMOUNT);
        require(logs.length == 4, "moved, released, transferred, told by the vault: and no fee");
        _step(requester, _delivered(2), State.SETTLED);
        _sent(provider, AMOUNT);
        require(kernel.accruedFees() == 0 && logs.length == 5, "no fee");
    }

    function test_a_refused_push_becomes_a_credit_of_the_payee() public {
        bytes32 id = _delivered(1);
        token.blacklist(provider);
        _step(requester, id, State.SETTLED);
        _saw(CreditAccrued.selector, id, provider, abi.encode(AMOUNT - FEE));
        require(kernel.credits(provider) == AMOUNT - FEE, "credit");
        bytes memory withdraw = abi.encodeCall(kernel.withdrawCredit, (provider));
        _no(STRANGER, withdraw, abi.encodeWithSelector(PushRefused.selector, provider, AMOUNT - FEE));
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = _delivered(2);
        _ok(requester, abi.encodeCall(kernel.settleBatch, (ids)));
        _saw(CreditAccrued.selector, 0, provider, abi.encode(AMOUNT - FEE));
        token.unBlacklist(provider);
        _ok(STRANGER, withdraw);
        _saw(CreditWithdrawn.selector, provider, abi.encode(STRANGER, 2 * (AMOUNT - FEE)));
        _sent(provider, 2 * (AMOUNT - FEE));
        _no(STRANGER, withdraw, abi.encodeWithSelector(NothingToWithdraw.selector, provider));
    }

    function test_fees_are_pulled_by_their_recipient() public {
        bytes memory withdraw = abi.encodeCall(kernel.withdrawFees, ());
        _no(feeRecipient, withdraw, abi.encodeWithSelector(NothingToWithdraw.selector, feeRecipient));
        _step(requester, _delivered(1), State.SETTLED);
        _no(STRANGER, withdraw, abi.encodeWithSelector(NotFeeRecipient.selector, STRANGER, feeRecipient));
        token.blacklist(feeRecipient);
        _no(feeRecipient, withdraw, abi.encodeWithSelector(PushRefused.selector, feeRecipient, FEE));
        token.unBlacklist(feeRecipient);
        _ok(feeRecipient, withdraw);
        _saw(FeesWithdrawn.selector, feeRecipient, abi.encode(FEE));
        _sent(feeRecipient, FEE);
        require(kernel.accruedFees() == 0 && token.balanceOf(address(vault)) == 0, "nothing left");
    }

    function test_the_minimum_fee_is_at_most_the_payout() public {
        Order memory order = _order(1);
        order.amount = 60_000;
        bytes32 id = abi.decode(_ok(requester, abi.encodeCall(kernel.createFunded, (order))), (bytes32));
        _step(provider, id, State.DELIVERED);
        _step(requester, id, State.SETTLED);
        _saw(EscrowReleased.selector, id, abi.encode(provider, 10_000, START));
        bytes32 other = _started(2);
        _ok(requester, abi.encodeCall(kernel.releaseMilestone, (other, AMOUNT - 20_000)));
        _ok(requester, abi.encodeCall(kernel.releaseMilestone, (other, 20_000)));
        _saw(PlatformFeeAccrued.selector, other, feeRecipient, abi.encode(20_000, START));
    }

    function test_cancel_by_provider_requester_and_anyone() public {
        bytes32 id = _funded(1);
        _step(provider, id, State.CANCELLED);
        _sawMove(id, State.COMMITTED, State.CANCELLED, provider);
        _saw(EscrowRefunded.selector, id, abi.encode(requester, AMOUNT, START));
        _sent(requester, AMOUNT);
        id = _started(2);
        bytes32 other = _funded(3);
        bytes32 done = _delivered(4);
        vm.warp(DEADLINE);
        bytes memory cancel = _to(id, State.CANCELLED, "");
        _no(requester, cancel, abi.encodeWithSelector(RefundNotDue.selector, DEADLINE, DEADLINE));
        vm.warp(DEADLINE + 1);
        _ok(requester, cancel);
        _sawMove(id, State.IN_PROGRESS, State.CANCELLED, requester);
        _sent(requester, AMOUNT);
        uint256 due = DEADLINE + 7 days;
        vm.warp(due);
        cancel = _to(other, State.CANCELLED, "");
        _no(STRANGER, cancel, abi.encodeWithSelector(RefundNotDue.selector, due, due));
        vm.warp(due + 1);
        _ok(STRANGER, cancel);
        _sent(requester, AMOUNT);
        _no(
            requester,
            _to(done, State.CANCELLED, ""),
            abi.encodeWithSelector(InvalidTransition.selector, State.DELIVERED, State.CANCELLED)
        );
    }

    function test_walking_away_takes_notice_and_costs_the_penalty() public {
        bytes32 id = _funded(1);
        bytes memory announce = abi.encodeCall(kernel.announceCancellation, (id));
        bytes memory leave = abi.encodeCall(kernel.cancelEarly, (id));
        bytes memory notRequester = abi.encodeWithSelector(NotRequester.selector, provider, requester);
        _no(provider, announce, notRequester);
        _no(provider, leave, notRequester);
        _no(requester, leave, abi.encodeWithSelector(NoCancellationAnnounced.selector, id));
        _ok(requester, announce);
        _saw(CancellationAnnounced.selector, id, abi.encode(START + 1 hours));
        require(kernel.cancellationEffectiveAt(id) == START + 1 hours, "effective");
        vm.warp(START + 1 hours - 1);
        _no(requester, leave, abi.encodeWithSelector(NoticeRunning.selector, START + 1 hours, START + 1 hours - 1));
        uint256 end = START + 1 hours + 1 days;
        vm.warp(end + 1);
        _no(requester, leave, abi.encodeWithSelector(CancellationLapsed.selector, end, end + 1));
        vm.warp(START + 1 hours);
        _ok(requester, leave);
        _sawMove(id, State.COMMITTED, State.CANCELLED, requester);
        _saw(PenaltyPaid.selector, id, provider, abi.encode(AMOUNT / 20));
        _saw(EscrowRefunded.selector, id, abi.encode(requester, AMOUNT - AMOUNT / 20, block.timestamp));
        _sent(provider, AMOUNT / 20);
        _sent(requester, AMOUNT - AMOUNT / 20);
        _empty();
        id = _started(2);
        bytes memory wrong = abi.encodeWithSelector(WrongState.selector, State.IN_PROGRESS, State.COMMITTED);
        _no(requester, abi.encodeCall(kernel.announceCancellation, (id)), wrong);
        _no(requester, abi.encodeCall(kernel.cancelEarly, (id)), wrong);
        id = _funded(3);
        vm.warp(DEADLINE);
        _ok(requester, abi.encodeCall(kernel.announceCancellation, (id)));
        vm.warp(DEADLINE + 1 hours);
        _ok(requester, abi.encodeCall(kernel.cancelEarly, (id)));
        _sent(requester, AMOUNT);
    }

    function test_milestones_of_ones_choice() public {
        bytes32 id = _started(1);
        bytes memory half = abi.encodeCall(kernel.releaseMilestone, (id, AMOUNT / 2));
        _no(provider, half, abi.encodeWithSelector(NotRequester.selector, provider, requester));
        bytes4 bounds = MilestoneOutOfBounds.selector;
        _no(
            requester,
            abi.encodeCall(kernel.releaseMilestone, (id, 0)),
            abi.encodeWithSelector(bounds, 0, 50_000, AMOUNT)
        );
        _no(
            requester,
            abi.encodeCall(kernel.releaseMilestone, (id, AMOUNT + 1)),
            abi.encodeWithSelector(bounds, AMOUNT + 1, 50_000, AMOUNT)
        );
        _no(
            requester,
            abi.encodeCall(kernel.releaseMilestone, (id, 49_999)),
            abi.encodeWithSelector(bounds, 49_999, 50_000, AMOUNT)
        );
        vm.warp(START + 9);
        _ok(requester, half);
        _saw(EscrowMilestoneReleased.selector, id, abi.encode(AMOUNT / 2, START + 9));
        _sent(provider, AMOUNT / 2 - FEE / 2);
        require(vault.remaining(id) == AMOUNT / 2 && kernel.getTransaction(id).updatedAt == START + 9, "half");
        _ok(requester, half);
        _no(
            provider,
            _to(id, State.CANCELLED, ""),
            abi.encodeWithSelector(InvalidTransition.selector, State.IN_PROGRESS, State.CANCELLED)
        );
        _ok(STRANGER, abi.encodeCall(kernel.releaseEscrow, (id)));
        _sawMove(id, State.IN_PROGRESS, State.SETTLED, STRANGER);
        _empty();
        bytes32 funded = _funded(2);
        _no(
            requester,
            abi.encodeCall(kernel.releaseMilestone, (funded, AMOUNT)),
            abi.encodeWithSelector(WrongState.selector, State.COMMITTED, State.IN_PROGRESS)
        );
        bytes32 part = _started(3);
        _ok(requester, abi.encodeCall(kernel.releaseMilestone, (part, AMOUNT / 4)));
        _step(provider, part, State.CANCELLED);
        _sent(requester, AMOUNT - AMOUNT / 4);
    }

    function test_a_schedule_is_paid_by_index_once() public {
        bytes32 done = _delivered(9);
        Clauses memory clauses = _usualClauses();
        clauses.milestones = new Milestone[](3);
        clauses.milestones[0] = Milestone(AMOUNT / 4, START + 1 days, 0);
        clauses.milestones[1] = Milestone(AMOUNT / 4, START + 2 days, 0);
        clauses.milestones[2] = Milestone(AMOUNT / 2, DEADLINE, 0);
        bytes32 id =
            abi.decode(_ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), clauses))), (bytes32));
        bytes memory pay = abi.encodeCall(kernel.payMilestone, (id, 0));
        _no(requester, pay, abi.encodeWithSelector(WrongState.selector, State.COMMITTED, State.IN_PROGRESS));
        _step(provider, id, State.IN_PROGRESS);
        _no(provider, pay, abi.encodeWithSelector(NotRequester.selector, provider, requester));
        _no(
            requester,
            abi.encodeCall(kernel.releaseMilestone, (id, AMOUNT)),
            abi.encodeWithSelector(ScheduleAgreed.selector, id)
        );
        _no(
            requester,
            abi.encodeCall(kernel.payMilestone, (id, 3)),
            abi.encodeWithSelector(UnknownMilestone.selector, 3, 3)
        );
        _ok(requester, pay);
        _find(address(kernel), abi.encodePacked(MilestonePaid.selector, id, uint256(0)), abi.encode(AMOUNT / 4));
        _saw(EscrowMilestoneReleased.selector, id, abi.encode(AMOUNT / 4, START));
        _sent(provider, AMOUNT / 4 - FEE / 4);
        require(kernel.milestonesOf(id)[0].status == MilestoneStatus.PAID, "paid");
        bytes memory again = abi.encodeWithSelector(MilestoneNotLocked.selector, 0, MilestoneStatus.PAID);
        _no(requester, pay, again);
        _no(requester, abi.encodeCall(kernel.refundMilestone, (id, 0)), again);

        bytes memory refund = abi.encodeCall(kernel.refundMilestone, (id, 1));
        vm.warp(START + 2 days);
        _no(requester, refund, abi.encodeWithSelector(RefundNotDue.selector, START + 2 days, START + 2 days));
        vm.warp(START + 2 days + 1);
        _ok(requester, refund);
        _find(address(kernel), abi.encodePacked(MilestoneRefunded.selector, id, uint256(1)), abi.encode(AMOUNT / 4));
        _saw(EscrowRefunded.selector, id, abi.encode(requester, AMOUNT / 4, block.timestamp));
        _sent(requester, AMOUNT / 4);
        require(vault.remaining(id) == AMOUNT / 2, "half is left");
        require(kernel.milestonesOf(id)[1].status == MilestoneStatus.REFUNDED, "refunded");
        require(kernel.getTransaction(id).updatedAt == START + 2 days + 1, "updated");
        uint256 due = DEADLINE + 7 days;
        vm.warp(due);
        refund = abi.encodeCall(kernel.refundMilestone, (id, 2));
        _no(STRANGER, refund, abi.encodeWithSelector(RefundNotDue.selector, due, due));
        vm.warp(due + 1);
        _ok(STRANGER, refund);
        _sent(requester, AMOUNT / 2);
        _ok(STRANGER, abi.encodeCall(kernel.releaseEscrow, (id)));
        _sawMove(id, State.IN_PROGRESS, State.SETTLED, STRANGER);
        require(token.balanceOf(address(vault)) == AMOUNT + kernel.accruedFees(), "only the other payment is left");
        _no(
            requester,
            abi.encodeCall(kernel.refundMilestone, (done, 0)),
            abi.encodeWithSelector(WrongState.selector, State.DELIVERED, State.IN_PROGRESS)
        );
    }

    function test_a_part_that_went_back_is_not_paid_as_well() public {
        Clauses memory clauses = _usualClauses();
        clauses.milestones = new Milestone[](2);
        clauses.milestones[0] = Milestone(AMOUNT / 2, START + 1, 0);
        clauses.milestones[1] = Milestone(AMOUNT / 2, START + 2, 0);
        bytes32[] memory ids = new bytes32[](3);
        for (uint256 index = 0; index < 3; ++index) {
            bytes memory create = abi.encodeCall(kernel.createFundedWith, (_order(index), clauses));
            ids[index] = abi.decode(_ok(requester, create), (bytes32));
        }
        vm.warp(START + 3);
        for (uint256 index = 0; index < 3; ++index) {
            _ok(requester, abi.encodeCall(kernel.refundMilestone, (ids[index], 0)));
        }
        _step(provider, ids[0], State.DELIVERED);
        _step(requester, ids[0], State.SETTLED);
        _sent(provider, (AMOUNT - FEE) / 2);
        _step(provider, ids[1], State.DELIVERED);
        bytes32[] memory one = new bytes32[](1);
        one[0] = ids[1];
        _ok(requester, abi.encodeCall(kernel.settleBatch, (one)));
        _sent(provider, (AMOUNT - FEE) / 2);
        _ok(requester, abi.encodeCall(kernel.refundMilestone, (ids[2], 1)));
        _ok(STRANGER, abi.encodeCall(kernel.releaseEscrow, (ids[2])));
        _sawMove(ids[2], State.COMMITTED, State.SETTLED, STRANGER);
        _empty();
    }

    function test_walking_away_from_a_schedule_shares_what_is_left() public {
        Clauses memory clauses = _usualClauses();
        clauses.milestones = new Milestone[](2);
        clauses.milestones[0] = Milestone(AMOUNT / 2, START + 1, 0);
        clauses.milestones[1] = Milestone(AMOUNT / 2, DEADLINE, 0);
        bytes32 id =
            abi.decode(_ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), clauses))), (bytes32));
        _ok(requester, abi.encodeCall(kernel.announceCancellation, (id)));
        vm.warp(START + 1 hours);
        _ok(requester, abi.encodeCall(kernel.refundMilestone, (id, 0)));
        _ok(requester, abi.encodeCall(kernel.cancelEarly, (id)));
        _sent(provider, AMOUNT / 40);
        _sent(requester, AMOUNT / 2 - AMOUNT / 40);
        _empty();
    }
}
