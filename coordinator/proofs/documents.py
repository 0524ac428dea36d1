"""Proofs as files: one line of canonical JSON, with a proof and every later link that says something about it, or with
a wallet's whole chain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from actp.errors import InvalidInput
from coordinator.canonical import canonical
from coordinator.errors import ProofError
from coordinator.proofs.making import Proof

__all__ = ["Document", "first_difference", "offset_of", "read_document", "write_document"]

FILE_FORMAT = "actp-proof-file/1"
_LARGEST = 256 * 2**20
_DEEPEST = 32
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')


@dataclass(frozen=True, slots=True)
class Document:
    """A file of proofs: its bytes without the line's end, and what they say."""

    raw: bytes = field(repr=False)
    content: dict[str, Any] = field(repr=False)

    @property
    def links(self) -> list[dict[str, Any]]:
        links: list[dict[str, Any]] = self.content["links"]
        return links


def write_document(proofs: Sequence[Proof]) -> bytes:
    """The file for these links, in the order of their chain."""
    links = []
    for one in sorted(proofs, key=lambda proof: proof.seq):
        parts = b'"parts":%s,' % one.parts if one.parts is not None else b""
        links.append(
            b'{"head":%s,%s"proofHash":"%s","signature":"%s"}'
            % (one.head, parts, one.proof_hash.encode(), one.signature.encode())
        )
    return b'{"format":"%s","links":[%s]}\n' % (FILE_FORMAT.encode(), b",".join(links))


def read_document(raw: bytes) -> Document:
    """A file as it was written. Raises ProofError that names the byte, counted from 0, at which it is not one."""
    if len(raw) > _LARGEST:
        raise ProofError(f"The file has more than {_LARGEST} bytes.")
    raw = raw.removesuffix(b"\n")
    _require_flat(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ProofError(f"Byte {error.start} is not UTF-8.", code="not_json") from error
    try:
        content = json.loads(text, parse_float=_no_float, parse_constant=_no_float)
    except json.JSONDecodeError as error:
        position = len(text[: error.pos].encode())
        raise ProofError(f"Byte {position} does not fit JSON: {error.msg}.", code="not_json") from error
    except ValueError as error:
        raise ProofError("The file holds a number that no proof has.", code="not_json") from error
    try:
        again = canonical(content)
    except InvalidInput as error:
        raise ProofError(f"The file is not canonical JSON: {error.message}", code="not_canonical") from error
    if again != raw:
        position = first_difference(again, raw)
        raise ProofError(f"Byte {position} is not what canonical JSON (RFC 8785) has there.", code="not_canonical")
    _require_shape(content, raw)
    return Document(raw, content)


def first_difference(one: bytes, other: bytes) -> int:
    """Where two texts first differ; the length of the shorter one if it begins the other."""
    for position, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return position
    return min(len(one), len(other))


def offset_of(value: Any, path: Sequence[str | int]) -> int:
    """At which byte of the canonical form of `value` that begins to which `path` leads."""
    position = 0
    for step in path:
        position += 1  # the bracket
        if isinstance(step, int):
            position += sum(len(canonical(item)) + 1 for item in value[:step])
        else:
            for name in sorted(value):
                if name == step:
                    break
                position += len(canonical(name)) + len(canonical(value[name])) + 2
            position += len(canonical(step)) + 1
        value = value[step]
    return position


def _require_flat(raw: bytes) -> None:
    # The parser recurses, and the limit of recursion may be set so high that the process dies first.
    depth = 0
    for token in _TOKENS.finditer(raw):
        first = raw[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > _DEEPEST:
            raise ProofError(f"Byte {token.start()} opens more brackets than a proof has.", code="not_json")


def _no_float(text: str) -> Any:
    raise ValueError(text)


_LINK = frozenset({"head", "proofHash", "signature"})


def _require_shape(content: Any, raw: bytes) -> None:
    links = content.get("links") if isinstance(content, dict) else None
    beginning = b'{"format":"%s","links":[{' % FILE_FORMAT.encode()
    if not isinstance(links, list) or not raw.startswith(beginning) or len(content) > 2:
        position = first_difference(beginning, raw)
        raise ProofError(
            f"Byte {position} is not what a file of the format {FILE_FORMAT} has there.", code="wrong_shape"
        )
    for index, link in enumerate(links):
        shaped = (
            isinstance(link, dict)
            and set(link) - {"parts"} == _LINK
            and isinstance(link["head"], dict)
            and isinstance(link["proofHash"], str)
            and isinstance(link["signature"], str)
            and isinstance(link.get("parts", {}), dict)
        )
        if not shaped:
            position = _misnamed(content, index) or offset_of(content, ("links", index))
            raise ProofError(f"Byte {position} is not what a link of a proof has there.", code="wrong_shape")


def _misnamed(content: Any, index: int) -> int | None:
    """The byte at which a link's only unknown name stops being the one that it lacks."""
    names = set(content["links"][index]) if isinstance(content["links"][index], dict) else set()
    strange, missing = names - _LINK - {"parts"}, _LINK - names or {"parts"}
    if len(strange) != 1 or len(missing) != 1:
        return None
    (name,), (wanted,) = strange, missing
    start = offset_of(content, ("links", index, name)) - len(canonical(name))
    return start + first_difference(name.encode(), wanted.encode())
