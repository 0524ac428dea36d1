"""The delta guard: looks at the chain from the last verified block to the newest, and says what is not as signed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from actp.engine.lookup import where_used
from actp.engine.opstack import oracle_for
from actp.errors import InvalidInput, RpcError, RpcUnavailable
from actp.rpc import Transport
from coordinator.guard.comparing import differences
from coordinator.guard.evidence import (
    Allowance,
    Due,
    Examination,
    Finding,
    Holding,
    Kind,
    Place,
    Point,
    Sent,
    State,
    Watched,
)
from coordinator.guard.gathering import happenings, segments
from coordinator.guard.happenings import Happened, Names, from_receipt
from coordinator.guard.judge import judge_segment
from coordinator.guard.locating import MOST_BLOCKS, ChainMoved, Found, locate
from coordinator.guard.reading import Header, Reader, StateGone
from coordinator.guard.standing import judge_allowances, judge_codes
from coordinator.guard.strangers import paid_by, short, use_signatures
from coordinator.guard.wording import DERIVED_AGAIN, NOT_DERIVED
from coordinator.types import ETH, BlockRef, Effects

__all__ = ["DeltaGuard"]

_log = logging.getLogger(__name__)
_DELEGATION = "0xef0100"
_ANCHORED_WITHIN = 4_096
_LOOKED_UP = 8
"""Of how many nonces that somebody else used it is looked up by what."""


class DeltaGuard:
    """One guard for the accounts of one chain. Keeps nothing: what it knows is in the point. Thread-safe."""

    def __init__(self, transport: Transport, chain_id: int, watched: Watched) -> None:
        self._transport = transport
        self._chain_id = chain_id
        self._watched = watched
        self._ours = frozenset(watched.accounts)
        self._holdings: list[Holding] = [
            (account, asset) for account in watched.accounts for asset in (ETH, *watched.tokens)
        ]
        self._allowances: list[Allowance] = [
            (token, owner, spender)
            for token in watched.tokens
            for owner in watched.accounts
            for spender in watched.spenders
        ]

    def start(self) -> Point:
        """The newest block, and what it left: all before it is taken as it is. Raises RpcError, RpcUnavailable."""
        reader = Reader(self._transport)
        head = self._newest(reader)
        try:
            state = replace(self._state(reader, head.ref), balances=self._balances(reader, head.ref))
        except StateGone as error:
            raise self._stateless() from error
        if not self._still(reader, head):
            raise RpcUnavailable(f"{self._transport.label} changed its newest block meanwhile.", outcome="none")
        return Point(head.ref, state)

    def anchor(self, lost: Point) -> Point:
        """A point to go on from when no block of any point is on the chain any more: the highest block, not above the
        oldest one's, in which none of our accounts has used a nonce that it had not used at that point. What is not of
        our nonces and was in the blocks that are gone is taken as it is. Raises RpcError, RpcUnavailable.
        """
        reader = Reader(self._transport)
        head = self._newest(reader)
        number = min(lost.block.number, head.ref.number)
        for below in range(_ANCHORED_WITHIN):
            (header,) = reader.headers([max(number - below, 0)])
            if header is None:
                raise RpcUnavailable(f"{self._transport.label} does not show a block below its newest.", outcome="none")
            try:
                state = self._state(reader, header.ref)
                nonces = lost.state.nonces
                if header.ref.number and any(count > nonces.get(one, count) for one, count in state.nonces.items()):
                    continue
                return Point(header.ref, replace(state, balances=self._balances(reader, header.ref)))
            except StateGone as error:
                raise self._stateless() from error
        raise self._stateless()

    def advance(self, point: Point, sent: Callable[[], Sequence[Sent]], due: Due | None = None) -> Examination:
        """Examines what happened after `point`, up to the newest block or, where there is much, a part of it.

        `sent` is called after the newest block is chosen. It returns everything that is signed and has a nonce not
        below the point's, and the signatures given away that are not used yet: what is mined by then was stored before
        it was sent, so what it does not return is not ours. `due` is asked about others' eth transactions in which a
        spender paid us.
        An examination with the same point found nothing new, or a node that lags or just changes its newest blocks.
        Raises RpcError and RpcUnavailable; nothing is examined then. Raises InvalidInput for a sender not watched.
        """
        reader = Reader(self._transport)
        newest, base = reader.headers(["latest", point.block.number])
        if newest is None or base is None or newest.ref.number < point.block.number:
            return Examination(point)
        if base.ref.hash != point.block.hash:
            return Examination(point, reorged=True)
        if newest.ref == point.block:
            return Examination(point)
        claims = sent()
        for one in claims:
            if one.sender not in self._ours:
                raise InvalidInput(f"The account {one.sender} is not watched by this guard.")
        try:
            examined = self._examine(reader, point, newest, claims, due)
            # Some nodes answer for their newest block from the next one while they make that: what is no good news is
            # believed if it is read twice.
            if any(one.kind is not Kind.RECEIVED for one in examined.findings):
                again = self._examine(Reader(self._transport), point, newest, claims, due)
                if again != examined:
                    raise ChainMoved
            return examined
        except ChainMoved:
            _log.info("%s answers from more than one chain of blocks: it is asked again later.", self._transport.label)
            return Examination(point)
        except StateGone as error:
            raise self._stateless() from error

    def _examine(
        self, reader: Reader, point: Point, head: Header, claims: Sequence[Sent], due: Due | None
    ) -> Examination:
        point = self._filled(reader, point)
        names = Names(self._watched)
        for claim in claims:
            names.learn(claim.effects)
        state = self._state(reader, head.ref)
        before = self._first_nonces(point, state, claims)
        mined = [
            one for one in claims
            if one.nonce is not None and before[one.sender] <= one.nonce < state.nonces[one.sender]
        ]  # fmt: skip
        with self._well_formed():
            found = locate(reader, point, head, mined)
        end = head.ref
        if len(found.own) > MOST_BLOCKS:
            found.cut()
            end = found.own[-1].ref
            state = self._state(reader, end)
            found.missing = [one for one in found.missing if (one.nonce or 0) < state.nonces[one.sender]]
        layered = oracle_for(self._transport).present(self._transport, self._chain_id)
        with self._well_formed():
            happened = happenings(reader, point, found, names, self._ours, layered=layered)
            findings = self._foreign(reader, point, end, found, before, state.nonces, happened, names, layered)
        made = segments(reader, point, end, found.own, self._holdings, happened, self._ours)
        if not self._still(reader, head):
            raise ChainMoved
        use_signatures(happened, [one for one in claims if one.nonce is None], self._ours)
        parents = {block.ref.number: block.parent for block in found.own}
        self._rederive(happened, parents, names)
        owed = {} if due is None else self._due(reader, happened, due)
        verdicts = []
        for segment in made:
            findings.extend(short(segment, owed, self._ours))
            judged, more = judge_segment(segment, self._ours, self._holdings)
            verdicts.extend(judged)
            findings.extend(more)
        changed, allowances = judge_allowances(point.state, state, happened, point.block, end)
        findings.extend(changed)
        findings.extend(judge_codes(point.state, state, point.block, end))
        last = {holding: made[-1].after[holding] for holding in self._holdings if holding in made[-1].after}
        return Examination(
            Point(end, replace(state, balances=last, allowances=allowances)), tuple(verdicts), tuple(findings)
        )

    def _foreign(
        self, reader: Reader, point: Point, end: BlockRef, found: Found, before: Mapping[str, int],
        after: Mapping[str, int], happened: list[Happened], names: Names, layered: bool,
    ) -> list[Finding]:  # fmt: skip
        """Nonces of ours that were used by something that is not ours. What it was, if that can be told, is added to
        what happened.
        """
        used = {(one.sender, one.nonce) for block in found.own for one in block.sent.values()}
        missing = {(one.sender, one.nonce): one for one in found.missing}
        findings = []
        for account in self._watched.accounts:
            code = point.state.codes.get(account, "0x")
            if code != "0x" and not code.startswith(_DELEGATION):
                continue  # nonces of contracts count what they create
            others = [nonce for nonce in range(before[account], after[account]) if (account, nonce) not in used]
            for index, nonce in enumerate(others):
                use = where_used(self._transport, account, nonce) if index < _LOOKED_UP else None
                ours = missing.get((account, nonce))
                tx_hash = None if use is None or use.tx_hash is None else use.tx_hash.lower()
                if ours is not None and tx_hash in {one.lower() for one in ours.tx_hashes}:
                    raise ChainMoved
                if ours is not None and (use is None or use.block is None):
                    text = f"Nonce {nonce} of {account} is used, and the node does not tell by what."
                    kind = Kind.INCOMPLETE
                else:
                    by = "something that is no eth transaction of it" if tx_hash is None else tx_hash
                    by = "something that the node does not tell" if use is None or use.block is None else by
                    text = f"Nonce {nonce} of {account} was used by {by}, which the engine did not sign."
                    kind = Kind.KEY_USED
                findings.append(
                    Finding(
                        kind, text, account, end, point.block.number,
                        tx_hash=tx_hash, operation_id=None if ours is None else ours.operation_id,
                    )
                )  # fmt: skip
                # What logs tell of it has no fee and no sender.
                if tx_hash is not None and not any(one.tx_hash == tx_hash and one.sender for one in happened):
                    happened[:] = [one for one in happened if one.tx_hash != tx_hash]
                    self._add(reader, tx_hash, happened, names, layered)
        happened.sort(key=lambda one: (one.block.number, one.index))
        return findings

    def _add(self, reader: Reader, tx_hash: str, happened: list[Happened], names: Names, layered: bool) -> None:
        """Adds one eth transaction, so that what it did is not laid at the door of others."""
        (receipt,) = reader.receipts([tx_hash])
        (transaction,) = reader.ask([("eth_getTransactionByHash", [tx_hash])])
        if receipt is None or not isinstance(transaction, dict):
            raise ChainMoved
        block = BlockRef(int(receipt["blockNumber"], 16), receipt["blockHash"].lower())
        one = from_receipt(receipt, block, names, layered=layered)
        one.value = int(transaction["value"], 16)
        happened.append(one)

    def _rederive(self, happened: Sequence[Happened], parents: Mapping[int, BlockRef], names: Names) -> None:
        """Effects that depend on what others did before: as they were where the eth transaction was mined."""
        for one in happened:
            sent = one.sent
            if sent is None or sent.rederive is None or one.block.number not in parents:
                continue
            if not differences(one, self._ours):
                continue
            try:
                effects = sent.rederive(Place(parents[one.block.number], one.block, one.index))
            except RpcError as error:
                one.doubtful = True
                one.notes.append(f"{NOT_DERIVED}: {error.message}")
                continue
            names.learn(effects)
            transfers = [(token, names.of(source), names.of(to), amount) for token, source, to, amount in one.transfers]
            again = replace(one, effects=effects, transfers=transfers)
            if not differences(again, self._ours):
                one.effects, one.transfers = effects, transfers
                one.notes.append(DERIVED_AGAIN)

    def _due(self, reader: Reader, happened: Sequence[Happened], due: Due) -> dict[str, Effects | None]:
        """What strangers had to pay us by the terms that they carried out, by hash; None where that cannot be told."""
        spenders = frozenset(self._watched.spenders)
        paying = [one for one in happened if one.sent is None and paid_by(one, spenders, self._ours)]
        parents = reader.headers([one.block.number - 1 for one in paying]) if paying else []
        found: dict[str, Effects | None] = {}
        for one, parent in zip(paying, parents, strict=True):
            if parent is None:
                raise ChainMoved
            try:
                effects = due(Place(parent.ref, one.block, one.index))
            except RpcError:
                found[one.tx_hash] = None
                continue
            if effects is not None:
                found[one.tx_hash] = effects
        return found

    def _filled(self, reader: Reader, point: Point) -> Point:
        """The point with what is watched since it was made, as far as the node still tells it."""
        state = point.state
        if (
            all(holding in state.balances for holding in self._holdings)
            and all(account in state.nonces and account in state.codes for account in self._watched.accounts)
            and all(key in state.allowances for key in self._allowances)
        ):
            return point
        try:
            then = self._state(reader, point.block)
            balances = self._balances(reader, point.block)
        except (RpcError, StateGone):
            return point
        return Point(
            point.block,
            State(
                {**balances, **state.balances},
                {**then.nonces, **state.nonces},
                {**then.allowances, **state.allowances},
                {**then.codes, **state.codes},
            ),
        )

    def _first_nonces(self, point: Point, state: State, claims: Sequence[Sent]) -> dict[str, int]:
        first = {}
        for account in self._watched.accounts:
            lowest = min(
                (one.nonce for one in claims if one.sender == account and one.nonce is not None),
                default=state.nonces[account],
            )
            first[account] = point.state.nonces.get(account, lowest)
        return first

    def _state(self, reader: Reader, block: BlockRef) -> State:
        """Everything but the balances."""
        return reader.state(block, self._watched.accounts, self._allowances)

    def _balances(self, reader: Reader, block: BlockRef) -> dict[Holding, int]:
        (balances,) = reader.balances([(block, self._holdings)])
        if balances is None:
            raise StateGone
        return balances

    def _newest(self, reader: Reader) -> Header:
        (head,) = reader.headers(["latest"])
        if head is None:
            raise RpcUnavailable(f"{self._transport.label} shows no newest block.", outcome="none")
        return head

    def _still(self, reader: Reader, head: Header) -> bool:
        """Whether the block is still on the chain: then so is every block below it, and all was read of one chain."""
        (now,) = reader.headers([head.ref.number])
        return now is not None and now.ref == head.ref

    @contextmanager
    def _well_formed(self) -> Iterator[None]:
        """What a node answers in a form that makes no sense is no evidence of anything."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RpcUnavailable(
                f"{self._transport.label} answered in a form that nodes do not use: {type(error).__name__}.",
                hint="Use another RPC URL.", outcome="none",
            ) from error  # fmt: skip

    def _stateless(self) -> RpcUnavailable:
        return RpcUnavailable(f"{self._transport.label} does not tell the state of its newest block.", outcome="none")
