// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEscrowVault} from "../../../contracts/interfaces/IEscrowVault.sol";
import {Config} from "../../../contracts/types/Rates.sol";
import {vm} from "../base/Vm.sol";
import {Stage} from "./Stage.sol";

/// @title Roles, rates, and a vault that obeys its kernel only
contract GoverningTest is Stage {
    function test_the_kernel_is_what_it_was_deployed_as() public view {
        require(keccak256(bytes(kernel.kernelVersion())) == keccak256("actp-escrow/2"), "version");
        require(kernel.admin() == admin && kernel.pauser() == pauser && kernel.feeRecipient() == feeRecipient, "roles");
        require(kernel.USDC() == address(token) && kernel.MIN_FEE() == 50_000, "numbers");
        require(kernel.MIN_DISPUTE_BOND() == USDC && kernel.agentRegistry() == agentRegistry, "numbers");
        require(
            kernel.platformFeeBps() == 100 && kernel.requesterPenaltyBps() == 500 && kernel.disputeBondBps() == 500,
            "rates"
        );
        require(kernel.approvedEscrowVaults(address(vault)) && !kernel.approvedEscrowVaults(address(0)), "vault");
        require(!kernel.paused() && vault.token() == address(token) && vault.kernel() == address(kernel), "vault");
    }

    function test_bad_constructor_arguments() public {
        _refuses(address(0), feeRecipient, address(token), _usual(), abi.encodeWithSelector(ZeroAddress.selector));
        _refuses(admin, address(0), address(token), _usual(), abi.encodeWithSelector(ZeroAddress.selector));
        _refuses(admin, feeRecipient, address(0), _usual(), abi.encodeWithSelector(ZeroAddress.selector));
        bytes4 rate = RateTooHigh.selector;
        _refusesEconomics(Economics(501, 0, 0, 0, 0), abi.encodeWithSelector(rate, 501, 500));
        _refusesEconomics(Economics(0, 5_001, 0, 0, 0), abi.encodeWithSelector(rate, 5_001, 5_000));
        _refusesEconomics(Economics(0, 0, 2_001, 0, 0), abi.encodeWithSelector(rate, 2_001, 2_000));
        bytes4 minimum = MinimumTooHigh.selector;
        _refusesEconomics(Economics(0, 0, 0, 1e15 + 1, 0), abi.encodeWithSelector(minimum, 1e15 + 1, 1e15));
        _refusesEconomics(Economics(0, 0, 0, 0, 1e15 + 1), abi.encodeWithSelector(minimum, 1e15 + 1, 1e15));
    }

    function _refusesEconomics(Economics memory economics, bytes memory refusal) private {
        _refuses(admin, feeRecipient, address(token), economics, refusal);
    }

    function _refuses(address boss, address fees, address money, Economics memory economics, bytes memory refusal)
        private
    {
        bytes memory code = abi.encodePacked(
            _codeOf("ACTPKernel"), abi.encode(boss, address(0), fees, agentRegistry, money, economics)
        );
        address made;
        bytes32 reason;
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
            let pointer := mload(0x40)
            returndatacopy(pointer, 0, returndatasize())
            reason := keccak256(pointer, returndatasize())
        }
        require(made == address(0) && reason == keccak256(refusal), "deployed, or refused for another reason");
    }

    function test_without_a_pauser_the_admin_pauses() public {
        pauser = address(0);
        _deployKernel(address(token), _usual());
        require(kernel.pauser() == admin, "admin");
    }

    function test_pause_and_pauser() public {
        bytes memory pause = abi.encodeCall(kernel.pause, ());
        bytes memory unpause = abi.encodeCall(kernel.unpause, ());
        bytes memory refusal = abi.encodeWithSelector(NotPauser.selector, STRANGER, pauser);
        _no(STRANGER, pause, refusal);
        _no(STRANGER, unpause, refusal);
        _ok(pauser, pause);
        _saw(KernelPaused.selector, pauser, abi.encode(START));
        require(kernel.paused(), "paused");
        _ok(admin, unpause);
        _saw(KernelUnpaused.selector, admin, abi.encode(START));
        require(!kernel.paused(), "unpaused");
        bytes memory update = abi.encodeCall(kernel.updatePauser, (STRANGER));
        _no(pauser, update, _notAdmin(pauser));
        _no(admin, abi.encodeCall(kernel.updatePauser, (address(0))), abi.encodeWithSelector(ZeroAddress.selector));
        _ok(admin, update);
        _find(address(kernel), abi.encodePacked(PauserUpdated.selector, abi.encode(pauser, STRANGER)), "");
        require(kernel.pauser() == STRANGER, "new pauser");
    }

    function test_admin_in_two_steps() public {
        bytes memory transfer = abi.encodeCall(kernel.transferAdmin, (STRANGER));
        bytes memory accept = abi.encodeCall(kernel.acceptAdmin, ());
        _no(STRANGER, transfer, _notAdmin(STRANGER));
        _no(admin, abi.encodeCall(kernel.transferAdmin, (address(0))), abi.encodeWithSelector(ZeroAddress.selector));
        _ok(admin, transfer);
        _find(address(kernel), abi.encodePacked(AdminTransferInitiated.selector, abi.encode(admin, STRANGER)), "");
        require(kernel.pendingAdmin() == STRANGER && kernel.admin() == admin, "pending");
        _no(admin, accept, abi.encodeWithSelector(NotPendingAdmin.selector, admin, STRANGER));
        _ok(STRANGER, accept);
        _find(address(kernel), abi.encodePacked(AdminTransferred.selector, abi.encode(admin, STRANGER)), "");
        require(kernel.admin() == STRANGER && kernel.pendingAdmin() == address(0), "moved");
    }

    function test_a_new_fee_recipient_takes_no_old_fees() public {
        bytes memory update = abi.encodeCall(kernel.updateFeeRecipient, (STRANGER));
        _no(STRANGER, update, _notAdmin(STRANGER));
        _no(
            admin, abi.encodeCall(kernel.updateFeeRecipient, (address(0))), abi.encodeWithSelector(ZeroAddress.selector)
        );
        _step(requester, _delivered(1), State.SETTLED);
        _ok(admin, update);
        _find(address(kernel), abi.encodePacked(FeeRecipientUpdated.selector, abi.encode(feeRecipient, STRANGER)), "");
        _saw(CreditAccrued.selector, 0, feeRecipient, abi.encode(USDC));
        require(kernel.feeRecipient() == STRANGER && kernel.accruedFees() == 0, "new");
        require(kernel.credits(feeRecipient) == USDC, "old fees");
        _ok(admin, abi.encodeCall(kernel.updateFeeRecipient, (feeRecipient)));
        require(logs.length == 1 && kernel.credits(STRANGER) == 0, "no credit of nothing");
    }

    function test_one_vault_for_ever() public {
        address bound = address(vault);
        bytes memory approve = abi.encodeCall(kernel.approveEscrowVault, (bound, false));
        _no(STRANGER, approve, _notAdmin(STRANGER));
        _no(
            admin,
            abi.encodeCall(kernel.approveEscrowVault, (STRANGER, true)),
            abi.encodeWithSelector(VaultAlreadyBound.selector, bound, STRANGER)
        );
        _ok(admin, approve);
        _saw(EscrowVaultApproved.selector, bound, abi.encode(false));
        require(!kernel.approvedEscrowVaults(bound), "closed");

        _deployKernel(address(token), _usual());
        _no(
            admin,
            abi.encodeCall(kernel.approveEscrowVault, (bound, false)),
            abi.encodeWithSelector(VaultNotApproved.selector, bound)
        );
        _no(
            admin,
            abi.encodeCall(kernel.approveEscrowVault, (bound, true)),
            abi.encodeWithSelector(VaultMismatch.selector, bound)
        );
        _no(
            admin,
            abi.encodeCall(kernel.approveEscrowVault, (STRANGER, true)),
            abi.encodeWithSelector(NoCode.selector, STRANGER)
        );
    }

    function test_no_vault_for_a_token_without_code() public {
        address nothing = address(0xDEAD);
        _deployKernel(nothing, _usual());
        vault = _newVault(nothing);
        _no(
            admin,
            abi.encodeCall(kernel.approveEscrowVault, (address(vault), true)),
            abi.encodeWithSelector(NoCode.selector, nothing)
        );
    }

    function test_mediators() public {
        bytes memory approve = abi.encodeCall(kernel.approveMediator, (MEDIATOR, true));
        _no(STRANGER, approve, _notAdmin(STRANGER));
        _no(
            admin,
            abi.encodeCall(kernel.approveMediator, (address(0), true)),
            abi.encodeWithSelector(ZeroAddress.selector)
        );
        _ok(admin, approve);
        _saw(MediatorApproved.selector, MEDIATOR, abi.encode(true));
        vm.warp(START + 1 days);
        _ok(admin, approve);
        require(kernel.approvedMediators(MEDIATOR) && kernel.mediatorApprovedAt(MEDIATOR) == START, "in office");
        _ok(admin, abi.encodeCall(kernel.approveMediator, (MEDIATOR, false)));
        require(!kernel.approvedMediators(MEDIATOR), "revoked");
        require(kernel.mediatorRevokedAt(MEDIATOR) == START + 1 days, "revoked at");
    }

    function test_rates_change_after_the_timelock_for_new_transactions_only() public {
        bytes32 old = _created();
        bytes memory schedule = abi.encodeCall(kernel.scheduleEconomicParams, (200, 300));
        bytes memory execute = abi.encodeCall(kernel.executeEconomicParamsUpdate, ());
        bytes memory cancel = abi.encodeCall(kernel.cancelEconomicParamsUpdate, ());
        _no(STRANGER, schedule, _notAdmin(STRANGER));
        _no(STRANGER, cancel, _notAdmin(STRANGER));
        bytes memory none = abi.encodeWithSelector(NoPendingUpdate.selector);
        _no(admin, cancel, none);
        _no(STRANGER, execute, none);
        _no(
            admin,
            abi.encodeCall(kernel.scheduleEconomicParams, (501, 0)),
            abi.encodeWithSelector(RateTooHigh.selector, 501, 500)
        );
        _no(
            admin,
            abi.encodeCall(kernel.scheduleEconomicParams, (0, 5_001)),
            abi.encodeWithSelector(RateTooHigh.selector, 5_001, 5_000)
        );
        _ok(admin, schedule);
        _find(
            address(kernel), abi.encodePacked(EconomicParamsUpdateScheduled.selector), abi.encode(200, 300, START + 2 days)
        );
        (uint16 fee, uint16 penalty, uint256 after_, bool active) = kernel.getPendingEconomicParams();
        require(fee == 200 && penalty == 300 && after_ == START + 2 days && active, "pending");
        _no(admin, schedule, abi.encodeWithSelector(UpdatePending.selector, START + 2 days));
        _ok(admin, cancel);
        _find(address(kernel), abi.encodePacked(EconomicParamsUpdateCancelled.selector), abi.encode(200, 300, START));
        (,,, active) = kernel.getPendingEconomicParams();
        require(!active, "cancelled");
        _ok(admin, schedule);
        vm.warp(START + 2 days - 1);
        _no(
            STRANGER, execute, abi.encodeWithSelector(TimelockRunning.selector, START + 2 days, START + 2 days - 1)
        );
        vm.warp(START + 2 days);
        _ok(STRANGER, execute);
        _find(
            address(kernel), abi.encodePacked(EconomicParamsUpdated.selector), abi.encode(200, 300, START + 2 days)
        );
        require(kernel.platformFeeBps() == 200 && kernel.requesterPenaltyBps() == 300, "new rates");
        require(kernel.disputeBondBps() == 500, "the bond rate stays");
        bytes memory bond = abi.encodeCall(kernel.updateDisputeBondBps, (600));
        _no(STRANGER, bond, _notAdmin(STRANGER));
        _no(
            admin,
            abi.encodeCall(kernel.updateDisputeBondBps, (2_001)),
            abi.encodeWithSelector(RateTooHigh.selector, 2_001, 2_000)
        );
        _ok(admin, bond);
        _find(address(kernel), abi.encodePacked(DisputeBondBpsUpdated.selector), abi.encode(500, 600));
        require(kernel.disputeBondBps() == 600 && kernel.platformFeeBps() == 200, "new bond");
        TransactionView memory job = kernel.getTransaction(old);
        require(job.platformFeeBpsLocked == 100 && job.requesterPenaltyBpsLocked == 500, "locked");
        require(job.disputeBondBpsLocked == 500, "locked");
        job = kernel.getTransaction(_created());
        require(job.platformFeeBpsLocked == 200 && job.disputeBondBpsLocked == 600, "new");
    }

    function test_records_of_rates_run_out_before_their_ids_repeat() public {
        // Ids have 14 bits; 16,383 changes of the rates are too many to make here.
        Config config = Config.wrap(uint256(vm.load(address(kernel), 0)));
        require(config.vault() == address(vault) && config.recordId() == 0, "the configuration is in slot 0");
        uint256 last = (1 << 14) - 2;
        vm.store(address(kernel), 0, bytes32(Config.unwrap(config.withRates(config.rates(), last))));
        bytes memory update = abi.encodeCall(kernel.updateDisputeBondBps, (600));
        _ok(admin, update);
        require(kernel.disputeBondBps() == 600, "the last record");
        _no(admin, update, abi.encodeWithSelector(ParameterRecordsExhausted.selector, 1 << 14));
    }

    function test_the_vault_obeys_its_kernel_only() public {
        bytes32 id = _funded(1);
        bytes[7] memory calls = [
            abi.encodeCall(vault.createEscrow, (id, requester, provider, 1)),
            abi.encodeCall(vault.collect, (requester, 1)),
            abi.encodeCall(vault.pullBond, (requester, 1)),
            abi.encodeCall(vault.closeEscrow, (id, STRANGER, 1)),
            abi.encodeCall(vault.payout, (id, STRANGER, 1)),
            abi.encodeCall(vault.payoutToProvider, (id, 1)),
            abi.encodeCall(vault.refundToRequester, (id, 1))
        ];
        bytes memory refusal = abi.encodeWithSelector(IEscrowVault.NotKernel.selector, STRANGER, kernel);
        for (uint256 index = 0; index < calls.length; ++index) {
            vm.prank(STRANGER);
            (bool done, bytes memory answer) = address(vault).call(calls[index]);
            require(!done && keccak256(answer) == keccak256(refusal), "a stranger moved tokens");
        }
        vm.prank(STRANGER);
        (bool created, bytes memory why) = address(vault).call(
            abi.encodeCall(vault.createEscrowWithAuthorization, (id, requester, provider, 1, 0, 0, 0, ""))
        );
        require(!created && keccak256(why) == keccak256(refusal), "a stranger moved tokens");
        // For the kernel each of them works, and to the parties that the kernel keeps.
        vm.prank(address(kernel));
        require(vault.payoutToProvider(id, 3) == 3, "to the provider");
        vm.prank(address(kernel));
        require(vault.refundToRequester(id, 5) == 5, "to the requester");
        require(token.balanceOf(provider) == 1e18 + 3 && token.balanceOf(requester) == 1e18 - AMOUNT + 5, "moved");
        vm.prank(address(kernel));
        require(vault.payout(id, address(vault), 7) == 0, "never to itself");
    }

    function test_a_vault_needs_a_token_and_a_kernel() public {
        bytes memory code = _codeOf("EscrowVault");
        _fails(abi.encodePacked(code, abi.encode(address(0), kernel)));
        _fails(abi.encodePacked(code, abi.encode(token, address(0))));
    }

    function test_starved_pushes_are_not_believed() public {
        bytes32 id = _delivered(1);
        bytes memory data = _to(id, State.SETTLED, "");
        for (uint256 supply = 40_000; supply < 500_000; supply += 2_000) {
            vm.prank(requester);
            (bool done,) = address(kernel).call{gas: supply}(data);
            require(kernel.credits(provider) == 0, "a caller turned a payment into a credit");
            if (done) return;
        }
        revert("never enough gas");
    }

    function _fails(bytes memory code) private {
        address made;
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
        }
        require(made == address(0), "deployed");
    }

    function _notAdmin(address caller) private view returns (bytes memory) {
        return abi.encodeWithSelector(NotAdmin.selector, caller, admin);
    }
}
