// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IKernelTypes} from "../../../contracts/interfaces/IKernelTypes.sol";
import {Clause, ClauseLib} from "../../../contracts/types/Clause.sol";
import {Extras} from "../../../contracts/types/Extras.sol";
import {Progress, ProgressLib} from "../../../contracts/types/Progress.sol";
import {Config, Rates, RatesLib} from "../../../contracts/types/Rates.sol";
import {Terms, TermsLib} from "../../../contracts/types/Terms.sol";
import {vm} from "../base/Vm.sol";

/// @title What is packed into a word comes out as it went in, and no field touches another
/// @notice Words with all bits free stand for every state that a transaction can be in.
contract PackingTest {
    function check_terms_keep_every_field(address requester, uint256 amount, uint256 createdAt, uint256 recordId)
        public
        pure
    {
        vm.assume(amount < 1 << 50 && createdAt < 1 << 32 && recordId < 1 << 14);
        Terms terms = TermsLib.pack(requester, amount, createdAt, recordId);
        assert(terms.requester() == requester);
        assert(terms.amount() == amount);
        assert(terms.createdAt() == createdAt);
        assert(terms.recordId() == recordId);
    }

    function check_progress_keeps_every_field(address provider, uint256 createdAt, uint256 deadline, uint256 window)
        public
        pure
    {
        vm.assume(createdAt < 1 << 32 && deadline < 1 << 32 && window < 1 << 26);
        Progress progress = ProgressLib.pack(provider, createdAt, deadline, window);
        assert(progress.provider() == provider);
        assert(progress.updatedAt() == createdAt);
        assert(progress.deadline() == deadline);
        assert(progress.agreedWindow() == window);
        assert(progress.windowField() == window);
        assert(progress.isIn(IKernelTypes.State.INITIATED));
        assert(!progress.isDelivered() && !progress.isFunded() && !progress.hasExtras());
        assert(progress.exists() || provider == address(0));
    }

    function check_a_step_changes_state_and_time_only(uint256 word, uint8 newState, uint256 timestamp) public pure {
        vm.assume(newState < 8 && timestamp < 1 << 32);
        Progress before = Progress.wrap(word);
        Progress progress = before.moveTo(IKernelTypes.State(newState), timestamp);
        assert(uint8(progress.state()) == newState);
        assert(progress.isIn(IKernelTypes.State(newState)));
        assert(progress.updatedAt() == timestamp);
        assert(progress.provider() == before.provider());
        assert(progress.deadline() == before.deadline());
        assert(progress.windowField() == before.windowField());
        assert(progress.agreedWindow() == before.agreedWindow());
        assert(progress.isDelivered() == before.isDelivered());
        assert(progress.isFunded() == before.isFunded());
        assert(progress.hasExtras() == before.hasExtras());
    }

    function check_a_delivery_keeps_deadline_and_sets_window(
        address provider,
        uint256 deadline,
        uint256 agreed,
        uint256 window,
        uint256 timestamp,
        bool funded,
        bool extras
    ) public pure {
        // The bounds that the kernel keeps: created at most 365 days before its deadline, delivered not after it.
        vm.assume(window >= 1 hours && window <= 30 days && agreed <= window);
        vm.assume(timestamp > 0 && timestamp <= deadline && deadline - timestamp <= 365 days);
        vm.assume(deadline < (1 << 32) - 30 days);
        Progress before = ProgressLib.pack(provider, timestamp, deadline, agreed);
        if (funded) before = before.fund();
        if (extras) before = before.withExtras();
        Progress progress = before.deliver(timestamp, window);
        assert(progress.isDelivered());
        assert(progress.isIn(IKernelTypes.State.DELIVERED));
        assert(progress.deadline() == deadline);
        assert(progress.windowEnd() == timestamp + window);
        assert(progress.windowField() == timestamp + window);
        assert(progress.updatedAt() == timestamp);
        assert(progress.provider() == provider);
        assert(progress.isFunded() == funded);
        assert(progress.hasExtras() == extras);
    }

    function check_flags_of_progress_touch_nothing_else(uint256 word) public pure {
        Progress before = Progress.wrap(word);
        Progress funded = before.fund();
        assert(funded.isFunded());
        assert(Progress.unwrap(funded) & ~(uint256(1) << 254) == word & ~(uint256(1) << 254));
        Progress extended = before.withExtras();
        assert(extended.hasExtras());
        assert(Progress.unwrap(extended) & ~(uint256(1) << 255) == word & ~(uint256(1) << 255));
    }

    function check_rates_keep_every_field(uint16 fee, uint16 penalty, uint16 bond) public pure {
        Rates rates = RatesLib.pack(fee, penalty, bond);
        assert(rates.feeBps() == fee);
        assert(rates.penaltyBps() == penalty);
        assert(rates.bondBps() == bond);
    }

    function check_config_fields_are_independent(
        uint256 word,
        address vault,
        bool approved,
        uint48 rates,
        uint256 recordId,
        bool paused
    ) public pure {
        vm.assume(recordId < 1 << 14);
        Config before = Config.wrap(word);

        Config bound = before.withVault(vault, approved);
        assert(bound.vault() == vault && bound.isVaultApproved() == approved);
        assert(bound.recordId() == before.recordId() && bound.isPaused() == before.isPaused());
        assert(Rates.unwrap(bound.rates()) == Rates.unwrap(before.rates()));

        Config rated = before.withRates(Rates.wrap(rates), recordId);
        assert(Rates.unwrap(rated.rates()) == rates && rated.recordId() == recordId);
        assert(rated.vault() == before.vault() && rated.isVaultApproved() == before.isVaultApproved());
        assert(rated.isPaused() == before.isPaused());

        Config stopped = before.withPaused(paused);
        assert(stopped.isPaused() == paused);
        assert(stopped.vault() == before.vault() && stopped.isVaultApproved() == before.isVaultApproved());
        assert(stopped.recordId() == before.recordId());
        assert(Rates.unwrap(stopped.rates()) == Rates.unwrap(before.rates()));
    }

    function check_clause_keeps_every_field(address arbiter, uint256 shareBps) public pure {
        vm.assume(shareBps <= 10_000);
        Clause clause = ClauseLib.pack(arbiter, shareBps);
        assert(clause.arbiter() == arbiter);
        assert(clause.timeoutRequesterBps() == shareBps);
        assert(clause.isUsual() == (arbiter == address(0) && shareBps == 5_000));
    }

    function check_extras_release_adds_to_what_was_released(uint256 word, uint256 amount) public pure {
        Extras before = Extras.wrap(word);
        // Never more than the amount of the transaction, which has 50 bits.
        vm.assume(amount < 1 << 50 && before.released() + amount < 1 << 50);
        Extras extras = before.release(amount);
        assert(extras.released() == before.released() + amount);
        _sameButReleased(before, extras);
    }

    function check_extras_notice_touches_nothing_else(uint256 word, uint256 at) public pure {
        vm.assume(at < 1 << 32);
        Extras before = Extras.wrap(word);
        Extras extras = before.withCancellationAt(at);
        assert(extras.cancellationAt() == at);
        assert(extras.released() == before.released());
        assert(extras.recordId() == before.recordId());
        _sameFlags(before, extras);
    }

    function check_extras_relock_keeps_the_first_record(uint256 word, uint256 first, uint256 second) public pure {
        vm.assume(first < 1 << 14 && second < 1 << 14);
        Extras before = Extras.wrap(word);
        vm.assume(!before.isRelocked() && before.recordId() == 0);
        Extras extras = before.relock(first).relock(second);
        assert(extras.isRelocked());
        assert(extras.recordId() == first);
        assert(extras.released() == before.released());
        assert(extras.cancellationAt() == before.cancellationAt());
        assert(extras.isDisputed() == before.isDisputed());
        assert(extras.isScheduled() == before.isScheduled());
    }

    function check_extras_flags_are_independent(uint256 word, bool byProvider, bool owed) public pure {
        Extras before = Extras.wrap(word);
        vm.assume(!before.isByProvider() && !before.isBondOwed());
        Extras disputed = before.dispute(byProvider, owed);
        assert(disputed.isDisputed());
        assert(disputed.isByProvider() == byProvider);
        assert(disputed.isBondOwed() == owed);
        assert(!disputed.withBondPosted().isBondOwed());
        assert(disputed.withBondPosted().isByProvider() == byProvider);
        assert(disputed.released() == before.released() && disputed.cancellationAt() == before.cancellationAt());
        assert(disputed.hasClause() == before.hasClause() && disputed.isScheduled() == before.isScheduled());
        assert(disputed.isAliased() == before.isAliased() && disputed.isRelocked() == before.isRelocked());

        assert(before.withAlias().isAliased() && before.withAlias().hasClause() == before.hasClause());
        assert(before.withClause().hasClause() && before.withClause().isScheduled() == before.isScheduled());
        assert(before.withSchedule().isScheduled() && before.withSchedule().isAliased() == before.isAliased());
        assert(before.withSchedule().released() == before.released());
    }

    function _sameButReleased(Extras before, Extras extras) private pure {
        assert(extras.cancellationAt() == before.cancellationAt());
        assert(extras.recordId() == before.recordId());
        _sameFlags(before, extras);
    }

    function _sameFlags(Extras before, Extras extras) private pure {
        assert(Extras.unwrap(extras) >> 96 == Extras.unwrap(before) >> 96);
    }
}
