"""Verifying the journal: that no entry was changed, removed, inserted or moved, and that its entries alone give every
cell that the ledger has.

The chain's end is a row of the same database. Who can write there can seal other entries from some place on, which
nothing in the database tells: keep a `Seal` elsewhere now and then, and give it as `known`. Entries that have no number
yet are not in the chain; seal first, if they should be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection

from coordinator.authority.replaying import Replay
from coordinator.budget.purposes import purpose_hash
from coordinator.store import Ledger, purposes, seals, usage
from coordinator.store.accounts import Account
from coordinator.store.seals import FIRST, Row, Seal

__all__ = ["Fault", "Finding", "Report", "verify"]

_PAGE = 1000
_MOST_FINDINGS = 200
_LOWEST = -(2**63)


class Fault(StrEnum):
    """What is wrong."""

    CHANGED = "changed"
    """An entry, or its hash, is not what was sealed at its place, or the one before it is not."""
    MISSING = "missing"
    """There is no entry at this place."""
    INSERTED = "inserted"
    """There is an entry where the chain has none."""
    END = "end"
    """The row that says where the chain ends is not right, or its last entry is not."""
    KNOWN = "known"
    """At this place another hash is known from elsewhere: what leads up to it was sealed anew."""
    PURPOSE = "purpose"
    """A request's purpose is not the one that it had, or is gone without having been erased."""
    CELL = "cell"
    """A cell is not what the journal makes of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and where: the number in the chain and the `seq` of an entry, if it is about one."""

    fault: Fault
    detail: str
    number: int | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at: so many entries of the chain, entries without a number and cells. `findings` are the first
    few hundred, `found` is how many there are; `end` is where the chain ends.
    """

    sealed: int
    unsealed: int
    cells: int
    end: Seal
    found: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.found == 0


def verify(ledger: Ledger, account: Account, *, known: Sequence[Seal] = ()) -> Report:
    """Reads the whole journal of a wallet and compares it with its chain, its purposes and its cells. `known` are seals
    that were kept elsewhere. Waits for nobody, and holds nobody up for longer than a page. Raises StoreError.
    """
    walk = _Walk({one.number: one.hash for one in known})
    # What is sealed never changes, so pages need not be of one moment; what follows them and the cells must be.
    full = True
    while full:
        with ledger.read() as connection:
            full = walk.page(connection, account)
    with ledger.snapshot() as connection:
        while walk.page(connection, account):
            pass
        walk.rest(connection, account)
        walk.finish(seals.end(connection, account))
        cells = usage.of_wallet(connection, account)
    for detail in walk.replay.differences(cells):
        walk.say(Fault.CELL, detail)
    return Report(walk.sealed, walk.unsealed, len(cells), walk.end, walk.found, tuple(walk.findings))


@dataclass
class _Walk:
    """Going along a chain."""

    known: dict[int, str]
    replay: Replay = field(default_factory=Replay)
    sealed: int = 0
    unsealed: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list)
    end: Seal = FIRST
    _after: int = _LOWEST
    _before: tuple[str, ...] = (FIRST.hash,)
    """What the hash before the next entry may be: as it is stored, and as it should be if that differs."""
    _gone: set[int] = field(default_factory=set)
    _erased: set[int] = field(default_factory=set)

    def say(self, fault: Fault, detail: str, row: Row | None = None, number: int | None = None) -> None:
        """Notes something that is wrong."""
        self.found += 1
        if len(self.findings) < _MOST_FINDINGS:
            here = number if row is None else row["number"]
            self.findings.append(Finding(fault, detail, here, None if row is None else row["seq"]))

    def page(self, connection: Connection, account: Account) -> bool:
        """Takes the next sealed entries; False if there are no more."""
        rows = seals.numbered(connection, account, after=self._after, limit=_PAGE)
        for index, row in enumerate(rows):
            if type(row["number"]) is not int:
                # They come after all numbers, and nothing can be after them.
                for wrong in rows[index:]:
                    self.say(Fault.CHANGED, f"Its number is {wrong['number']!r}.", {**wrong, "number": None})
                self._contents(connection, account, rows[:index])
                return False
            self._entry(row)
            self._after = row["number"]
        self._contents(connection, account, rows)
        self.sealed += len(rows)
        return len(rows) == _PAGE

    def rest(self, connection: Connection, account: Account) -> None:
        """Takes the entries that have no number yet."""
        seq = 0
        while rows := seals.unsealed(connection, account, after=seq, limit=_PAGE):
            self._contents(connection, account, rows)
            self.unsealed += len(rows)
            seq = rows[-1]["seq"]

    def _entry(self, row: Row) -> None:
        number, expected = row["number"], self.end.number + 1
        if number < expected:
            self.say(Fault.INSERTED, "The chain begins with number 1.", row)
            return
        if number > expected:
            gone = f"{expected}" if number == expected + 1 else f"{expected} to {number - 1}"
            self.say(Fault.MISSING, f"There is no entry of number {gone}.", number=expected)
            self._before = (row["hash"],)  # what it followed is gone: its own hash cannot be made again
        else:
            made = [seals.follows(one, row) for one in self._before]
            self._before = (row["hash"],)
            if row["hash"] not in made:
                self.say(Fault.CHANGED, "It is not what was sealed here, or the entry before it is not.", row)
                self._before = (row["hash"], made[0])
        if row["hash"] != self.known.get(number, row["hash"]):
            self.say(Fault.KNOWN, f"The hash that is known is {self.known[number]}.", row)
        self.end = Seal(number, row["hash"])

    def _contents(self, connection: Connection, account: Account, rows: Sequence[Row]) -> None:
        wanted: dict[int, tuple[Row, str]] = {}
        for row in rows:
            try:
                detail = json.loads(row["detail"])
                self.replay.take(detail)
                if row["event"] == purposes.ERASED:
                    self._erased.add(row["reservation_id"])
                elif isinstance(detail.get("purpose_hash"), str):
                    wanted[row["reservation_id"]] = row, detail["purpose_hash"]
            except (AttributeError, TypeError, ValueError):
                self.say(Fault.CHANGED, "Its detail cannot be read.", row)
        stored = purposes.of(connection, account, list(wanted))
        for reservation_id, (row, expected) in wanted.items():
            self._purpose(row, expected, stored.get(reservation_id))

    def _purpose(self, row: Row, expected: str, stored: purposes.Purpose | None) -> None:
        request = f"request {row['reservation_id']}"
        if stored is None:
            self.say(Fault.PURPOSE, f"There is no {request}.", row)
        elif stored.hash != expected:
            self.say(Fault.PURPOSE, f"The {request} has another hash of its purpose.", row)
        elif stored.text is None:
            self._gone.add(row["reservation_id"])
        elif isinstance(stored.text, bytes) or purpose_hash(stored.salt, stored.text) != expected:
            self.say(Fault.PURPOSE, f"The purpose of {request} is not the one that it had.", row)

    def finish(self, end: Seal | None) -> None:
        """Compares with where the chain says that it ends, and with what it says was erased."""
        stated = end or FIRST
        if stated.number > self.end.number:
            last = f"{self.end.number + 1} to {stated.number}"
            self.say(Fault.MISSING, f"The chain's end is gone: {last}.", number=self.end.number + 1)
        elif stated.number < self.end.number:
            detail = f"The chain ends with number {stated.number}, and entries go on to {self.end.number}."
            self.say(Fault.INSERTED, detail, number=stated.number + 1)
        elif stated.hash not in self._before:
            self.say(Fault.END, "The chain's end has another hash than its last entry.", number=stated.number)
        for number in sorted(self.known):
            if number > self.end.number:
                self.say(Fault.MISSING, f"An entry of number {number} is known from elsewhere.", number=number)
        for reservation_id in sorted(self._gone - self._erased):
            self.say(Fault.PURPOSE, f"The purpose of request {reservation_id} is gone, and nobody has erased it.")
