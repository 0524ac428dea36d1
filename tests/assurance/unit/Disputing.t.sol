// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {vm} from "../base/Vm.sol";
import {Stage} from "./Stage.sol";

/// @title Disputes, bonds, rulings, time-outs and consent
contract DisputingTest is Stage {
    uint256 private constant BOND = AMOUNT / 20;

    function test_a_dispute_takes_a_bond_in_the_window() public {
        bytes32 id = _funded(1);
        bytes memory dispute = _to(id, State.DISPUTED, "evidence");
        _no(
            requester,
            dispute,
            abi.encodeWithSelector(InvalidTransition.selector, State.COMMITTED, State.DISPUTED)
        );
        _step(provider, id, State.DELIVERED);
        _no(STRANGER, dispute, abi.encodeWithSelector(NotParty.selector, STRANGER));
        vm.warp(START + WINDOW + 1);
        _no(requester, dispute, abi.encodeWithSelector(WindowClosed.selector, START + WINDOW, START + WINDOW + 1));
        vm.warp(START + WINDOW);
        require(kernel.requiredBond(id) == BOND, "required");
        _ok(requester, dispute);
        _sawMove(id, State.DELIVERED, State.DISPUTED, requester);
        _sawBond(id, requester, requester);
        _saw(DisputeOpened.selector, id, requester, abi.encode(BOND, block.timestamp));
        TransactionView memory job = kernel.getTransaction(id);
        require(job.disputeInitiator == requester && job.disputeBond == BOND, "view");
        (Bond memory mine, Bond memory theirs, uint256 owed) = kernel.bondsOf(id);
        require(mine.poster == requester && mine.amount == BOND && theirs.amount == 0 && owed == 0, "bonds");
        require(token.balanceOf(address(vault)) == AMOUNT + BOND, "held");
        bytes32 other = _delivered(2);
        _ok(provider, _to(other, State.DISPUTED, ""));
        require(kernel.getTransaction(other).disputeInitiator == provider, "by provider");
        require(kernel.getTransaction(other).disputeBond == BOND, "by provider");
    }

    function test_the_smallest_bond_is_the_minimum() public {
        Order memory order = _order(1);
        order.amount = 50_000;
        bytes32 id = abi.decode(_ok(requester, abi.encodeCall(kernel.createFunded, (order))), (bytes32));
        require(kernel.requiredBond(id) == USDC, "minimum");
    }

    function test_a_party_without_money_gets_no_dispute_and_a_frozen_one_owes() public {
        bytes32 id = _delivered(1);
        vm.prank(requester);
        token.approve(address(vault), 1);
        _no(
            requester,
            _to(id, State.DISPUTED, ""),
            abi.encodeWithSignature(
                "BondNotPayable(address,uint256,uint256,uint256)", requester, BOND, token.balanceOf(requester), 1
            )
        );
        token.blacklist(requester);
        _ok(requester, _to(id, State.DISPUTED, ""));
        _saw(BondOwed.selector, id, requester, abi.encode(BOND));
        (,, uint256 owed) = kernel.bondsOf(id);
        require(owed == BOND, "owed");
        bytes memory post = abi.encodeCall(kernel.postBond, (id, requester));
        _no(requester, post, abi.encodeWithSelector(BondRefused.selector, requester, BOND));
        _no(
            STRANGER,
            abi.encodeCall(kernel.postBond, (id, provider)),
            abi.encodeWithSelector(BondNotWanted.selector, provider)
        );
        _no(STRANGER, abi.encodeCall(kernel.postBond, (id, STRANGER)), abi.encodeWithSelector(NotParty.selector, STRANGER));
        _ok(STRANGER, post);
        _sawBond(id, requester, STRANGER);
        (,, owed) = kernel.bondsOf(id);
        require(owed == 0, "posted");
        _no(STRANGER, post, abi.encodeWithSelector(BondNotWanted.selector, requester));
        // A dispute that is called off returns the bond to whoever posted it.
        uint256 before = token.balanceOf(STRANGER);
        _ok(admin, _to(id, State.CANCELLED, ""));
        _saw(BondPaid.selector, id, STRANGER, abi.encode(BOND));
        require(token.balanceOf(STRANGER) == before + BOND, "returned");
        require(kernel.credits(requester) == AMOUNT, "refund of the frozen requester");
    }

    function test_a_bond_posted_later_changes_nothing_else() public {
        Clauses memory clauses = _usualClauses();
        clauses.arbiter = ARBITER;
        bytes32 id =
            abi.decode(_ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), clauses))), (bytes32));
        _step(provider, id, State.IN_PROGRESS);
        _ok(requester, abi.encodeCall(kernel.releaseMilestone, (id, AMOUNT / 2)));
        _step(provider, id, State.DELIVERED);
        token.blacklist(provider);
        _ok(provider, _to(id, State.DISPUTED, ""));
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (id, provider)));
        token.unBlacklist(provider);
        require(kernel.getTransaction(id).disputeInitiator == provider, "initiator");
        require(vault.remaining(id) == AMOUNT / 2, "what was released");
        _no(admin, _to(id, State.SETTLED, ""), abi.encodeWithSelector(NotResolver.selector, admin));
        _ok(ARBITER, _to(id, State.SETTLED, abi.encode(AMOUNT / 2, 0, 1)));
        _sent(requester, AMOUNT / 2 + BOND);
        _empty();
    }

    function test_bonds_ahead_of_a_dispute() public {
        bytes32 id = _funded(1);
        bytes memory post = abi.encodeCall(kernel.postBond, (id, provider));
        _no(STRANGER, post, abi.encodeWithSelector(WrongState.selector, State.COMMITTED, State.DELIVERED));
        _step(provider, id, State.DELIVERED);
        vm.warp(START + WINDOW + 1);
        _no(STRANGER, post, abi.encodeWithSelector(WindowClosed.selector, START + WINDOW, START + WINDOW + 1));
        vm.warp(START);
        _ok(STRANGER, post);
        _sawBond(id, provider, STRANGER);
        _no(STRANGER, post, abi.encodeWithSelector(BondNotWanted.selector, provider));
        uint256 before = token.balanceOf(provider);
        _ok(provider, _to(id, State.DISPUTED, ""));
        require(token.balanceOf(provider) == before, "paid by the stranger");
        bytes32 other = _delivered(2);
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (other, requester)));
        _step(requester, other, State.SETTLED);
        _saw(BondPaid.selector, other, STRANGER, abi.encode(BOND));
        _saw(CreditAccrued.selector, other, STRANGER, abi.encode(BOND));
        require(kernel.credits(STRANGER) == BOND, "credit");
        other = _delivered(3);
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (other, provider)));
        _step(requester, other, State.SETTLED);
        _saw(BondPaid.selector, other, STRANGER, abi.encode(BOND));
        require(kernel.credits(STRANGER) == 2 * BOND, "credit of the provider's");
    }

    function test_only_a_resolver_rules() public {
        bytes32 id = _disputed(1);
        bytes memory rule = _to(id, State.SETTLED, "");
        _no(STRANGER, rule, abi.encodeWithSelector(NotResolver.selector, STRANGER));
        _no(requester, rule, abi.encodeWithSelector(NotResolver.selector, requester));
        _no(pauser, rule, abi.encodeWithSelector(NotResolver.selector, pauser));
        _ok(admin, abi.encodeCall(kernel.approveMediator, (MEDIATOR, true)));
        vm.warp(START + 2 days - 1);
        _no(MEDIATOR, rule, abi.encodeWithSelector(NotResolver.selector, MEDIATOR));
        vm.warp(START + 2 days);
        _ok(admin, abi.encodeCall(kernel.approveMediator, (provider, true)));
        vm.warp(START + 5 days);
        _no(provider, rule, abi.encodeWithSelector(NotResolver.selector, provider));
        _no(
            admin,
            _to(id, State.DELIVERED, ""),
            abi.encodeWithSelector(InvalidTransition.selector, State.DISPUTED, State.DELIVERED)
        );
        _no(
            admin,
            _to(id, State.COMMITTED, ""),
            abi.encodeWithSelector(InvalidTransition.selector, State.DISPUTED, State.COMMITTED)
        );
        _ok(MEDIATOR, rule);
        _sawMove(id, State.DISPUTED, State.SETTLED, MEDIATOR);
        // The requester was wrong: the bond goes to the provider with its part.
        _saw(EscrowReleased.selector, id, abi.encode(provider, AMOUNT - AMOUNT / 100, block.timestamp));
        _saw(BondPaid.selector, id, provider, abi.encode(BOND));
        _sent(provider, AMOUNT - AMOUNT / 100 + BOND);
        bytes memory topics = abi.encodePacked(
            DisputeResolved.selector, id, keccak256(abi.encode(id, requester)), abi.encode(requester)
        );
        _find(address(kernel), topics, abi.encode(false, BOND, block.timestamp));
        _empty();
    }

    function test_a_named_arbiter_rules_alone() public {
        Clauses memory clauses = _usualClauses();
        clauses.arbiter = ARBITER;
        bytes32 id =
            abi.decode(_ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), clauses))), (bytes32));
        _step(provider, id, State.DELIVERED);
        _ok(requester, _to(id, State.DISPUTED, ""));
        _no(admin, _to(id, State.SETTLED, ""), abi.encodeWithSelector(NotResolver.selector, admin));
        uint256 fee = AMOUNT / 10;
        bytes memory ruling = abi.encode(AMOUNT - fee, 0, ARBITER, fee);
        _ok(ARBITER, _to(id, State.SETTLED, ruling));
        bytes memory topics = abi.encodePacked(EscrowMediatorPaid.selector, id, abi.encode(ARBITER));
        _find(address(kernel), topics, abi.encode(fee, block.timestamp));
        _sent(ARBITER, fee);
        _sent(requester, AMOUNT - fee + BOND);
        require(kernel.accruedFees() == 0, "no fee on a refund");
        _empty();
    }

    function test_rulings_that_do_not_add_up() public {
        bytes32 id = _disputed(1);
        _refusesRuling(id, hex"00", abi.encodeWithSelector(InvalidProof.selector, 1));
        _refusesRuling(id, abi.encode(AMOUNT, 1), abi.encodeWithSelector(SplitMismatch.selector, AMOUNT + 1, AMOUNT));
        _refusesRuling(id, abi.encode(AMOUNT + 1, type(uint256).max), abi.encodeWithSelector(SplitMismatch.selector, AMOUNT, AMOUNT));
        _refusesRuling(id, abi.encode(type(uint256).max, AMOUNT + 1), abi.encodeWithSelector(SplitMismatch.selector, AMOUNT, AMOUNT));
        _refusesRuling(id, abi.encode(AMOUNT, 0, 2), abi.encodeWithSelector(InvalidProof.selector, 96));
        _refusesRuling(
            id,
            abi.encode(AMOUNT - AMOUNT / 10 - 1, 0, ARBITER, AMOUNT / 10 + 1),
            abi.encodeWithSelector(MediatorFeeTooHigh.selector, AMOUNT / 10 + 1, AMOUNT / 10)
        );
        _refusesRuling(id, abi.encode(AMOUNT - 1, 0, type(uint256).max, 1), abi.encodeWithSelector(InvalidProof.selector, 128));
        _refusesRuling(
            id, abi.encode(AMOUNT - 1, 0, ARBITER, 1), abi.encodeWithSelector(MediatorNotApproved.selector, ARBITER)
        );
        _ok(admin, abi.encodeCall(kernel.approveMediator, (requester, true)));
        vm.warp(START + 2 days);
        _refusesRuling(
            id, abi.encode(AMOUNT - 1, 0, requester, 1), abi.encodeWithSelector(MediatorNotApproved.selector, requester)
        );
    }

    function _sawBond(bytes32 id, address party, address poster) private view {
        bytes memory topics = abi.encodePacked(BondPosted.selector, id, abi.encode(party, poster));
        _find(address(kernel), topics, abi.encode(BOND));
    }

    function _refusesRuling(bytes32 id, bytes memory ruling, bytes memory refusal) private {
        _no(admin, _to(id, State.SETTLED, ruling), refusal);
    }

    function test_the_bond_goes_to_the_party_that_was_right() public {
        // Without a word on fault the provider is at fault; the requester, who disputed, gets its own bond back.
        bytes32 id = _disputed(1);
        _ok(admin, _to(id, State.SETTLED, abi.encode(AMOUNT, 0)));
        _sent(requester, AMOUNT + BOND);
        _saw(EscrowRefunded.selector, id, abi.encode(requester, AMOUNT, START));
        _empty();
        id = _disputed(2);
        _ok(admin, _to(id, State.SETTLED, abi.encode(AMOUNT / 2, AMOUNT / 2, 0)));
        _sent(requester, AMOUNT / 2);
        _sent(provider, AMOUNT / 2 - AMOUNT / 200 + BOND);
        id = _delivered(3);
        _ok(provider, _to(id, State.DISPUTED, ""));
        _ok(admin, _to(id, State.SETTLED, abi.encode(AMOUNT, 0, 1)));
        _sent(requester, AMOUNT + BOND);
        id = _delivered(4);
        _ok(provider, _to(id, State.DISPUTED, ""));
        _ok(admin, _to(id, State.SETTLED, abi.encode(AMOUNT, 0, 0)));
        _sent(requester, AMOUNT);
        _sent(provider, BOND);
        id = _disputed(5);
        _ok(admin, _to(id, State.CANCELLED, ""));
        _sawMove(id, State.DISPUTED, State.CANCELLED, admin);
        _sent(requester, AMOUNT + BOND);
        // A bond ahead for the other party goes back as a credit.
        id = _delivered(6);
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (id, provider)));
        _ok(requester, _to(id, State.DISPUTED, ""));
        _ok(admin, _to(id, State.SETTLED, ""));
        require(kernel.credits(STRANGER) == BOND, "spare");
    }

    function test_an_owed_bond_that_is_lost_comes_out_of_the_escrow() public {
        bytes32 id = _owing(1, requester);
        _ok(admin, _to(id, State.SETTLED, abi.encode(AMOUNT / 2, AMOUNT / 2, 0)));
        _saw(EscrowRefunded.selector, id, abi.encode(requester, AMOUNT / 2 - BOND, START));
        _sent(provider, AMOUNT / 2 - AMOUNT / 200 + BOND);
        id = _owing(2, requester);
        _ok(admin, _to(id, State.SETTLED, abi.encode(BOND - 1, AMOUNT - BOND + 1, 0)));
        uint256 net = AMOUNT - BOND + 1;
        _sent(provider, net - net / 100 + BOND - 1);
        id = _owing(3, provider);
        _ok(admin, _to(id, State.SETTLED, abi.encode(AMOUNT / 2, AMOUNT / 2, 1)));
        _sent(requester, AMOUNT / 2 + BOND);
        id = _owing(4, provider);
        _ok(admin, _to(id, State.SETTLED, abi.encode(AMOUNT - USDC, USDC, 1)));
        _sent(requester, AMOUNT - USDC + USDC - 50_000);
    }

    function _owing(uint256 salt, address party) private returns (bytes32 id) {
        id = _delivered(salt);
        token.blacklist(party);
        _ok(party, _to(id, State.DISPUTED, ""));
        token.unBlacklist(party);
    }

    function test_a_silent_resolver_is_outlived() public {
        Clauses memory clauses = _usualClauses();
        clauses.timeoutRequesterBps = 2_500;
        bytes32 id =
            abi.decode(_ok(requester, abi.encodeCall(kernel.createFundedWith, (_order(1), clauses))), (bytes32));
        bytes memory close = abi.encodeCall(kernel.closeTimedOutDispute, (id));
        _no(STRANGER, close, abi.encodeWithSelector(WrongState.selector, State.COMMITTED, State.DISPUTED));
        _step(provider, id, State.IN_PROGRESS);
        _ok(requester, abi.encodeCall(kernel.releaseMilestone, (id, AMOUNT / 2)));
        _step(provider, id, State.DELIVERED);
        _ok(requester, _to(id, State.DISPUTED, ""));
        uint256 due = START + 30 days;
        vm.warp(due);
        _no(STRANGER, close, abi.encodeWithSelector(DisputeNotTimedOut.selector, due, due));
        vm.warp(due + 1);
        _ok(STRANGER, close);
        _sawMove(id, State.DISPUTED, State.SETTLED, STRANGER);
        _saw(DisputeTimedOut.selector, id, abi.encode(AMOUNT / 8, AMOUNT * 3 / 8));
        _sent(requester, AMOUNT / 8 + BOND);
        _sent(provider, AMOUNT * 3 / 8 - AMOUNT * 3 / 800);
        _empty();
    }

    function test_a_bond_for_the_other_party_goes_back_when_nobody_is_at_fault() public {
        bytes32 id = _delivered(1);
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (id, provider)));
        _ok(requester, _to(id, State.DISPUTED, ""));
        _ok(STRANGER, _consent(id, 0, AMOUNT, START, REQUESTER_KEY, PROVIDER_KEY));
        _saw(BondPaid.selector, id, STRANGER, abi.encode(BOND));
        require(kernel.credits(STRANGER) == BOND, "spare");
    }

    function test_the_extension_called_by_itself_rules_on_nothing() public {
        address extension = kernel.extension();
        Clauses memory clauses = _usualClauses();
        clauses.arbiter = ARBITER;
        vm.prank(requester);
        (bool done, bytes memory answer) = extension.call(abi.encodeCall(kernel.createSalted, (_order(1), clauses)));
        require(done, "created");
        vm.prank(ARBITER);
        (done, answer) = extension.call(_to(abi.decode(answer, (bytes32)), State.SETTLED, ""));
        bytes memory refusal = abi.encodeWithSelector(WrongState.selector, State.INITIATED, State.DISPUTED);
        require(!done && keccak256(answer) == keccak256(refusal), "ruled");
    }

    function test_consent_ends_any_funded_state() public {
        bytes32 id = _created();
        _no(
            requester,
            _consent(id, 0, AMOUNT, START, REQUESTER_KEY, PROVIDER_KEY),
            abi.encodeWithSelector(InvalidTransition.selector, State.INITIATED, State.SETTLED)
        );
        id = _funded(1);
        _no(
            STRANGER,
            _consent(id, 1, AMOUNT, START, REQUESTER_KEY, PROVIDER_KEY),
            abi.encodeWithSelector(SplitMismatch.selector, AMOUNT + 1, AMOUNT)
        );
        _no(
            STRANGER,
            _consent(id, 0, AMOUNT, START - 1, REQUESTER_KEY, PROVIDER_KEY),
            abi.encodeWithSelector(ConsentExpired.selector, START - 1, START)
        );
        _no(
            STRANGER,
            _consent(id, 0, AMOUNT, START, 3, PROVIDER_KEY),
            abi.encodeWithSelector(ConsentMissing.selector, requester)
        );
        _no(
            requester,
            _consent(id, 0, AMOUNT, START, 3, 3),
            abi.encodeWithSelector(ConsentMissing.selector, provider)
        );
        bytes memory both = _consent(id, AMOUNT / 4, AMOUNT * 3 / 4, START, REQUESTER_KEY, PROVIDER_KEY);
        _ok(STRANGER, both);
        _sawMove(id, State.COMMITTED, State.SETTLED, STRANGER);
        _saw(SettledByConsent.selector, id, abi.encode(AMOUNT / 4, AMOUNT * 3 / 4));
        _sent(requester, AMOUNT / 4);
        _sent(provider, AMOUNT * 3 / 4 - AMOUNT * 3 / 400);
        _no(STRANGER, both, abi.encodeWithSelector(InvalidTransition.selector, State.SETTLED, State.SETTLED));
        _empty();
        id = _disputed(2);
        _ok(STRANGER, abi.encodeCall(kernel.postBond, (_delivered(3), provider)));
        _ok(requester, _consent(id, AMOUNT, 0, START, 3, PROVIDER_KEY));
        _sent(requester, AMOUNT + BOND);
        id = _started(4);
        _ok(provider, _consent(id, 0, AMOUNT, START, REQUESTER_KEY, 3));
        _sawMove(id, State.IN_PROGRESS, State.SETTLED, provider);
        id = _funded(5);
        _step(provider, id, State.CANCELLED);
        _no(
            STRANGER,
            _consent(id, 0, AMOUNT, START, REQUESTER_KEY, PROVIDER_KEY),
            abi.encodeWithSelector(InvalidTransition.selector, State.CANCELLED, State.SETTLED)
        );
    }

    function _consent(
        bytes32 id,
        uint256 ofRequester,
        uint256 ofProvider,
        uint256 until,
        uint256 requesterKey,
        uint256 providerKey
    ) private view returns (bytes memory) {
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
                until
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, split));
        return abi.encodeCall(
            kernel.settleByConsent,
            (id, ofRequester, ofProvider, until, _signed(requesterKey, digest), _signed(providerKey, digest))
        );
    }

    function _signed(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }
}
