"""Finds out what happened in the blocks since the last verified one, and the balances around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actp.errors import RpcUnavailable
from coordinator.guard.evidence import Holding, Point, Sent
from coordinator.guard.happenings import Happened, Names, from_logs, from_receipt
from coordinator.guard.locating import ChainMoved, Found, OwnBlock
from coordinator.guard.reading import Reader
from coordinator.guard.segment import Segment
from coordinator.types import ETH, BlockRef

__all__ = ["happenings", "segments"]

_MANY = 4
"""From so many eth transactions of ours in a block on, all receipts of the block are one answer instead of many."""


def happenings(
    reader: Reader, point: Point, found: Found, names: Names, ours: frozenset[str], *, layered: bool
) -> list[Happened]:
    """Everything that was done by us or to us after the point, in its order."""
    happened = _in_spans(reader, point, found, names, ours)
    receipts = _receipts_of_many(reader, found.own)
    few = [block for block in found.own if block.ref.number not in receipts]
    happened.extend(_of_few(reader, few, names, ours, layered))
    for block in found.own:
        answers = receipts.get(block.ref.number)
        if answers is not None:
            happened.extend(_of_block(block, answers, names, ours, layered))
    _add_values(reader, found.own, [one for one in happened if one.block.number in receipts], ours)
    happened.sort(key=lambda one: (one.block.number, one.index))
    return happened


def segments(
    reader: Reader, point: Point, head: BlockRef, own: Sequence[OwnBlock], holdings: Sequence[Holding],
    happened: Iterable[Happened], ours: frozenset[str],
) -> list[Segment]:  # fmt: skip
    """The segments between blocks whose states are known. Raises RpcUnavailable if the head's is not."""
    wanted: dict[int, tuple[BlockRef, dict[Holding, None]]] = {}

    def want(block: BlockRef, more: Iterable[Holding] = ()) -> None:
        if block.number > point.block.number:
            wanted.setdefault(block.number, (block, dict.fromkeys(holdings)))[1].update(dict.fromkeys(more))

    extra_at_point: dict[Holding, None] = {}
    for one in own:
        touched = _touched(one.sent.values(), ours)
        if one.parent.number == point.block.number:
            extra_at_point.update(dict.fromkeys(holding for holding in touched if holding not in point.state.balances))
        want(one.parent, touched)
        want(one.ref, touched)
    want(head)
    plan = [(block, list(keys)) for _, (block, keys) in sorted(wanted.items())]
    if extra_at_point:
        plan.append((point.block, [holdings[0], *extra_at_point]))
    states = reader.balances(plan)
    before: Mapping[Holding, int] = point.state.balances
    lost = False
    if extra_at_point:
        plan.pop()
        extra = states.pop()
        lost = extra is None
        before = {**(extra or {}), **before}
    if states[-1] is None:
        raise RpcUnavailable("The node does not tell the balances of its newest block.", outcome="none")
    made: list[Segment] = []
    since = point.block
    for (block, _), state in zip(plan, states, strict=True):
        if state is not None:
            made.append(Segment(since, block, before, state, lost=lost))
            since, before, lost = block, state, False
    _assign(made, happened)
    return made


def _in_spans(reader: Reader, point: Point, found: Found, names: Names, ours: frozenset[str]) -> list[Happened]:
    """What tokens say of our accounts in the blocks without eth transactions of ours."""
    own = {block.ref.number for block in found.own}
    newest = [header.ref for header in found.newest if header.ref.number not in own]
    logs = reader.our_logs_in(newest, names.tokens, ours)
    first = point.block.number + 1
    before_newest = (found.newest[0].ref.number if found.newest else found.own[-1].ref.number + 1) - 1
    if first <= before_newest:
        for log in reader.our_logs(first, before_newest, names.tokens, ours):
            if int(log["blockNumber"], 16) not in own:
                logs.append(log)
    return from_logs(logs, names)


def _receipts_of_many(reader: Reader, own: Sequence[OwnBlock]) -> dict[int, list[Mapping[str, Any]]]:
    many = [block.ref for block in own if reader.block_receipts and len(block.sent) >= _MANY]
    answers = reader.receipts_of_blocks(many) if many else []
    return {block.number: answer for block, answer in zip(many, answers, strict=True)}


def _of_few(
    reader: Reader, blocks: Sequence[OwnBlock], names: Names, ours: frozenset[str], layered: bool
) -> list[Happened]:
    """As `_of_block`, for blocks with few of ours: their receipts, the tokens' logs, and the eth transactions."""
    if not blocks:
        return []
    refs = [block.ref for block in blocks]
    logs, bodies = reader.token_logs(refs, names.tokens), reader.bodies(refs)
    known: dict[str, Mapping[str, Any]] = {}
    wanted: list[str] = []
    for block, body in zip(blocks, bodies, strict=True):
        for transaction in body:
            tx_hash = transaction["hash"].lower()
            to = transaction.get("to")
            if tx_hash in block.sent or names.of(transaction["from"]) in ours or (to and names.of(to) in ours):
                known[tx_hash] = transaction
                wanted.append(tx_hash)
    receipts = dict(zip(wanted, reader.receipts(wanted), strict=True))
    happened: list[Happened] = []
    for block, entries in zip(blocks, logs, strict=True):
        relevant = ours | _counterparties(block)
        mine = {
            tx_hash: receipts.pop(tx_hash)
            for tx_hash in list(receipts)
            if known[tx_hash]["blockHash"].lower() == block.ref.hash
        }
        for tx_hash, receipt in mine.items():
            one = _from_receipt(receipt, block, names, layered)
            one.value = int(known[tx_hash]["value"], 16)
            happened.append(one)
        if not block.sent.keys() <= mine.keys():
            raise ChainMoved
        happened.extend(
            one for one in from_logs(entries, names) if one.tx_hash not in mine and _concerns(one, relevant, ours)
        )
    return happened


def _of_block(
    block: OwnBlock, answers: Iterable[Mapping[str, Any]], names: Names, ours: frozenset[str], layered: bool
) -> list[Happened]:
    """Our eth transactions of a block, and those of others that concern us or whom we paid in it."""
    relevant = ours | _counterparties(block)
    happened, missing = [], set(block.sent)
    for answer in answers:
        one = _from_receipt(answer, block, names, layered)
        if one.sent is not None:
            missing.discard(one.tx_hash)
            happened.append(one)
        elif _concerns(one, relevant, ours):
            happened.append(one)
    if missing:
        raise ChainMoved
    return happened


def _from_receipt(answer: Mapping[str, Any] | None, block: OwnBlock, names: Names, layered: bool) -> Happened:
    if answer is None or answer["blockHash"].lower() != block.ref.hash:
        raise ChainMoved
    one = from_receipt(answer, block.ref, names, layered=layered)
    one.sent = block.sent.get(one.tx_hash)
    if one.sent is not None:
        one.effects = one.sent.effects
        one.value = one.sent.values.get(one.tx_hash)
    return one


def _concerns(one: Happened, relevant: frozenset[str], ours: frozenset[str]) -> bool:
    return (
        one.sender in ours
        or one.to in ours
        or any(source in relevant or target in relevant for _, source, target, _ in one.transfers)
        or any(owner in ours for _, owner, _, _ in one.approvals)
    )


def _add_values(reader: Reader, own: Sequence[OwnBlock], happened: Sequence[Happened], ours: frozenset[str]) -> None:
    """How much ether they carry where that matters and what is signed does not say it: receipts do not, either."""
    numbers = {
        one.block.number
        for one in happened
        if one.value is None
        and (
            any(movement.asset == ETH for movement in one.effects.movements)
            or (one.sent is None and (one.to in ours or one.sender in ours))
        )
    }
    blocks = [block.ref for block in own if block.ref.number in numbers]
    if not blocks:
        return
    values = {
        transaction["hash"].lower(): int(transaction["value"], 16)
        for body in reader.bodies(blocks)
        for transaction in body
    }
    for one in happened:
        if one.block.number in numbers and one.value is None:
            one.value = values.get(one.tx_hash)


def _counterparties(block: OwnBlock) -> frozenset[str]:
    return frozenset(movement.target for one in block.sent.values() for movement in one.effects.movements)


def _touched(sent: Iterable[Sent], ours: frozenset[str]) -> list[Holding]:
    """The holdings of tokens that these eth transactions should change, of ours and of those who are paid."""
    touched: dict[Holding, None] = {}
    for one in sent:
        for movement in one.effects.movements:
            if movement.asset != ETH:
                touched[(movement.target, movement.asset)] = None
                if movement.source in ours:
                    touched[(movement.source, movement.asset)] = None
    return list(touched)


def _assign(made: Sequence[Segment], happened: Iterable[Happened]) -> None:
    at = iter(made)
    current = next(at)
    for one in happened:
        while one.block.number > current.until.number:
            current = next(at)
        current.happened.append(one)
