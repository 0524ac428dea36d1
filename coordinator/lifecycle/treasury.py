"""What a wallet has, owes and has lost: the facts that the policy looks at, and that grow while a batch is decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from actp.engine.exchange import ask_all
from actp.errors import RpcError, RpcUnavailable
from actp.reads import Read, read_all
from coordinator.guard import Point
from coordinator.lifecycle.desk import Desk
from coordinator.policy import Counts
from coordinator.store import escrows, exposures, losses, peaks
from coordinator.store.exposures import Open
from coordinator.types import ETH, Subject

__all__ = ["Book", "Holdings", "open_book", "read_holdings"]

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SPANS = (_MINUTE, _HOUR, _DAY)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the chain says: balances by asset, and what the vault may still take."""

    balances: Mapping[str, int]
    allowance: int


@dataclass(slots=True)
class Book:
    """The facts about one wallet. What is decided is counted at once, so that the next decision sees it."""

    balances: dict[str, int]
    allowance: int
    drawn: int
    locked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    locked_at: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    locked_with: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    doubtful: dict[str, int] = field(default_factory=dict)
    """What of `locked` nobody has looked at since it may have changed."""
    known_peaks: dict[str, int] = field(default_factory=dict)
    """The peaks as they are stored."""
    peaks: dict[str, int] = field(default_factory=dict)
    lost_today: dict[str, int] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    """ACTP transactions with a step on its way."""
    _by_agent: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    _by_wallet: list[int] = field(default_factory=lambda: [0, 0, 0])

    def counts(self, agent: str) -> tuple[Counts, Counts]:
        """How often the agent, and the whole wallet, was allowed something lately."""
        return Counts(*self._by_agent[agent]), Counts(*self._by_wallet)

    def take(self, subject: Subject, contract: str, agent: str, draws: int, *, fee: int | None, bond: bool) -> None:
        """Counts what was just allowed."""
        self.risk(subject.asset, subject.amount, fee, bond=bond)
        self.spend(subject.asset, subject.amount, contract, subject.counterparty, locks=subject.locks)
        self.drawn += draws
        if subject.transaction_id is not None:
            self.busy.add(subject.transaction_id)
        self.note_decided(agent, [1] * len(_SPANS))

    def spend(self, asset: str, amount: int, contract: str, counterparty: str | None, *, locks: bool) -> None:
        """So much leaves the wallet; if it `locks`, into an escrow."""
        if asset in self.balances:
            self.balances[asset] -= amount
        if locks:
            self.lock(asset, amount, contract, counterparty)

    def risk(self, asset: str, amount: int, fee: int | None, *, bond: bool) -> None:
        """What may be lost with it counts as lost until it is known."""
        self.lost_today[ETH] = self.lost_today.get(ETH, 0) + (fee or 0)
        if bond:
            self.lost_today[asset] = self.lost_today.get(asset, 0) + amount

    def lock(self, asset: str, amount: int, contract: str, counterparty: str | None) -> None:
        """So much lies in an escrow."""
        self.locked[asset] += amount
        self.locked_at[contract, asset] += amount
        if counterparty is not None:
            self.locked_with[counterparty, asset] += amount

    def note_decided(self, agent: str, counts: Sequence[int]) -> None:
        """So much was allowed within the last minute, hour and day."""
        for index, count in enumerate(counts):
            self._by_agent[agent][index] += count
            self._by_wallet[index] += count

    def totals(self) -> dict[str, int]:
        """What the wallet and its open escrows certainly have together, by asset: what may have come back to the wallet
        since somebody looked at its escrow must not count twice, as peaks never fall.
        """
        return {
            asset: held + self.locked.get(asset, 0) - self.doubtful.get(asset, 0)
            for asset, held in self.balances.items()
        }

    def raise_peaks(self) -> dict[str, int]:
        """The peaks, which what there is now may be above."""
        for asset, total in self.totals().items():
            self.peaks[asset] = max(total, self.peaks.get(asset, total))
        return dict(self.peaks)


def open_book(connection: Connection, desk: Desk, under_way: Sequence[Open], holdings: Holdings, now: float) -> Book:
    """The facts as of now. `under_way` was read before `holdings`: what is mined in between then counts twice, which
    errs to the side of caution.
    """
    book = Book(dict(holdings.balances), holdings.allowance, sum(one.draws for one in under_way))
    for one in under_way:
        book.spend(one.asset, one.amount, one.contract, one.counterparty, locks=one.locks)
        if one.transaction_id is not None:
            book.busy.add(one.transaction_id)
    for escrow in escrows.all_open(connection, desk.account):
        book.lock(escrow.asset, escrow.locked, escrow.contract, escrow.counterparty)
        if not escrow.checked_at:
            book.doubtful[escrow.asset] = book.doubtful.get(escrow.asset, 0) + escrow.locked
    book.known_peaks = peaks.read(connection, desk.account)
    book.peaks = dict(book.known_peaks)
    if desk.settings.max_daily_loss is not None:
        book.lost_today = losses.since(connection, desk.account, now - now % _DAY)
        for asset, amount in exposures.at_stake(connection, desk.account):
            book.risk(asset, amount, None, bond=True)
    for one in under_way:
        book.risk(one.asset, one.amount, one.most_fee, bond=one.bond)
    if desk.settings.agent_rate is not None or desk.settings.wallet_rate is not None:
        times = [now - span for span in _SPANS]
        for agent, counts in exposures.decided_since(connection, desk.account, times).items():
            book.note_decided(agent, counts)
    return book


def read_holdings(desk: Desk, point: Point | None, assets: Iterable[str]) -> Holdings:
    """What the wallet has: at the point up to which everything is explained, so that what is on its way is counted
    exactly once; without one, in the newest block. Raises RpcUnavailable.
    """
    wallet, token, vault = desk.wallet, desk.token, desk.vault
    wanted = {ETH, token, *assets}
    known: dict[str, int] = {}
    allowance = None
    if point is not None:
        known = {asset: held for (account, asset), held in point.state.balances.items() if account == wallet}
        allowance = point.state.allowances.get((token, wallet, vault))
    missing = sorted(wanted - known.keys())
    reads = [Read("TestUSDC", asset, "balanceOf", (wallet,)) for asset in missing if asset != ETH]
    if allowance is None:
        reads.append(Read("TestUSDC", token, "allowance", (wallet, vault)))
    answers = read_all(desk.transport, reads)
    for read, answer in zip(reads, answers, strict=True):
        if not isinstance(answer, int):
            continue  # a token that does not tell: rules that need to know deny
        if read.function == "allowance":
            allowance = answer
        else:
            known[read.address] = answer
    if ETH in missing:
        (answer,) = ask_all(desk.transport, [("eth_getBalance", [wallet, "latest"])])
        if isinstance(answer, RpcError):
            raise RpcUnavailable(f"{desk.transport.label} does not tell the wallet's ether.") from answer
        known[ETH] = int(answer, 16)
    return Holdings(known, allowance or 0)
