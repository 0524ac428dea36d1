// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IKernelExtension} from "../interfaces/IKernelExtension.sol";
import {Extras} from "../types/Extras.sol";
import {Progress} from "../types/Progress.sol";
import {Terms} from "../types/Terms.sol";
import {Payouts} from "./Payouts.sol";
import {Signatures} from "./Signatures.sol";

/// @title Disputes, their bonds, and the four ways in which one ends: a ruling, its being called off, time, consent
abstract contract Disputes is Payouts, Signatures, ReentrancyGuardTransient, IKernelExtension {
    /// @dev How a dispute ends; the amounts sum to what the escrow still holds.
    struct Ruling {
        uint256 requesterAmount;
        uint256 providerAmount;
        address mediator;
        uint256 mediatorAmount;
        bool providerAtFault;
    }

    /// @inheritdoc IKernelExtension
    function closeTimedOutDispute(bytes32 transactionId) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        _checkState(progress, State.DISPUTED);
        uint256 timesOutAfter = progress.updatedAt() + DISPUTE_TIMEOUT;
        if (block.timestamp <= timesOutAfter) revert DisputeNotTimedOut(timesOutAfter, block.timestamp);

        Terms terms = record.terms;
        Extras extras = record.extras;
        uint256 remaining = terms.amount() - extras.released();
        Ruling memory ruling;
        ruling.requesterAmount = remaining * _clauseOf(record, extras).timeoutRequesterBps() / MAX_BPS;
        ruling.providerAmount = remaining - ruling.requesterAmount;
        emit DisputeTimedOut(transactionId, ruling.requesterAmount, ruling.providerAmount);
        _endWithoutFault(transactionId, record, progress, ruling);
    }

    /// @inheritdoc IKernelExtension
    function settleByConsent(
        bytes32 transactionId,
        uint256 requesterAmount,
        uint256 providerAmount,
        uint256 validUntil,
        bytes calldata requesterSignature,
        bytes calldata providerSignature
    ) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        Extras extras = record.extras;
        State state = progress.state();
        if (!progress.isFunded() || state == State.SETTLED || state == State.CANCELLED) {
            revert InvalidTransition(state, State.SETTLED);
        }
        _checkSplit(requesterAmount, providerAmount, 0, terms.amount() - extras.released());
        if (block.timestamp > validUntil) revert ConsentExpired(validUntil, block.timestamp);
        bytes32 digest = _splitDigest(transactionId, requesterAmount, providerAmount, validUntil);
        _checkConsent(terms.requester(), digest, requesterSignature);
        _checkConsent(progress.provider(), digest, providerSignature);

        Ruling memory ruling;
        ruling.requesterAmount = requesterAmount;
        ruling.providerAmount = providerAmount;
        emit SettledByConsent(transactionId, requesterAmount, providerAmount);
        _endWithoutFault(transactionId, record, progress, ruling);
    }

    /// @inheritdoc IKernelExtension
    function postBond(bytes32 transactionId, address party) external nonReentrant {
        (Record storage record, Progress progress) = _load(transactionId);
        Terms terms = record.terms;
        Extras extras = record.extras;
        bool forProvider = party == progress.provider();
        if (!forProvider && party != terms.requester()) revert NotParty(party);

        if (progress.state() == State.DISPUTED) {
            if (!extras.isBondOwed() || extras.isByProvider() != forProvider) revert BondNotWanted(party);
            record.extras = extras.withBondPosted();
        } else {
            _checkState(progress, State.DELIVERED);
            _checkWindowOpen(progress);
            record.progress = progress.withExtras();
        }
        HeldBond storage bond = forProvider ? record.providerBond : record.requesterBond;
        uint256 required = _bondFor(terms, extras);
        if (bond.amount != 0 || required == 0) revert BondNotWanted(party);
        if (!_pullBond(transactionId, bond, party, required)) revert BondRefused(msg.sender, required);
    }

    // ---------------------------------------------------------------- steps of the state machine

    function _dispute(bytes32 transactionId, Record storage record, Progress progress) internal {
        if (progress.state() != State.DELIVERED) revert InvalidTransition(progress.state(), State.DISPUTED);
        Terms terms = record.terms;
        bool byProvider = msg.sender == progress.provider();
        if (!byProvider && msg.sender != terms.requester()) revert NotParty(msg.sender);
        _checkWindowOpen(progress);

        Extras extras = record.extras;
        HeldBond storage bond = byProvider ? record.providerBond : record.requesterBond;
        uint256 required = _bondFor(terms, extras);
        bool owed = false;
        if (bond.amount == 0 && required != 0) {
            owed = !_pullBond(transactionId, bond, msg.sender, required);
            if (owed) emit BondOwed(transactionId, msg.sender, required);
        }
        record.extras = extras.dispute(byProvider, owed);
        _move(transactionId, record, progress.withExtras(), State.DISPUTED);
        emit DisputeOpened(transactionId, msg.sender, required, block.timestamp);
    }

    function _rule(
        bytes32 transactionId,
        Record storage record,
        Progress progress,
        State newState,
        bytes calldata proof
    ) internal {
        Terms terms = record.terms;
        Extras extras = record.extras;
        address arbiter = _clauseOf(record, extras).arbiter();
        _checkResolver(terms.requester(), progress.provider(), arbiter);
        Ruling memory ruling = _decodeRuling(proof, newState, terms.amount() - extras.released());
        if (ruling.mediatorAmount != 0) {
            address mediator = ruling.mediator;
            bool named = arbiter != address(0) && mediator == arbiter;
            if ((!named && !_isMediator(mediator)) || mediator == terms.requester() || mediator == progress.provider()) {
                revert MediatorNotApproved(mediator);
            }
        }

        _move(transactionId, record, progress, newState);
        address initiator = extras.isByProvider() ? progress.provider() : terms.requester();
        (HeldBond storage bond, HeldBond storage spare) = _bonds(record, extras);
        emit DisputeResolved(
            transactionId,
            keccak256(abi.encode(transactionId, initiator)),
            initiator,
            ruling.providerAtFault,
            bond.amount,
            block.timestamp
        );
        uint256 net = _takeFee(transactionId, ruling.providerAmount, _ratesOf(_config, terms.recordId()).feeBps());
        // Whoever posted the bond of a party that is right, or of a dispute that is called off, gets it back.
        address bondPayee = bond.poster;
        if (newState == State.SETTLED && extras.isByProvider() == ruling.providerAtFault) {
            if (extras.isBondOwed()) net = _takeOwedBond(ruling, net, _bondFor(terms, extras));
            bondPayee = ruling.providerAtFault ? terms.requester() : progress.provider();
        }
        _creditBond(transactionId, spare);
        _payRuling(transactionId, record, progress, ruling, net, bond, bondPayee);
    }

    // ---------------------------------------------------------------- internals

    /// @dev Pays a split that finds nobody guilty: every bond goes back to its poster.
    function _endWithoutFault(
        bytes32 transactionId,
        Record storage record,
        Progress progress,
        Ruling memory ruling
    ) private {
        _move(transactionId, record, progress, State.SETTLED);
        uint256 feeBps = _ratesOf(_config, record.terms.recordId()).feeBps();
        uint256 net = _takeFee(transactionId, ruling.providerAmount, feeBps);
        (HeldBond storage bond, HeldBond storage spare) = _bonds(record, record.extras);
        _creditBond(transactionId, spare);
        _payRuling(transactionId, record, progress, ruling, net, bond, bond.poster);
    }

    /// @dev Pays the parts of an ended dispute and the bond of its initiator; `net` is the provider's part after the
    ///      fee. A party gets its part and the bond in one push, so that a ruling on parties whom the token refuses
    ///      stays payable.
    function _payRuling(
        bytes32 transactionId,
        Record storage record,
        Progress progress,
        Ruling memory ruling,
        uint256 net,
        HeldBond storage bond,
        address bondPayee
    ) private {
        bytes32 escrowId = _escrowId(transactionId, record, record.extras);
        address requester = record.terms.requester();
        address provider = progress.provider();
        uint256 bondAmount = _takeBond(transactionId, bond, bondPayee);
        if (ruling.requesterAmount != 0) {
            emit EscrowRefunded(transactionId, requester, ruling.requesterAmount, block.timestamp);
        }
        if (net != 0) emit EscrowReleased(transactionId, provider, net, block.timestamp);
        if (bondPayee == requester) {
            ruling.requesterAmount += bondAmount;
        } else if (bondPayee == provider) {
            net += bondAmount;
        } else {
            _pay(transactionId, escrowId, bondPayee, bondAmount);
        }
        _pay(transactionId, escrowId, requester, ruling.requesterAmount);
        _pay(transactionId, escrowId, provider, net);
        if (ruling.mediatorAmount != 0) {
            emit EscrowMediatorPaid(transactionId, ruling.mediator, ruling.mediatorAmount, block.timestamp);
        }
        // The parties come first: a refused push needs gas in reserve, and the mediator is the least likely to be one.
        _payAndClose(transactionId, escrowId, ruling.mediator, ruling.mediatorAmount, _config.vault());
    }

    /// @return bond The bond of the dispute's initiator, which the ruling decides on.
    /// @return spare A bond that was posted ahead for the other party, which goes back to its poster.
    function _bonds(Record storage record, Extras extras)
        private
        view
        returns (HeldBond storage bond, HeldBond storage spare)
    {
        return extras.isByProvider()
            ? (record.providerBond, record.requesterBond)
            : (record.requesterBond, record.providerBond);
    }

    /// @dev A bond that could not be posted and is lost comes out of its party's part of the escrow, as far as that
    ///      goes.
    /// @return providerNet The provider's part after the fee and the bond.
    function _takeOwedBond(Ruling memory ruling, uint256 net, uint256 bond)
        private
        pure
        returns (uint256 providerNet)
    {
        if (ruling.providerAtFault) {
            if (bond > net) bond = net;
            ruling.requesterAmount += bond;
            return net - bond;
        }
        if (bond > ruling.requesterAmount) bond = ruling.requesterAmount;
        ruling.requesterAmount -= bond;
        return net + bond;
    }

    function _decodeRuling(bytes calldata proof, State newState, uint256 remaining)
        private
        pure
        returns (Ruling memory ruling)
    {
        uint256 length = proof.length;
        if (length == 0) {
            if (newState == State.SETTLED) ruling.providerAmount = remaining;
            else ruling.requesterAmount = remaining;
            return ruling;
        }
        if (length != 64 && length != 96 && length != 128 && length != 160) revert InvalidProof(length);
        ruling.requesterAmount = uint256(bytes32(proof[0:32]));
        ruling.providerAmount = uint256(bytes32(proof[32:64]));
        ruling.providerAtFault = true;
        if (length == 96 || length == 160) {
            uint256 fault = uint256(bytes32(proof[64:96]));
            if (fault > 1) revert InvalidProof(length);
            ruling.providerAtFault = fault == 1;
        }
        if (length >= 128) {
            uint256 mediator = uint256(bytes32(proof[length - 64:length - 32]));
            if (mediator > type(uint160).max) revert InvalidProof(length);
            ruling.mediator = address(uint160(mediator));
            ruling.mediatorAmount = uint256(bytes32(proof[length - 32:]));
            uint256 maximum = remaining * MAX_MEDIATOR_FEE_BPS / MAX_BPS;
            if (ruling.mediatorAmount > maximum) revert MediatorFeeTooHigh(ruling.mediatorAmount, maximum);
        }
        _checkSplit(ruling.requesterAmount, ruling.providerAmount, ruling.mediatorAmount, remaining);
    }

    /// @dev The parts are checked one by one as well, since a sum of words may wrap.
    function _checkSplit(uint256 requesterAmount, uint256 providerAmount, uint256 mediatorAmount, uint256 remaining)
        private
        pure
    {
        uint256 sum;
        unchecked {
            sum = requesterAmount + providerAmount + mediatorAmount;
        }
        if (requesterAmount > remaining || providerAmount > remaining || sum != remaining) {
            revert SplitMismatch(sum, remaining);
        }
    }

    /// @dev A named arbiter rules alone; nobody rules on a transaction of its own.
    function _checkResolver(address requester, address provider, address arbiter) private view {
        bool entitled = arbiter == address(0) ? msg.sender == admin || _isMediator(msg.sender) : msg.sender == arbiter;
        if (!entitled || msg.sender == requester || msg.sender == provider) revert NotResolver(msg.sender);
    }

    function _isMediator(address account) private view returns (bool) {
        Mediator memory mediator = _mediators[account];
        return mediator.approved && block.timestamp >= mediator.approvedAt + MEDIATOR_APPROVAL_DELAY;
    }

    function _checkWindowOpen(Progress progress) private view {
        if (block.timestamp > progress.windowEnd()) revert WindowClosed(progress.windowEnd(), block.timestamp);
    }
}
