"""Many mutants in one build: each is a changed copy of its function, and a number in the code says which one is called.

A function `f` with the mutants 1 and 2 becomes

    function f(uint256 a) external returns (uint256) { if (MARK == 1) { return mutant1(a); } ... the body as it was }
    function mutant1(uint256 a) private returns (uint256) { the body with the first change }

so that one slow compilation serves dozens of them. The bodies of constructors and modifiers stay where they are, in an
`if` and its `else`. The code is not optimized, or the comparisons would be folded away. `MARK` is found in the finished
bytecode and overwritten with the number of the mutant; zero is the code as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scripts.assure.plain_code import EXTENSION, KERNEL, VAULT, Artifact, Node, PlainCode, place
from scripts.assure.workspace import Failed

RARE = ("Disputes", "Funding", "Governance", "Milestones", "Signatures")
ONLY_IN = {
    "contracts/EscrowVault.sol": VAULT,
    "contracts/ACTPKernel.sol": KERNEL,
    "contracts/kernel/Cancellations.sol": KERNEL,
    "contracts/KernelExtension.sol": EXTENSION,
    **{f"contracts/kernel/{name}.sol": EXTENSION for name in RARE},
}
MARK = b"the number of the mutant is here".hex()
IMPORT = re.compile(rb"^import .*?;", re.MULTILINE | re.DOTALL)
PARSED_AT_ONCE = 100
COPIED_BYTES = 60_000
"""Of source text in one build; more would gain little and use much memory."""


@dataclass(frozen=True)
class Mutant:
    """`start` and `end` are offsets in bytes; `new` takes the place of what is between them."""

    file: str
    kind: str
    start: int
    end: int
    line: int
    new: str

    def units(self) -> tuple[str, ...]:
        return (ONLY_IN[self.file],) if self.file in ONLY_IN else (EXTENSION, KERNEL)

    def apply(self, content: bytes, start: int = 0, end: int | None = None) -> bytes:
        """The changed file, or the changed part of it from `start` to `end`."""
        return content[start : self.start] + self.new.encode() + content[self.end : end]


@dataclass(frozen=True)
class Function:
    """Where a function stands in its file, in bytes, and how a copy of it is declared and called.

    Constructors and modifiers cannot be called: their `parameters` are empty.
    """

    start: int
    body: int
    end: int
    parameters: str = ""
    arguments: str = ""
    modifiers: str = ""
    returns: str = ""

    def holds(self, mutant: Mutant) -> bool:
        return self.body < mutant.start and mutant.end < self.end

    def parts(self, content: bytes, mutants: Mapping[int, Mutant]) -> Iterator[tuple[int, bytes]]:
        """Body and copies, in this order; with the number of the mutant where it is one, else with zero."""
        changed = {number: mutant.apply(content, self.body, self.end) for number, mutant in mutants.items()}
        if not self.parameters:
            yield 0, b"{"
            for number, body in changed.items():
                yield number, _if(number) + body + b" else "
            yield 0, content[self.body : self.end] + b"}"
            return
        yield 0, b"{" + b"".join(map(self._call, mutants)) + content[self.body + 1 : self.end]
        for number, body in changed.items():
            head = f"\nfunction mutant{number}{self.parameters} {self.modifiers} {self.returns} "
            yield number, head.encode() + body

    def _call(self, number: int) -> bytes:
        called = f"mutant{number}({self.arguments});"
        return _if(number) + (f"{{ return {called} }}" if self.returns else f"{{ {called} return; }}").encode()


@dataclass(frozen=True)
class Build:
    """Mutants of one file by their number, and the artifacts of the units in which that file is."""

    mutants: Mapping[int, Mutant]
    artifacts: Mapping[str, Artifact]
    switched: bool
    """Whether number zero gives the code as it was; otherwise the only mutant is in the code itself."""

    def numbered(self, number: int) -> Iterator[tuple[str, str]]:
        """Unit and artifact of one mutant, or of none if the number is zero."""
        for unit, artifact in self.artifacts.items():
            yield unit, json.dumps(artifact).replace(MARK, f"{number:064x}")


class Builder:
    """Puts mutants together, as many as go into one build."""

    def __init__(self, code: PlainCode) -> None:
        self.code = code
        self.functions: dict[str, list[Function]] = {}

    def unparsable(self, mutants: Sequence[Mutant]) -> set[Mutant]:
        """Those whose file is no Solidity any more. Files are read without what they import."""
        found = set()
        for first in range(0, len(mutants), PARSED_AT_ONCE):
            some = {str(number): mutant for number, mutant in enumerate(mutants[first : first + PARSED_AT_ONCE])}
            changed = {name: mutant.apply(self.code.read(mutant.file)) for name, mutant in some.items()}
            sources = {name: IMPORT.sub(b"", content) for name, content in changed.items()}
            errors = self.code.errors(sources, stopAfter="parsing")
            found |= {some[error["sourceLocation"]["file"]] for error in errors}
        return found

    def builds(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Build, list[Mutant]]]:
        """Builds, each with those of its mutants that do not compile."""
        rest: list[Mutant] = []
        size = 0
        for mutant in mutants:
            function = self._function(mutant)
            if function is None:
                yield self._alone(mutant)
                continue
            length = function.end - function.body
            if rest and (rest[0].file != mutant.file or size + length > COPIED_BYTES):
                yield from self._together(rest)
                rest, size = [], 0
            rest.append(mutant)
            size += length
        if rest:
            yield from self._together(rest)

    def _alone(self, mutant: Mutant) -> tuple[Build, list[Mutant]]:
        """For what is in no body, such as the modifiers in the head of a function."""
        changed = {mutant.file: mutant.apply(self.code.read(mutant.file))}
        if self.code.errors(changed):
            return Build({}, {}, switched=False), [mutant]
        artifacts = {unit: self.code.compile(unit, changed) for unit in mutant.units()}
        made = {unit: artifact for unit, artifact in artifacts.items() if artifact is not None}
        if len(made) < len(artifacts):
            return Build({}, {}, switched=False), [mutant]
        return Build({1: mutant}, made, switched=False), []

    def _together(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Build, list[Mutant]]]:
        file = mutants[0].file
        numbered = dict(enumerate(mutants, start=1))
        invalid: list[Mutant] = []
        while numbered:
            changed, places = self._with_copies(file, numbered)
            errors = self.code.errors({file: changed})
            if not errors:
                break
            wrong = {number for number, (start, end) in places.items() if _any_within(errors, file, start, end)}
            if not wrong:
                raise Failed(f"{file} with copies of functions does not compile: {errors[0]['formattedMessage']}")
            invalid += [numbered.pop(number) for number in sorted(wrong)]
        made = {unit: self.code.compile(unit, {file: changed}) for unit in mutants[0].units()} if numbered else {}
        artifacts = {unit: artifact for unit, artifact in made.items() if artifact is not None}
        if len(artifacts) == len(made):
            yield Build(numbered, artifacts, switched=bool(numbered)), invalid
            return
        # One of them needs more of the stack than there is. It is found by halves.
        yield Build({}, {}, switched=False), invalid
        rest = list(numbered.values())
        if len(rest) == 1:
            yield self._alone(rest[0])
            return
        yield from self._together(rest[: len(rest) // 2])
        yield from self._together(rest[len(rest) // 2 :])

    def _with_copies(self, file: str, mutants: Mapping[int, Mutant]) -> tuple[bytes, dict[int, tuple[int, int]]]:
        """The file with all mutants in it, and where the copies are."""
        content = self.code.read(file)
        made, places, done = b"", {}, 0
        for function in self._functions(file):
            made += content[done : function.body]
            own = {number: mutant for number, mutant in mutants.items() if function.holds(mutant)}
            for number, text in function.parts(content, own):
                if number:
                    places[number] = (len(made), len(made) + len(text))
                made += text
            done = function.end
        return made + content[done:], places

    def _function(self, mutant: Mutant) -> Function | None:
        return next((function for function in self._functions(mutant.file) if function.holds(mutant)), None)

    def _functions(self, file: str) -> list[Function]:
        """Of a file, in order: those that have a body, a name, and names for what they are given."""
        if file not in self.functions:
            content = self.code.read(file)
            found = [_function(node, content) for node in self.code.nodes(file)]
            self.functions[file] = sorted((one for one in found if one is not None), key=lambda one: one.start)
        return self.functions[file]


def _function(node: Node, content: bytes) -> Function | None:
    if node["nodeType"] not in {"FunctionDefinition", "ModifierDefinition"} or not node.get("body"):
        return None
    start, end = place(node)
    body = place(node["body"])[0]
    kind = node.get("kind", "modifier")
    if kind in {"constructor", "modifier"}:
        return Function(start, body, end)
    names = [parameter["name"] for parameter in node["parameters"]["parameters"]]
    if kind not in {"function", "freeFunction"} or not all(names):
        return None
    returned = node["returnParameters"]
    mutability = "" if node["stateMutability"] == "nonpayable" else node["stateMutability"]
    return Function(
        start,
        body,
        end,
        parameters=_text(node["parameters"], content),
        arguments=", ".join(names),
        modifiers=f"{'' if kind == 'freeFunction' else 'private'} {mutability}",
        returns=f"returns {_text(returned, content)}" if returned["parameters"] else "",
    )


def _if(number: int) -> bytes:
    return f" if (0x{MARK} == {number}) ".encode()


def _text(node: Node, content: bytes) -> str:
    start, end = place(node)
    return content[start:end].decode()


def _any_within(errors: Sequence[Node], file: str, start: int, end: int) -> bool:
    spots = [error["sourceLocation"] for error in errors if "sourceLocation" in error]
    return any(spot["file"] == file and start <= spot["start"] < end for spot in spots)
