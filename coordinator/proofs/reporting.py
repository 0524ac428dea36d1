"""What a verification finds, and where in the file it finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coordinator.proofs.documents import Document, first_difference, offset_of
from coordinator.proofs.locating import changed_byte

__all__ = ["Check", "Findings", "Path", "Report", "Result"]

Path = tuple[str | int, ...]
"""Names and indexes that lead from a link to a value in it."""


class Result(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    NOT_CHECKED = "not checked"
    """It could be checked, but not here: by a node that is named, or that still has these states."""
    STATED = "stated"
    """Nothing but the signer's word stands behind it, whoever looks."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `link` is the link's number in its chain, `byte` the first one that is wrong (or
    the first of the range `byte` to `until` in which it is), counted from 0.
    """

    name: str
    result: Result
    detail: str = ""
    link: int | None = None
    byte: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was checked, in order."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; see `not_checked` for what nobody looked at, `stated` for what nobody can."""
        return all(check.result is not Result.WRONG for check in self.checks)

    @property
    def wrong(self) -> tuple[Check, ...]:
        """What is wrong, the first byte in the file first."""
        found = self._of(Result.WRONG)
        return tuple(sorted(found, key=lambda check: (check.byte is None, check.byte or 0)))

    @property
    def not_checked(self) -> tuple[Check, ...]:
        return self._of(Result.NOT_CHECKED)

    @property
    def stated(self) -> tuple[Check, ...]:
        return self._of(Result.STATED)

    def _of(self, result: Result) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.result is result)


class Findings:
    """Collects checks. `link` is the number of the link that is looked at, None for the file as a whole."""

    def __init__(self, document: Document) -> None:
        self.checks: list[Check] = []
        self.link: int | None = None
        self._document = document

    def say(self, name: str, detail: str) -> None:
        """It is right."""
        self._add(name, Result.OK, detail)

    def unchecked(self, name: str, detail: str) -> None:
        """It was not looked at, and why."""
        self._add(name, Result.NOT_CHECKED, detail)

    def stated(self, name: str, detail: str) -> None:
        """It is as true as the signer's key."""
        self._add(name, Result.STATED, detail)

    def fact(self, index: int, path: Path, name: str, text: str, holds: bool) -> None:
        """Right or wrong, by whether it holds; `text` says it as if it did."""
        if holds:
            self.say(name, text)
        else:
            self.wrong(index, path, name, f"Not so: {text}.")

    def wrong(self, index: int, path: Path, name: str, detail: str) -> None:
        """It is wrong where the value begins to which `path` leads within the link at this place of the file."""
        self._add(name, Result.WRONG, detail, self.start(index, path))

    def wrong_text(self, index: int, path: Path, stated: str, wanted: str, name: str) -> None:
        """It is wrong at the first character that differs from the text that is wanted."""
        position = self.start(index, path) + 1 + first_difference(stated.encode(), wanted.encode())
        self._add(name, Result.WRONG, f"It should be {wanted}.", position)

    def wrong_at(self, position: int, name: str, detail: str) -> None:
        """It is wrong at this byte of the file."""
        self._add(name, Result.WRONG, detail, position)

    def wrong_in(self, index: int, path: Path, text: bytes, wanted: str, name: str, detail: str) -> None:
        """It is wrong somewhere in this text, which is searched for the one byte that gives the hash `wanted`."""
        start = self.start(index, path)
        position = changed_byte(text, wanted)
        if position is not None:
            self._add(name, Result.WRONG, f"{detail}.", start + position)
        else:
            self._add(name, Result.WRONG, f"{detail}, in more than one byte.", start, start + len(text))

    def start(self, index: int, path: Path) -> int:
        """The byte at which a value begins; of one that is not there, that in which it should be."""
        whole: Sequence[str | int] = ("links", index, *path)
        while True:
            try:
                return offset_of(self._document.content, whole)
            except (KeyError, IndexError, TypeError):
                whole = whole[:-1]

    def _add(self, name: str, result: Result, detail: str, byte: int | None = None, until: int | None = None) -> None:
        self.checks.append(Check(name, result, detail, self.link, byte, until))
