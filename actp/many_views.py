"""Many views as one `eth_call` without a receiver: its data, and what the answer says. No I/O. See ViewReader.sol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actp import artifacts, reverts
from actp.errors import RpcError
from actp.units import keccak

__all__ = ["MOST", "Answer", "Question", "answers_in", "call_data", "chunks", "longest"]

Question = tuple[str, bytes]
"""The address of a contract, and call data for it."""
Answer = tuple[bool, bytes]
"""Whether the view succeeded, and what it returned, or was refused with."""

MOST = 200
"""Views in one call. With the 30 million gas that nodes give to a call at the least, each then has 140,000 or more, and
what others leave.
"""
_MOST_BYTES = 40_000
"""Of encoded questions in one call: creation code, of which they are a part, may have 49,152 bytes."""
_WORDS_OF_EACH = 5
_WORD = 32

_ANSWERS = keccak(b"Answers(bytes)")[:4]


def call_data(questions: Sequence[Question]) -> bytes:
    """Data of the call that asks all of these, which are no more than one of `chunks`."""
    return artifacts.load("ViewReader").creation_code((questions,))


def answers_in(refusal: object, count: int) -> list[Answer] | None:
    """The answers in the error that a node answers such a call with; None if they are not there, all of them."""
    if not isinstance(refusal, RpcError):
        return None
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    data = reverts.revert_data(refusal)
    if data is None or data[:4] != _ANSWERS:
        return None
    try:
        (encoded,) = decode(("bytes",), data[4:])
        (answers,) = decode(("(bool,bytes)[]",), encoded)
    except DecodingError:
        return None
    return [(success, bytes(answer)) for success, answer in answers] if len(answers) == count else None


def chunks(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """The questions in their order, divided into what fits into one call each."""
    first = size = 0
    for index, (_, data) in enumerate(questions):
        own = _WORD * (_WORDS_OF_EACH + len(data) // _WORD)
        if index - first == MOST or (index > first and size + own > _MOST_BYTES):
            yield questions[first:index]
            first, size = index, 0
        size += own
    if first < len(questions):
        yield questions[first:]


def longest() -> bytes:
    """Data of a call of as many views as are ever asked at once, whose answers are known: all succeed, with nothing."""
    return call_data([("0x" + "00" * 20, bytes(4 + _WORD))] * MOST)
